// Lays the image's files out in directories, one for each layer: the runtime, which changes with Node and Debian only, and
// the program. Nothing is there that the agent does not need: no shell, no package manager.
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';
import { entryPoint } from '../build-parts/bundles.ts';
import { machines, readElf, withoutSections } from './elf.ts';
import { type Arch, type NodeRuntime, type Package, run } from './inputs.ts';

const triplets: Readonly<Record<Arch, string>> = { amd64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };
/**
 * A number that nothing else uses, unlike 65532 of distroless' "nonroot": a process of the same user could listen on the port of an
 * agent with --reuse-port. It is in the range that systemd's documentation lists as unused (60578 to 61183), and below 65536,
 * as nodes in user namespaces have no others.
 */
export const ownUserId = 60643;
export const nodePath = '/usr/local/bin/node';
export const programPath = '/usr/local/bin/fairlead';
const bundleDirectory = '/usr/local/lib/fairlead';

function put(root: string, path: string, content: Buffer | string, mode = 0o644): void {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  chmodSync(file, mode);
}

/** Directories are made under whatever umask the build has. */
function normaliseDirectories(directory: string): void {
  chmodSync(directory, 0o755);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) normaliseDirectories(join(directory, entry.name));
  }
}

/** Reads what a library's name leads to in the unpacked packages. */
function findLibrary(unpacked: string, arch: Arch, name: string): Buffer {
  for (const directory of ['usr/lib', 'lib'].map((lib) => join(unpacked, lib, triplets[arch]))) {
    try {
      return readFileSync(join(directory, name));
    } catch {
      // In the other one, then.
    }
  }
  throw new Error(`no package has the library ${name} for ${arch}`);
}

/** The libraries that `start` needs, and those that they need. */
function libraryClosure(start: Buffer, find: (name: string) => Buffer): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  const look = (file: Buffer) => {
    for (const name of readElf(file).needed) {
      if (found.has(name)) continue;
      const library = find(name);
      found.set(name, library);
      look(library);
    }
  };
  look(start);
  return found;
}

export interface RuntimeInput {
  readonly arch: Arch;
  readonly packages: readonly Package[];
  readonly node: NodeRuntime;
  readonly work: string;
}

/** The layer of Node, its libraries, the certificates and the users. */
export function layOutRuntime(root: string, { arch, packages, node, work }: RuntimeInput): void {
  const unpacked = join(work, 'unpacked');
  mkdirSync(unpacked, { recursive: true });
  for (const { file } of packages) run('dpkg-deb', ['--extract', file, unpacked]);

  const binary = withoutSections(readFileSync(node.binary));
  const { machine, interpreter } = readElf(binary);
  if (machine !== machines[arch] || !interpreter) throw new Error(`${node.binary} is no program for ${arch}`);
  put(root, nodePath, binary, 0o755);
  const libraries = libraryClosure(binary, (name) => findLibrary(unpacked, arch, name));
  for (const [name, library] of libraries) put(root, `/usr/lib/${triplets[arch]}/${name}`, library);
  // The loader stands where programs look for it, /lib or /lib64, both of which lead to /usr.
  const loader = libraries.get(basename(interpreter)) ?? findLibrary(unpacked, arch, basename(interpreter));
  put(root, posix.join('/usr', interpreter), loader, 0o755);
  for (const name of ['lib', 'lib64']) {
    mkdirSync(join(root, 'usr', name), { recursive: true });
    symlinkSync(`usr/${name}`, join(root, name));
  }

  const certificates = join(unpacked, 'usr/share/ca-certificates/mozilla');
  const bundle = readdirSync(certificates).sort();
  put(
    root,
    '/etc/ssl/certs/ca-certificates.crt',
    bundle.map((name) => readFileSync(join(certificates, name))).join(''),
  );

  const user = `fairlead:x:${ownUserId}:${ownUserId}:fairlead:/:/sbin/nologin\n`;
  put(root, '/etc/passwd', `root:x:0:0:root:/:/sbin/nologin\n${user}`);
  put(root, '/etc/group', `root:x:0:\nfairlead:x:${ownUserId}:\n`);
  put(root, '/etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n');

  put(root, '/usr/share/doc/node/LICENSE', readFileSync(node.license));
  for (const { name, file } of packages) {
    // A link to the copyright of another of the packages, for GCC's libraries.
    put(
      root,
      `/usr/share/doc/${name}/copyright`,
      readFileSync(join(unpacked, 'usr/share/doc', name, 'copyright')),
    );
    // Where scanners look for the packages of an image that has no dpkg.
    const control = join(work, `control-${name}`);
    run('dpkg-deb', ['--control', file, control]);
    put(root, `/var/lib/dpkg/status.d/${name}`, readFileSync(join(control, 'control')));
  }
  normaliseDirectories(root);
  rmSync(unpacked, { recursive: true });
}

export interface ProgramInput {
  /** The directory that `scripts/build.ts` has written. */
  readonly bundle: string;
  readonly sbom: string;
}

/** The layer of Fairlead itself. */
export function layOutProgram(root: string, { bundle, sbom }: ProgramInput): void {
  for (const name of readdirSync(bundle, { recursive: true, encoding: 'utf8' }).sort()) {
    if (statSync(join(bundle, name)).isDirectory()) continue;
    const content = readFileSync(join(bundle, name));
    const isEntry = name === entryPoint;
    put(
      root,
      `${bundleDirectory}/${name}`,
      isEntry ? withNodeOfImage(content) : content,
      isEntry ? 0o755 : 0o644,
    );
  }
  mkdirSync(join(root, dirname(programPath)), { recursive: true });
  symlinkSync(
    posix.relative(dirname(programPath), `${bundleDirectory}/${entryPoint}`),
    join(root, programPath),
  );
  put(root, '/usr/share/doc/fairlead/sbom.cdx.json', sbom);
  cpSync('LICENSE', join(root, 'usr/share/doc/fairlead/LICENSE'));
  chmodSync(join(root, 'usr/share/doc/fairlead/LICENSE'), 0o644);
  // What pods mount; there so that a read-only root file system has the places.
  for (const path of ['etc/fairlead', 'var/lib/fairlead']) mkdirSync(join(root, path), { recursive: true });
  normaliseDirectories(root);
}

/** There is no env to find Node with. */
function withNodeOfImage(entry: Buffer): string {
  const program = entry.toString('utf8').replace(/^#!.*\n/, `#!${nodePath}\n`);
  if (!program.startsWith(`#!${nodePath}\n`)) throw new Error(`${entryPoint} does not begin with #!`);
  return program;
}

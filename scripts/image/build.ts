// Builds the container image: an OCI archive for all platforms, with the list of what is in it beside it.
// Usage: scripts/build-image [--help]
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import {
  type Arch,
  arches,
  type Drift,
  fetchDebian,
  fetchNode,
  inputsFile,
  readInputs,
  run,
  updateInputs,
} from './inputs.ts';
import { type Descriptor, OciLayout } from './oci.ts';
import { layOutProgram, layOutRuntime, ownUserId, programPath } from './rootfs.ts';
import { bundledPackages, type LockedPackage, makeSbom } from './sbom.ts';

const help = `Usage: scripts/build-image [OPTION ...]

Writes to DIR: fairlead-VERSION.oci.tar (an OCI archive), digest (what to write into manifests/image), and
sbom-ARCH.cdx.json (CycloneDX). The same commit makes the same digest, as long as Debian's archive has the versions
pinned in ${inputsFile}.

  --name NAME      What the manifests call the image, without tag and digest; nodes that import the archive know it
                   under NAME:VERSION and NAME@DIGEST. Default: newName in manifests/image.
  --out DIR        Where to. Default: dist/image.
  --arch ARCH      amd64 or arm64. Repeatable. Default: both.
  --frozen         Refuse other versions than those pinned, instead of warning.
  --compression N  gzip level, 1 to 9. Default: 6. Digests differ with it.
  --load           Load the image for this machine into buildah's store, or docker's where there is no buildah.
  --update         Pin what the package sources have now, and build nothing.
  --help           Print this help.
`;

const { values: options } = parseArgs({
  options: {
    name: { type: 'string' },
    out: { type: 'string', default: 'dist/image' },
    arch: { type: 'string', multiple: true, default: [...arches] },
    frozen: { type: 'boolean', default: false },
    compression: { type: 'string', default: '6' },
    load: { type: 'boolean', default: false },
    update: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const imageFile = 'manifests/image/kustomization.yaml';

interface ImageComponent {
  readonly images: readonly [{ readonly newName: string }];
}

interface PackageFile {
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly devDependencies: { readonly node: string };
}

const packageFile = JSON.parse(readFileSync('package.json', 'utf8')) as PackageFile;
const { version } = packageFile;

function fail(message: string): never {
  console.error(`build-image: ${message}`);
  process.exit(2);
}

function git(...args: string[]): string | undefined {
  const { status, stdout } = spawnSync('git', args, { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** The time of the commit, unless the environment says another: never that of the build. */
function createdAt(): string {
  const seconds = process.env.SOURCE_DATE_EPOCH ?? git('log', '-1', '--format=%ct') ?? '0';
  return new Date(Number(seconds) * 1000).toISOString().replace('.000', '');
}

function revision(): string {
  const commit = git('rev-parse', 'HEAD');
  if (!commit) return 'unknown';
  return git('status', '--porcelain', '--untracked-files=no') ? `${commit}-dirty` : commit;
}

function annotations(): Record<string, string> {
  const name = (key: string) => `org.opencontainers.image.${key}`;
  return {
    [name('created')]: createdAt(),
    [name('description')]: packageFile.description,
    [name('licenses')]: packageFile.license,
    [name('revision')]: revision(),
    [name('title')]: 'fairlead',
    [name('version')]: version,
  };
}

function wantedArches(): Arch[] {
  return arches.filter((arch) => options.arch.includes(arch));
}

/** The name that all overlays use, unless the command line has another. */
function imageName(): string {
  const name = options.name ?? (parse(readFileSync(imageFile, 'utf8')) as ImageComponent).images[0].newName;
  // As the registries' protocol has it; the first part is a host, as kubelet reads a name without one as Docker Hub's.
  const host = /^(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+)(:[0-9]{1,5})?$/i;
  const part = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$/;
  const [first = '', ...rest] = name.split('/');
  if (host.test(first) && rest.length > 0 && rest.every((each) => part.test(each))) return name;
  fail(`--name ${name} is not HOST/NAME without tag and digest, such as registry.example/fairlead`);
}

function warnOf({ arch, name, pinned, version: found }: Drift): void {
  const what = `${name} for ${arch} is ${found}, and ${pinned} is pinned in ${inputsFile}`;
  if (options.frozen) fail(`${what}; scripts/build-image --update pins what there is`);
  console.error(`build-image: warning: ${what}: another build may make another digest`);
}

async function buildFor(arch: Arch, layout: OciLayout, work: string, out: string): Promise<Descriptor> {
  const inputs = readInputs();
  if (inputs.node.version !== packageFile.devDependencies.node) {
    fail(
      `package.json has node ${packageFile.devDependencies.node}, ${inputsFile} ${inputs.node.version}: run it with --update`,
    );
  }
  const packages = fetchDebian(arch, inputs.debian[arch], warnOf);
  const node = fetchNode(arch, inputs.node.version, inputs.node.sha256[arch]);
  const bundle = join(work, 'bundle');
  const metafile = join(work, 'meta.json');
  run(process.execPath, ['scripts/build.ts', bundle, metafile]);
  const { inputs: bundledFiles } = JSON.parse(readFileSync(metafile, 'utf8')) as { inputs: object };
  const { packages: locked } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };
  const bundled = bundledPackages(Object.keys(bundledFiles), locked);
  const sbom = makeSbom({ arch, version, inputs, packages, bundled });
  writeFileSync(join(out, `sbom-${arch}.cdx.json`), sbom);

  const roots = { runtime: join(work, arch, 'runtime'), program: join(work, arch, 'program') };
  layOutRuntime(roots.runtime, { arch, packages, node, work: join(work, arch) });
  layOutProgram(roots.program, { bundle, sbom });
  const level = Number(options.compression);
  const layers = [await layout.addLayer(roots.runtime, level), await layout.addLayer(roots.program, level)];
  rmSync(join(work, arch), { recursive: true });

  const labels = annotations();
  const created = labels['org.opencontainers.image.created'];
  const platform = { architecture: arch, os: 'linux', ...(arch === 'arm64' && { variant: 'v8' }) };
  const config = layout.addJson('config.v1', {
    created,
    ...platform,
    config: {
      User: `${ownUserId}:${ownUserId}`,
      // One arena: docs/performance.md, "Settings of the process".
      Env: ['PATH=/usr/local/bin', 'SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt', 'MALLOC_ARENA_MAX=1'],
      Entrypoint: [programPath],
      Cmd: ['run'],
      WorkingDir: '/',
      Labels: labels,
      StopSignal: 'SIGTERM',
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: ['Node, its libraries and certificates', 'Fairlead'].map((comment) => ({ created, comment })),
  });
  const size = layers.reduce((sum, layer) => sum + layer.size, 0);
  console.log(`build-image: ${arch}: ${(size / 1e6).toFixed(1)} MB compressed`);
  return { ...layout.addManifest(config, layers, labels), platform };
}

function load(archive: string, ref: string): void {
  const has = (command: string) => spawnSync(command, ['--version']).status === 0;
  if (has('buildah')) run('buildah', ['pull', `oci-archive:${archive}:${ref}`]);
  else if (has('docker')) run('docker', ['load', '--input', archive]);
  else fail('--load needs buildah or docker');
}

async function main(): Promise<void> {
  if (options.help) return void process.stdout.write(help);
  if (options.update) return updateInputs(packageFile.devDependencies.node);
  const unknown = options.arch.filter((arch) => !arches.some((known) => known === arch));
  if (unknown.length > 0) fail(`unknown architecture: ${unknown.join(', ')}; known: ${arches.join(', ')}`);
  if (!/^[1-9]$/.test(options.compression)) fail('--compression is a number from 1 to 9');
  const repository = imageName();
  const ref = `fairlead:${version}`;
  const out = resolve(options.out);
  mkdirSync(out, { recursive: true });
  const work = mkdtempSync(join(out, '.build-'));
  try {
    const layout = new OciLayout(join(work, 'oci'));
    const manifests: Descriptor[] = [];
    for (const arch of wantedArches()) manifests.push(await buildFor(arch, layout, work, out));
    const digest = layout.finish(manifests, annotations(), { ref, repository, tag: version });
    const archive = join(out, `fairlead-${version}.oci.tar`);
    await layout.writeArchive(join(work, 'archive'));
    renameSync(join(work, 'archive'), archive);
    writeFileSync(join(out, 'digest'), `${digest}\n`);
    if (options.load) load(archive, ref);
    for (const line of [archive, `${repository}:${version}`, `${repository}@${digest}`])
      console.log(`build-image: ${line}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

await main();

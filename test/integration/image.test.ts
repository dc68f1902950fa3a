// The container image: built here from Debian and npm packages, and the agent run from its file system as a pod
// would run it: read-only, without capabilities, as nobody in particular and as root.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { agentSuite } from '../support/agent/agent-suite.ts';
import type { ControlPlane } from '../support/apiserver/control-plane.ts';
import { eventually } from '../support/jest/eventually.ts';
import { H2Tunnel } from '../support/clients/h2-tunnel.ts';
import { skipLoudly } from '../support/jest/skip-loudly.ts';
import { tempDir } from '../support/jest/temp-dir.ts';

interface Descriptor {
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string };
}

interface ImageConfig {
  readonly created: string;
  readonly config: Readonly<Record<string, unknown>> & { readonly Labels: Readonly<Record<string, string>> };
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

const tools = ['buildah', 'apt-get', 'dpkg-deb', 'readelf', 'setpriv'];
const missing = tools.filter((tool) => spawnSync(tool, ['--version']).error !== undefined);
const mayMount = spawnSync('unshare', ['--mount', 'mount', '--bind', '/tmp', '/tmp']).status === 0;
const reason =
  missing.length > 0
    ? `no ${missing.join(', ')}`
    : process.getuid?.() !== 0 || !mayMount
      ? 'needs root, with the right to mount'
      : undefined;

if (reason !== undefined) skipLoudly('the container image', reason);
else describeImage();

function describeImage(): void {
  const suite = agentSuite();
  const directory = tempDir();
  const version = (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version;
  let plane: ControlPlane;
  let root: string;
  let container: string;

  function ok(command: string, ...args: readonly string[]): string {
    const { status, stdout, stderr, error } = spawnSync(command, args, {
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    });
    if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`);
    return stdout.trim();
  }

  /** Builds with another umask, time zone and language than the others: none of them may show. */
  function build(name: string, shell: string, ...arches: readonly string[]): string {
    const out = join(directory, name);
    const args = ['--compression', '1', '--out', out, ...arches.flatMap((arch) => ['--arch', arch])];
    ok('sh', '-c', `${shell}; exec "$@"`, 'sh', process.execPath, 'scripts/image/build.ts', ...args);
    const layout = join(out, 'oci');
    mkdirSync(layout);
    ok('tar', '-xf', join(out, `fairlead-${version}.oci.tar`), '-C', layout);
    return out;
  }

  const blob = (out: string, digest: string) => join(out, 'oci/blobs', digest.replace(':', '/'));
  const json = <T>(file: string) => JSON.parse(readFileSync(file, 'utf8')) as T;

  function manifestOf(out: string, arch: string) {
    const [top] = json<{ manifests: Descriptor[] }>(join(out, 'oci/index.json')).manifests;
    const { manifests } = json<{ manifests: Descriptor[] }>(blob(out, top?.digest ?? ''));
    const found = manifests.find(({ platform }) => platform?.architecture === arch);
    return json<{ config: Descriptor; layers: Descriptor[] }>(blob(out, found?.digest ?? ''));
  }

  /** The files of the image and of nobody else. */
  function unpacked(arch: string): string {
    const target = join(directory, `root-${arch}`);
    if (existsSync(target)) return target;
    mkdirSync(target);
    for (const { digest } of manifestOf(join(directory, 'first'), arch).layers) {
      ok('tar', '-xpzf', blob(join(directory, 'first'), digest), '-C', target);
    }
    return target;
  }

  /** buildah with a store of its own. */
  const buildah = (...args: readonly string[]) => {
    const store = ['--storage-driver', 'vfs', '--root', join(directory, 'store')];
    return ok('buildah', ...store, '--runroot', join(directory, 'run'), ...args);
  };

  /** Runs in a mount namespace in which the image is read-only, with what a pod mounts. */
  function sandboxed(capabilities: string, identity: string): [string, ...string[]] {
    const script = `set -e
      mount --bind "$ROOT" "$ROOT"
      mount --rbind /proc "$ROOT/proc"
      mount --bind "$MOUNTED/config" "$ROOT/etc/fairlead"
      mount --bind "$MOUNTED/state" "$ROOT/var/lib/fairlead"
      mount -o remount,bind,ro "$ROOT"
      mount -o remount,bind,ro "$ROOT/etc/fairlead"
      exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,${capabilities} chroot ${identity} "$ROOT" /usr/local/bin/fairlead "$@"`;
    const environment = [`ROOT=${root}`, `MOUNTED=${join(directory, 'mounted')}`];
    return ['env', ...environment, 'unshare', '--mount', 'sh', '-c', script, 'sh'];
  }

  beforeAll(async () => {
    build('first', 'umask 022', 'amd64', 'arm64');
    const archive = join(directory, 'first', `fairlead-${version}.oci.tar`);
    container = buildah('from', `oci-archive:${archive}:fairlead:${version}`);
    root = buildah('mount', container);
    for (const path of ['proc', 'dev', 'tmp']) mkdirSync(join(root, path), { recursive: true });
    plane = await suite.startControlPlane({ servers: 2 });
    for (const path of ['config', 'state']) mkdirSync(join(directory, 'mounted', path), { recursive: true });
    const kubeconfig = await plane.writeKubeconfig({ user: 'fairlead' });
    const mounted = join(directory, 'mounted/config/kubeconfig');
    writeFileSync(mounted, readFileSync(kubeconfig), { mode: 0o600 });
    ok('chmod', '-R', 'a+X', directory);
    // The first time it downloads 120 MB of Node.
  }, 300_000);

  const own = (id: number) => ok('chown', '-R', `${id}:${id}`, join(directory, 'mounted'));

  test.each([
    ['as nobody in particular', 60643, '+sys_chroot,+setuid,+setgid', '--userspec=60643:60643'],
    ['as root, who alone may read kubelet’s key', 0, '+sys_chroot', ''],
  ])('the agent serves from a read-only image %s', async (_name, id, capabilities, identity) => {
    own(id);
    const agent = await suite.startAgent({
      endpoints: plane.endpoints,
      kubeconfig: '/etc/fairlead/kubeconfig',
      args: ['--cache-file', '/var/lib/fairlead/endpoints.json'],
      command: sandboxed(capabilities, identity),
    });
    const status = readFileSync(`/proc/${agent.pid}/status`, 'utf8');
    expect(status).toMatch(new RegExp(`^Uid:\\t${id}\\t${id}\\t${id}\\t${id}$`, 'm'));
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    // Root keeps the one with which it got in here; nobody has none.
    expect(status).toMatch(id === 0 ? /^CapEff:\t0{11}40000$/m : /^CapEff:\t0{16}$/m);
    expect(realpathSync(`/proc/${agent.pid}/exe`)).toMatch(/\/usr\/local\/bin\/node$/);
    await eventually('both are ready', async () => {
      const { endpoints, credentials } = await agent.status();
      return credentials === 'client certificate' && endpoints.every(({ verdict }) => verdict === 'ready');
    });
    expect(await H2Tunnel.askOnce(agent.address, plane.pki)).toMatch(/^cp-/);
    // The one place that it may write to.
    await eventually('the endpoints are kept', () =>
      existsSync(join(directory, 'mounted/state/endpoints.json')),
    );
    agent.signal('SIGTERM');
    expect(await agent.exited).toEqual({ code: 0, signal: null });
  });

  test('buildah runs it as a container without capabilities', () => {
    const mount = ['--volume', `${join(directory, 'mounted/config')}:/etc/fairlead:ro`];
    for (const user of ['0:0', '60643:60643']) {
      const run = ['run', '--isolation', 'chroot', '--cap-drop', 'ALL', '--user', user, ...mount, container];
      expect(buildah(...run, '--', 'fairlead', '--version')).toBe(version);
    }
  });

  test('there is no shell and no package manager in it: Node, its loader and Fairlead, nothing else', () => {
    const image = unpacked('amd64');
    const programs = ok('find', image, '-type', 'f', '-perm', '/111').split('\n');
    expect(programs.map((file) => file.slice(image.length)).sort()).toEqual([
      '/usr/lib64/ld-linux-x86-64.so.2',
      '/usr/local/bin/node',
      '/usr/local/lib/fairlead/fairlead.js',
    ]);
    expect(ok('find', image, '-name', 'node_modules')).toBe('');
    const notices = readFileSync(join(image, 'usr/local/lib/fairlead/THIRD-PARTY-NOTICES'), 'utf8');
    expect(notices).toContain('== pino ');
    // And nothing that runs with other rights, or that others may write to.
    expect(ok('find', image, '(', '-type', 'f', '-o', '-type', 'd', ')', '-perm', '/7022')).toBe('');
    expect(readFileSync(join(image, 'etc/ssl/certs/ca-certificates.crt'), 'utf8')).toContain('BEGIN CERT');
  });

  test('what runs in it resolves names', () => {
    writeFileSync(join(root, 'etc/hosts'), '127.0.0.9 api.test\n');
    const lookup = "require('node:dns').lookup('api.test', (_, address) => console.log(address));";
    expect(ok('chroot', root, '/usr/local/bin/node', '-e', lookup)).toBe('127.0.0.9');
  });

  test('the same commit makes the same layers, whoever builds it and when', () => {
    const second = build(
      'second',
      'umask 077; export TZ=Asia/Tokyo LANG=tr_TR.UTF-8 HOME=/nonexistent',
      'amd64',
    );
    const [one, two] = [join(directory, 'first'), second].map((out) => manifestOf(out, 'amd64'));
    expect(one?.layers).toHaveLength(2);
    expect(two?.layers).toEqual(one?.layers);
    expect(two?.config.digest).toBe(one?.config.digest);
    const sbom = (out: string) => readFileSync(join(directory, out, 'sbom-amd64.cdx.json'), 'utf8');
    expect(sbom('second')).toBe(sbom('first'));
  }, 120_000);

  test.each(['amd64', 'arm64'])('the %s image is under 60 MB and says what it is', (arch) => {
    const out = join(directory, 'first');
    const { layers, config } = manifestOf(out, arch);
    expect(layers.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(60e6);
    const image = json<ImageConfig>(blob(out, config.digest));
    expect(image).toMatchObject({
      architecture: arch,
      os: 'linux',
      config: { User: '60643:60643', Entrypoint: ['/usr/local/bin/fairlead'], Cmd: ['run'] },
    });
    const { Labels } = image.config;
    expect(Labels['org.opencontainers.image.version']).toBe(version);
    expect(Labels['org.opencontainers.image.revision']).toMatch(/^[0-9a-f]{40}(-dirty)?$/);
    expect(Labels['org.opencontainers.image.created']).toBe(image.created);
    const committed = Number(ok('git', 'log', '-1', '--format=%ct'));
    expect(Date.parse(image.created)).toBe(committed * 1000);
  });

  test('the digest to write into the manifests is that of the image for all platforms', () => {
    const out = join(directory, 'first');
    const [top] = json<{ manifests: Descriptor[] }>(join(out, 'oci/index.json')).manifests;
    expect(readFileSync(join(out, 'digest'), 'utf8')).toBe(`${top?.digest}\n`);
    expect(ok('sha256sum', blob(out, top?.digest ?? '')).slice(0, 64)).toBe(top?.digest.slice(7));
  });

  test.each([
    ['amd64', 'Advanced Micro Devices X86-64'],
    ['arm64', 'AArch64'],
  ])('Node and every library that it needs are there for %s', (arch, machine) => {
    const image = unpacked(arch);
    const libraries = join(image, 'usr/lib', arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu');
    const node = join(image, 'usr/local/bin/node');
    const files = [node, ...readdirSync(libraries).map((name) => join(libraries, name))];
    const needed = new Set<string>();
    for (const file of files) {
      expect(ok('readelf', '--file-header', file)).toContain(machine);
      const dynamic = ok('readelf', '--dynamic', file);
      for (const [, name] of dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)) needed.add(name ?? '');
    }
    expect(needed).toContain('libc.so.6');
    expect([...needed].filter((name) => !existsSync(join(libraries, name)))).toEqual([]);
    // And nothing that nobody needs.
    expect(
      files
        .slice(1)
        .map((file) => basename(file))
        .filter((name) => !needed.has(name)),
    ).toEqual([]);
    const interpreter = /interpreter: (.*)\]/.exec(ok('readelf', '--program-headers', node))?.[1] ?? '';
    expect(existsSync(join(image, interpreter))).toBe(true);
  });

  test('the SBOM names what is bundled, Node and the Debian packages, with their versions', () => {
    const sbom = json<{ components: { name: string; version: string; purl: string }[] }>(
      join(directory, 'first/sbom-arm64.cdx.json'),
    );
    expect(json(join(root, 'usr/share/doc/fairlead/sbom.cdx.json'))).toMatchObject({
      bomFormat: 'CycloneDX',
    });
    const versions = new Map(sbom.components.map((component) => [component.name, component.version]));
    expect(`v${versions.get('node')}`).toBe(process.version);
    const { dependencies } = json<{ dependencies: Record<string, string> }>('package.json');
    for (const name of ['pino', 'commander', 'valibot', '@kubernetes/client-node']) {
      expect([name, versions.get(name)]).toEqual([name, dependencies[name]]);
    }
    const status = readFileSync(join(root, 'var/lib/dpkg/status.d/libc6'), 'utf8');
    expect(status).toContain(`Version: ${versions.get('libc6')}`);
    expect(versions.has('jest')).toBe(false);
    for (const { purl } of sbom.components) expect(purl).toMatch(/^pkg:(npm|deb|generic)\/[^ ]+@[^ ]+$/);
  });
}

// Stock kubectl, straight at the stand-in: what it cannot do here, nobody can test through Fairlead.
// Tried are the one on PATH, the oldest and the newest beside it (kubectl.1.27 and so on), and those of
// FAIRLEAD_TEST_KUBECTL, a list of paths with commas.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type ControlPlane, startControlPlane } from '../support/apiserver/control-plane.ts';
import { eventually } from '../support/jest/eventually.ts';
import { findKubectls } from '../support/clients/kubectl.ts';
import { watchForLeaks } from '../support/jest/leaks.ts';
import { skipLoudly } from '../support/jest/skip-loudly.ts';

const kubectls = findKubectls();
const leftNothing = watchForLeaks();
const home = mkdtempSync(join(tmpdir(), 'kubectl-test-'));
let plane: ControlPlane;
const kubeconfigs: Record<'admin' | 'node' | 'nobody' | 'token' | 'none', string> = {
  admin: '',
  node: '',
  nobody: '',
  token: '',
  none: '',
};
const running = new Set<ChildProcess>();

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function environment(user: keyof typeof kubeconfigs = 'admin'): NodeJS.ProcessEnv {
  // kubectl caches API discovery under HOME.
  return { PATH: process.env.PATH, HOME: home, KUBECONFIG: kubeconfigs[user] };
}

function run(kubectl: string, args: readonly string[], user?: keyof typeof kubeconfigs): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(
      kubectl,
      args,
      { env: environment(user), timeout: 25_000, maxBuffer: 2 ** 24 },
      (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr });
      },
    );
  });
}

/** The standard output of a command that must succeed. */
async function output(kubectl: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(kubectl, args);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${code} ${stderr}`);
  return stdout;
}

function watching(kubectl: string, ...args: string[]) {
  const child = spawn(kubectl, args, { env: environment(), stdio: ['ignore', 'pipe', 'inherit'] });
  running.add(child);
  const state = { text: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    state.text += chunk.toString();
  });
  const exited = new Promise<number | null>((resolve) => child.on('exit', (code) => resolve(code)));
  void exited.then(() => running.delete(child));
  return {
    state,
    exited,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

beforeAll(async () => {
  plane = await startControlPlane({ servers: 3 });
  for (const user of ['admin', 'node', 'nobody', 'token', 'none'] as const) {
    kubeconfigs[user] = await plane.writeKubeconfig({ user });
  }
});

afterAll(async () => {
  for (const child of running) child.kill('SIGKILL');
  await plane.stop();
  rmSync(home, { recursive: true, force: true });
  await leftNothing();
});

if (kubectls.length === 0) {
  skipLoudly('stock kubectl', 'no kubectl on PATH and none in FAIRLEAD_TEST_KUBECTL');
}

describe.each(kubectls.map((kubectl) => [basename(kubectl), kubectl]))('%s', (_name, kubectl) => {
  const name = `cm-${kubectls.indexOf(kubectl)}`;

  test('prints EndpointSlices as a table', async () => {
    const [head, row, ...more] = (await output(kubectl, 'get', 'endpointslices', '-n', 'default'))
      .trim()
      .split('\n');
    expect(head?.split(/\s+/)).toEqual(['NAME', 'ADDRESSTYPE', 'PORTS', 'ENDPOINTS', 'AGE']);
    expect(row?.split(/\s+/).slice(0, 4)).toEqual([
      'kubernetes',
      'IPv4',
      String(plane.servers[0]?.port),
      plane.servers.map(({ host }) => host).join(','),
    ]);
    expect(more).toEqual([]);
  });

  test('gets EndpointSlices as JSON and YAML', async () => {
    const slice = JSON.parse(await output(kubectl, 'get', 'endpointslice', 'kubernetes', '-o', 'json'));
    expect(slice.endpoints).toHaveLength(3);
    const list = JSON.parse(await output(kubectl, 'get', 'endpointslices', '-o', 'json'));
    expect(list.items[0]).toMatchObject({ kind: 'EndpointSlice', apiVersion: 'discovery.k8s.io/v1' });
    expect(await output(kubectl, 'get', 'endpointslices', '-o', 'yaml')).toContain('addressType: IPv4\n');
  });

  test('gets raw paths', async () => {
    expect(await output(kubectl, 'get', '--raw', '/readyz')).toBe('ok');
    expect(await output(kubectl, 'get', '--raw', '/readyz?verbose')).toMatch(/^\[\+\]ping ok\n/);
    expect(await output(kubectl, 'get', '--raw', '/bench/bytes?size=3000000')).toHaveLength(3_000_000);
  });

  test('creates, applies, changes, labels and deletes a ConfigMap', async () => {
    const file = join(home, `${name}.yaml`);
    const manifest = (value: string) =>
      `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\ndata:\n  value: "${value}"\n`;
    const value = () => output(kubectl, 'get', 'cm', name, '-o', 'jsonpath={.data.value}');
    expect(await output(kubectl, 'create', 'configmap', name, '--from-literal=value=1')).toContain('created');
    expect(await value()).toBe('1');
    expect(await output(kubectl, 'delete', 'configmap', name)).toContain('deleted');
    writeFileSync(file, manifest('2'));
    expect(await output(kubectl, 'apply', '-f', file)).toContain('created');
    expect(await output(kubectl, 'apply', '-f', file)).toContain('unchanged');
    writeFileSync(file, manifest('3'));
    expect(await output(kubectl, 'apply', '-f', file)).toContain('configured');
    expect(await value()).toBe('3');
    writeFileSync(file, manifest('4'));
    const serverSide = await output(kubectl, 'apply', '--server-side', '--force-conflicts', '-f', file);
    expect(serverSide).toContain('serverside-applied');
    expect(await value()).toBe('4');
    await output(
      kubectl,
      'patch',
      'cm',
      name,
      '--type=json',
      '-p',
      '[{"op":"replace","path":"/data/value","value":"5"}]',
    );
    expect(await value()).toBe('5');
    await output(kubectl, 'label', 'cm', name, 'with=label');
    expect(await output(kubectl, 'get', 'cm', '-l', `with=label`, '-o', 'name')).toBe(`configmap/${name}\n`);
    expect(await output(kubectl, 'delete', '-f', file)).toContain('deleted');
    expect((await run(kubectl, ['get', 'cm', name])).stderr).toContain(`configmaps "${name}" not found`);
  });

  test('watches, and sees what changes', async () => {
    const watch = watching(kubectl, 'get', 'cm', '-n', 'kube-public', '-w', '-o', 'name');
    try {
      await output(kubectl, 'create', 'cm', `${name}-a`, '-n', 'kube-public');
      await eventually('the first', () => watch.state.text.includes(`configmap/${name}-a\n`));
      await output(kubectl, 'create', 'cm', `${name}-b`, '-n', 'kube-public');
      await eventually('the second', () => watch.state.text.includes(`configmap/${name}-b\n`));
      await output(kubectl, 'delete', 'cm', '-n', 'kube-public', '--all');
    } finally {
      await watch.stop();
    }
  });

  test('watches EndpointSlices as a table', async () => {
    const watch = watching(kubectl, 'get', 'endpointslices', '-w');
    const [server] = plane.servers.slice(-1);
    const rows = () => watch.state.text.trim().split('\n').slice(1);
    try {
      await eventually('the row of now', () => rows().length === 1);
      await server?.terminate();
      await eventually('the row of two', () => rows().length === 2);
      expect(rows()[1]).not.toContain(server?.host);
      await server?.start();
      await server?.ready();
      await eventually('the row of three', () => rows().length === 3);
      expect(rows()[2]).toContain(server?.host);
      // One table, not one for each event.
      expect(watch.state.text.match(/NAME/g)).toHaveLength(1);
    } finally {
      await watch.stop();
    }
  });

  test('reads a long list in chunks', async () => {
    for (const letter of ['a', 'b', 'c']) {
      const body = { metadata: { name: `${name}-${letter}` } };
      await plane.store.put(`/registry/core/configmaps/kube-system/${name}-${letter}`, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        ...body,
      });
    }
    const { stderr, stdout } = await run(
      kubectl,
      'get cm -n kube-system --chunk-size=2 -o name -v 6'.split(' '),
    );
    for (const letter of ['a', 'b', 'c']) expect(stdout).toContain(`configmap/${name}-${letter}\n`);
    expect(stderr).toMatch(/configmaps\?continue=\S+&limit=2|configmaps\?limit=2&continue=/);
  });

  test('is told who it is and what it may not', async () => {
    const token = await run(kubectl, ['get', 'endpointslices', '-o', 'name'], 'token');
    expect(token.stdout).toBe('endpointslice.discovery.k8s.io/kubernetes\n');
    const nobody = await run(kubectl, ['get', 'endpointslices'], 'nobody');
    expect(nobody.code).not.toBe(0);
    expect(nobody.stderr).toContain('User "nobody" cannot list resource "endpointslices"');
    const node = await run(kubectl, ['auth', 'can-i', 'list', 'endpointslices.discovery.k8s.io'], 'node');
    expect(node.stdout).toBe('no\n');
    expect(await output(kubectl, 'auth', 'can-i', 'delete', 'cm')).toBe('yes\n');
  });

  test('says which version the server has', async () => {
    expect(await output(kubectl, 'version', '-o', 'json')).toContain('"gitVersion": "v1.36.2"');
  });
});

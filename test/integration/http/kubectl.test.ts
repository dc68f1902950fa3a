// Stock kubectl, old and new, and the JavaScript client, with a token through the http listener of a running agent.
import { spawn } from 'node:child_process';
import { createConnection } from 'node:net';
import { basename, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import { type ControlPlane, knownTokens } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { type HttpAgent, startHttpAgent } from '../../support/agent/http-agent.ts';
import { findKubectls, Kubectl } from '../../support/clients/kubectl.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const suite = agentSuite();
const directory = tempDir();
const kubectls = findKubectls();
let plane: ControlPlane;
let it: HttpAgent;
let kubeconfig: string;

beforeAll(async () => {
  plane = await suite.startControlPlane({ servers: 3, anonymous: 'off' });
  await plane.store.put('/registry/core/pods/default/web', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'default' },
    spec: { containers: [{ name: 'main', image: 'x' }] },
    status: { phase: 'Running' },
  });
  it = await startHttpAgent(plane, {
    scope: suite,
    directory,
    settings: { balance: { policy: 'round-robin' } },
  });
  kubeconfig = it.kubeconfig(knownTokens.admin);
});

const upgrades = async () => {
  const text = await it.agent.metrics();
  return [...text.matchAll(/requests_total\{verb="CONNECT",code="101"[^}]*\} (\d+)/g)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
};

if (kubectls.length === 0) skipLoudly('kubectl through the http listener', 'no kubectl');

// Numbered, as two of them in different directories may share a name.
const named = kubectls.map((program, index) => [basename(program), `kubectl-${index}`, program] as const);

describe.each(named)('%s', (_name, id, program) => {
  const home = join(directory, id);
  const kubectl = () => new Kubectl({ program, kubeconfig, home });
  const map = `cm-${id}`;

  test('gets, applies, changes and deletes', async () => {
    const manifest = (value: string) =>
      JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: map }, data: { value } });
    expect(await kubectl().ok('apply -f -', manifest('1'))).toContain('created');
    expect(await kubectl().ok('apply -f -', manifest('2'))).toContain('configured');
    expect(await kubectl().ok(`get cm ${map} -o jsonpath={.data.value}`)).toBe('2');
    expect(await kubectl().ok('get endpointslices')).toContain('kubernetes');
    expect(await kubectl().ok('auth can-i delete cm')).toBe('yes\n');
    expect(await kubectl().ok(`delete cm ${map}`)).toContain('deleted');
    expect((await kubectl().run(['get', 'cm', map])).stderr).toContain('not found');
    expect(await kubectl().ok('get --raw /bench/bytes?size=3000000')).toHaveLength(3_000_000);
  });

  test('watches', async () => {
    const watch = kubectl().watch('get cm -n kube-public -w -o name');
    try {
      await kubectl().ok(`create cm ${map}-a -n kube-public`);
      await eventually('the first', () => watch.has(`configmap/${map}-a`));
      await kubectl().ok(`create cm ${map}-b -n kube-public`);
      await eventually('the second', () => watch.has(`configmap/${map}-b`));
    } finally {
      await watch.stop();
    }
  });

  test('follows a log', async () => {
    expect(await kubectl().ok('logs web')).toBe('line 1\nline 2\nline 3\n');
    const log = kubectl().watch('logs -f web');
    await eventually('lines that came later', () => log.text.includes('line 6\n'));
    await log.stop();
  });

  test('executes commands, with input, errors and exit codes', async () => {
    const before = await upgrades();
    expect(await kubectl().ok('exec web -- echo hello there')).toBe('echo hello there\n');
    const text = `${'0123456789'.repeat(1_000)}\n`;
    expect(await kubectl().ok('exec -i web -- cat', text)).toBe(text);
    expect(await kubectl().run('exec web -- fail 3'.split(' '))).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('it failed\n'),
    });
    expect(await kubectl().ok('exec web -- after 300')).toBe('after 300\n');
    await eventually('four upgrades are counted', async () => (await upgrades()) === before + 4);
  });

  test('attaches', async () => {
    expect(await kubectl().ok('attach -i web', 'typed\n')).toContain('typed\n');
  });

  test('is refused what the token may not', async () => {
    const nobody = kubectl().as(it.kubeconfig(knownTokens.nobody));
    expect((await nobody.run(['get', 'cm'])).stderr).toContain('User "nobody" cannot list resource');
    expect((await nobody.run(['exec', 'web', '--', 'true'])).stderr).toMatch(/forbidden/i);
  });

  test('forwards a port', async () => {
    const child = spawn(program, ['port-forward', 'pod/web', ':80'], {
      env: { PATH: process.env.PATH, HOME: home, KUBECONFIG: kubeconfig },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    try {
      let said = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += data));
      const port = await eventually(
        () => `a port: ${said}`,
        () => /Forwarding from 127\.0\.0\.1:(\d+)/.exec(said)?.[1],
      );
      const socket = createConnection(Number(port), '127.0.0.1');
      let back = '';
      socket.on('data', (data) => (back += data)).on('error', () => {});
      socket.write('through three tunnels');
      await eventually(
        () => `an echo: ${said}`,
        () => back === 'through three tunnels',
      );
      socket.destroy();
    } finally {
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('close', resolve));
    }
  });
});

test('a kubectl with a client certificate is told to use the passthrough port', async () => {
  const [program] = kubectls;
  if (!program) return;
  const file = await plane.writeKubeconfig({ user: 'admin', server: `https://127.0.0.1:${it.port}` });
  const kubectl = new Kubectl({
    program,
    kubeconfig: file,
    home: join(directory, 'cert'),
    flags: ['--insecure-skip-tls-verify'],
  });
  const { code, stderr } = await kubectl.run(['get', 'cm']);
  expect(code).not.toBe(0);
  expect(stderr).toContain('use the passthrough listener at 127.0.0.1:');
});

describe('@kubernetes/client-node', () => {
  test('executes over WebSocket (v5.channel.k8s.io), with input to its end', async () => {
    const { Exec, KubeConfig } = await import('@kubernetes/client-node');
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    let text = '';
    stdout.on('data', (data: Buffer) => (text += data.toString()));
    const ended = Promise.withResolvers<object>();
    const socket = await new Exec(config).exec(
      'default',
      'web',
      'main',
      ['cat'],
      stdout,
      stderr,
      stdin,
      false,
      ended.resolve,
    );
    expect(socket.protocol).toBe('v5.channel.k8s.io');
    stdin.write('one ');
    await eventually('an echo', () => text === 'one ');
    stdin.end('two');
    expect(await ended.promise).toMatchObject({ status: 'Success' });
    expect(text).toBe('one two');
  });

  test('watches', async () => {
    const { KubeConfig, Watch } = await import('@kubernetes/client-node');
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const seen: string[] = [];
    const controller = await new Watch(config).watch(
      '/api/v1/namespaces/kube-system/configmaps',
      {},
      (phase, object: { metadata: { name: string } }) => seen.push(`${phase} ${object.metadata.name}`),
      () => {},
    );
    await plane.store.put('/registry/core/configmaps/kube-system/js', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'js', namespace: 'kube-system' },
    });
    await eventually('the event', () => seen.includes('ADDED js'));
    controller.abort();
  });
});

// The installer on a scratch node: a real kubelet-like process runs what it writes, a stand-in control plane answers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { reportsNamespace, KubeApi } from '../../../src/kubernetes/kube-api.ts';
import { loadCredentials } from '../../../src/kubernetes/load-credentials.ts';
import { builtProgram, freePort, runFairlead } from '../../support/agent/agent-process.ts';
import { grantsWithNodeWatch } from '../../support/apiserver/access.ts';
import { type ControlPlane, startControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { Kubelet, makeNode, podDirectory } from '../../support/kubelet/kubelet.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const scratch = tempDir();
const root = join(scratch, 'node');
const source = join(scratch, 'source');
const template = 'manifests/static-pod/fairlead.yaml';
const digest = (character: string) => `registry.example/fairlead@sha256:${character.repeat(64)}`;
let plane: ControlPlane;
let kubelet: Kubelet;
let admin = '';
let [port, adminPort, a, b] = [0, 0, 0, 0];

const node = (path: string) => join(root, path);
const manifest = (slot: string) => node(`${podDirectory}/fairlead-${slot}.yaml`);
const slotsPresent = () => ['a', 'b'].filter((slot) => existsSync(manifest(slot))).join('');

/**
 * The node's /proc is a scratch one, so what the installer would switch on is switched on here: without it a
 * busy machine that is interrupted at the wrong moment may lose a connection (docs/adr/0003).
 */
const migrateSetting = '/proc/sys/net/ipv4/tcp_migrate_req';
let setBefore: string | undefined;

function mayMigrate(): boolean {
  try {
    const before = readFileSync(migrateSetting, 'utf8');
    writeFileSync(migrateSetting, '1');
    setBefore = before;
    return true;
  } catch {
    return false;
  }
}

beforeAll(async () => {
  plane = await startControlPlane({ grants: grantsWithNodeWatch });
  makeNode(root);
  mkdirSync(source);
  admin = await plane.writeKubeconfig({ user: 'admin' });
  writeFileSync(
    node('/etc/kubernetes/kubelet.conf'),
    readFileSync(await plane.writeKubeconfig({ user: 'node' })),
  );
  const { credentials, server } = await loadCredentials({ kubeconfig: admin }, new Set());
  const api = new KubeApi({ servers: server ? [server] : [], credentials, userAgent: 'test' });
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: reportsNamespace } };
  await api.must({ method: 'POST', path: '/api/v1/namespaces', body: namespace });
  for (const set of [0, 1, 2, 3]) {
    const free = await freePort();
    if (set === 0) port = free;
    if (set === 1) adminPort = free;
    if (set === 2) a = free;
    if (set === 3) b = free;
  }
  writeConfig();
  kubelet = new Kubelet(root);
});

afterAll(async () => {
  if (setBefore !== undefined) writeFileSync(migrateSetting, setBefore);
  await kubelet.stop();
  await plane.stop();
});

function writeConfig(more = ''): void {
  writeFileSync(
    join(source, 'config.yaml'),
    `listeners: ["127.0.0.1:${port}"]
admin: 127.0.0.1:${adminPort}
credentials: {kubeconfig: ${node('/etc/kubernetes/kubelet.conf')}}
discovery: {cacheFile: ${node('/var/lib/fairlead/endpoints.json')}}
shutdown: {grace: 1s}
${more}`,
  );
}

const install = (image: string, ...more: string[]) =>
  runFairlead([
    'install',
    ...['--root', root, '--node', 'worker-1', '--kubeconfig', admin],
    ...['--config', join(source, 'config.yaml'), '--template', template],
    ...['--image', image, '--admin-ports', `${a},${b}`, '--serve-within', '20', ...more],
  ]);

const report = async () => {
  const { stdout } = await runFairlead(['install', '--report', '--json', '--kubeconfig', admin]);
  return JSON.parse(stdout) as Record<string, string>[];
};

/** A new connection for each request, 20 a second; counts what went wrong. */
function client(): { stop(): Promise<{ asked: number; problems: string[] }> } {
  const problems: string[] = [];
  const pending: Promise<void>[] = [];
  let isOn = true;
  const ask = () =>
    new Promise<void>((resolve) => {
      const asking = request(
        {
          host: '127.0.0.1',
          port,
          path: '/readyz',
          agent: false,
          ca: plane.pki.ca.cert,
          servername: 'kubernetes',
        },
        (response) => {
          if (response.statusCode !== 200) problems.push(`status ${response.statusCode}`);
          response.resume();
          response.on('end', resolve);
        },
      );
      asking.on('error', (error) => {
        problems.push(error.message);
        resolve();
      });
      asking.end();
    });
  const loop = (async () => {
    while (isOn) {
      pending.push(ask());
      await sleep(50);
    }
  })();
  return {
    async stop() {
      isOn = false;
      await loop;
      await Promise.all(pending);
      return { asked: pending.length, problems };
    },
  };
}

test('a configuration that could not survive a reboot is refused, and nothing is written', async () => {
  writeFileSync(join(source, 'config.yaml'), 'credentials: {kubeconfig: /etc/kubernetes/kubelet.conf}\n');
  const result = await install(digest('1'));
  expect(result).toMatchObject({ code: 6, stderr: expect.stringContaining('discovery.cacheFile') });
  writeConfig('# no API\n');
  const alone = await runFairlead([
    'install',
    ...[
      '--root',
      root,
      '--config',
      join(source, 'config.yaml'),
      '--template',
      template,
      '--image',
      digest('1'),
    ],
  ]);
  expect(alone).toMatchObject({ code: 6, stderr: expect.stringContaining('no API server is known') });
  expect([readdirSync(node(podDirectory)), readdirSync(node('/etc/fairlead'))]).toEqual([[], []]);
});

test('it installs the agent, waits until it serves, and reports', async () => {
  writeConfig();
  expect(await install(digest('1'))).toMatchObject({ code: 0, stderr: '' });
  expect(slotsPresent()).toBe('a');
  expect(readFileSync(node('/etc/fairlead/fairlead-a.yaml'))).toEqual(
    readFileSync(join(source, 'config.yaml')),
  );
  expect(readFileSync(node('/etc/fairlead/ca.crt'), 'utf8')).toContain('BEGIN CERTIFICATE');
  for (const endpoint of plane.endpoints) {
    const [host] = endpoint.split(':');
    expect(readFileSync(node('/var/lib/fairlead/endpoints.json'), 'utf8')).toContain(host);
  }
  const running = client();
  await sleep(200);
  expect((await running.stop()).problems).toEqual([]);
  expect(await report()).toEqual([
    expect.objectContaining({ node: 'worker-1', state: 'serving', slot: 'fairlead-a', image: digest('1') }),
  ]);
  const shown = await runFairlead(['install', '--report', '--kubeconfig', admin]);
  expect(shown).toMatchObject({ code: 0, stdout: expect.stringContaining('worker-1  serving  fairlead-a') });
});

test('a second run changes nothing', async () => {
  const before = statSync(manifest('a')).ino;
  expect(await install(digest('1'))).toMatchObject({ code: 0 });
  expect(statSync(manifest('a')).ino).toBe(before);
  expect(kubelet.log.filter((line) => line.startsWith('started'))).toHaveLength(1);
});

test('an update loses no connection of a client that opens twenty a second, and leaves one pod', async () => {
  const canMigrate = mayMigrate();
  const running = client();
  for (const image of ['2', '3', '4']) {
    expect(await install(digest(image))).toMatchObject({ code: 0, stderr: '' });
  }
  const { asked, problems } = await running.stop();
  if (canMigrate) expect(problems).toEqual([]);
  else expect(problems.length).toBeLessThanOrEqual(1);
  expect(asked).toBeGreaterThan(10);
  expect(slotsPresent()).toBe('b');
  expect(readFileSync(manifest('b'), 'utf8')).toContain(digest('4'));
  expect(existsSync(node('/etc/fairlead/fairlead-a.yaml'))).toBe(false);
  // Switched on for each hand-over, and put back.
  expect(readFileSync(node('/proc/sys/net/ipv4/tcp_migrate_req'), 'utf8').trim()).toBe('0');
});

test('an update that does not serve is taken back, and the one before it goes on', async () => {
  const running = client();
  const result = await install('registry.example/broken:1', '--serve-within', '2');
  expect(result).toMatchObject({ code: 5, stderr: expect.stringContaining('fairlead-b stays') });
  expect((await running.stop()).problems).toEqual([]);
  expect(slotsPresent()).toBe('b');
  expect(readFileSync(manifest('b'), 'utf8')).toContain(digest('4'));
  expect(await report()).toEqual([expect.objectContaining({ state: 'failed' })]);
});

test('a mistyped kubeconfig path does not pass the gate: the agent before it stays, and the message names the file', async () => {
  const typo = node('/etc/kubernetes/kubelet.cnf');
  writeConfig('# mistyped\n');
  const good = readFileSync(join(source, 'config.yaml'), 'utf8');
  writeFileSync(
    join(source, 'config.yaml'),
    good.replace('/etc/kubernetes/kubelet.conf', '/etc/kubernetes/kubelet.cnf'),
  );
  const running = client();
  const result = await install(digest('5'), '--serve-within', '6');
  expect((await running.stop()).problems).toEqual([]);
  expect(result.code).toBe(5);
  // It is ready: it serves from its cache, and the kept CA even verifies.
  for (const part of [
    'fairlead-a does not serve: it is ready, and lacks what its configuration asks for',
    `KUBECONFIG_UNREADABLE: ${typo}: does not exist`,
    'Check the path (--kubeconfig)',
    'fairlead-b stays (it does not have: KUBECONFIG_UNREADABLE)',
  ])
    expect(result.stderr).toContain(part);
  expect(slotsPresent()).toBe('b');
  expect(await report()).toEqual([
    expect.objectContaining({ state: 'failed', message: expect.stringContaining(typo) }),
  ]);
  writeConfig();
  expect(await install(digest('4'))).toMatchObject({ code: 0 });
});

test('an installer that stays is ready only while its own agent serves', async () => {
  const probe = await freePort();
  const watching = async (image: string, status: number) => {
    const args = [
      ...['install', '--watch', '--root', root, '--node', 'worker-1', '--kubeconfig', admin],
      ...['--config', join(source, 'config.yaml'), '--template', template, '--image', image],
      ...['--admin-ports', `${a},${b}`, '--serve-within', '2', '--ready-address', `127.0.0.1:${probe}`],
    ];
    const child = spawn(process.execPath, [builtProgram, ...args], { stdio: 'ignore' });
    const ended = once(child, 'close');
    const ask = () => fetch(`http://127.0.0.1:${probe}/readyz`).catch(() => undefined);
    const answer = await eventually('an answer of a pass', async () => {
      const found = await ask();
      const text = (await found?.text()) ?? '';
      return found && !text.startsWith('at it') ? { status: found.status, text } : undefined;
    });
    expect(answer.status).toBe(status);
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    return answer.text;
  };
  // The agent before it serves all the while.
  expect(await watching('registry.example/broken:1', 503)).toContain('fairlead-b stays');
  await watching(digest('4'), 200);
});

describe('drift is repaired', () => {
  test('a changed manifest, by a pod in the other slot', async () => {
    const written = readFileSync(manifest('b'), 'utf8');
    writeFileSync(manifest('b'), written.replace('cpu: 20m', 'cpu: 21m'));
    expect(await install(digest('4'))).toMatchObject({ code: 0 });
    expect(slotsPresent()).toBe('a');
    expect(readFileSync(manifest('a'), 'utf8')).toContain('cpu: 20m');
  });

  test('a removed manifest', async () => {
    rmSync(manifest('a'));
    expect(await install(digest('4'))).toMatchObject({ code: 0 });
    expect(slotsPresent()).toBe('a');
  });

  test.each([
    [
      'a changed configuration',
      () => writeFileSync(node('/etc/fairlead/fairlead-a.yaml'), 'endpoints: []\n'),
    ],
    ['a removed CA', () => rmSync(node('/etc/fairlead/ca.crt'))],
    ['a corrupt cache', () => writeFileSync(node('/var/lib/fairlead/endpoints.json'), '{')],
  ])('%s', async (_what, spoil) => {
    spoil();
    expect(await install(digest('4'))).toMatchObject({ code: 0 });
    expect(readFileSync(node('/etc/fairlead/fairlead-a.yaml'))).toEqual(
      readFileSync(join(source, 'config.yaml')),
    );
    expect(readFileSync(node('/etc/fairlead/ca.crt'), 'utf8')).toContain('BEGIN CERTIFICATE');
    expect(JSON.parse(readFileSync(node('/var/lib/fairlead/endpoints.json'), 'utf8'))).toHaveProperty(
      'endpoints.0',
    );
  });
});

test('without the API it goes on with what the node has', async () => {
  const { code } = await runFairlead([
    'install',
    ...['--root', root, '--config', join(source, 'config.yaml'), '--template', template],
    ...['--image', digest('4'), '--admin-ports', `${a},${b}`],
  ]);
  expect(code).toBe(0);
});

test('a first install without the right to watch says which right is missing; nothing else is lost', async () => {
  const other = await startControlPlane({ servers: 1 });
  const otherRoot = join(scratch, 'without-rights');
  makeNode(otherRoot);
  const second = new Kubelet(otherRoot);
  try {
    const [conf, config] = [join(otherRoot, 'etc/kubernetes/kubelet.conf'), join(scratch, 'no-rights.yaml')];
    writeFileSync(conf, readFileSync(await other.writeKubeconfig({ user: 'node' })));
    const [own, left, right] = [await freePort(), await freePort(), await freePort()];
    const cacheFile = join(otherRoot, 'var/lib/fairlead/endpoints.json');
    const run = (watch: boolean) => {
      writeFileSync(
        config,
        `listeners: ["127.0.0.1:${own}"]
endpoints: [${other.endpoints[0]}]
credentials: {kubeconfig: ${conf}}
discovery: {cacheFile: ${cacheFile}, watch: ${watch}}
shutdown: {grace: 1s}
`,
      );
      return runFairlead([
        ...['install', '--root', otherRoot, '--config', config, '--template', template],
        ...['--image', digest('1'), '--admin-ports', `${left},${right}`, '--serve-within', '6'],
      ]);
    };
    const refused = await run(true);
    expect(refused.code).toBe(5);
    expect(refused.stderr).toContain('WATCH_NOT_SYNCED: the watch of the EndpointSlices has never worked');
    expect(refused.stderr).toMatch(/HTTP 403: user ".*" may not list and watch endpointslices/);
    expect(refused.stderr).toContain('discovery.watch: false');
    // There is nothing else on this node: it stays, and serves.
    expect(readdirSync(join(otherRoot, podDirectory))).toEqual(['fairlead-a.yaml']);
    // Wanted so, it serves.
    expect(await run(false)).toMatchObject({ code: 0 });
  } finally {
    await second.stop();
    await other.stop();
  }
});

test('uninstall gives back kubeconfig and hosts, and leaves no file', async () => {
  const conf = node('/etc/kubernetes/kubelet.conf');
  const original = readFileSync(conf, 'utf8');
  const pointed = await runFairlead([
    'kubeconfig',
    'point',
    ...['--root', root, '--config', join(source, 'config.yaml')],
  ]);
  expect(pointed.code).toBe(0);
  writeFileSync(node('/etc/hosts'), '10.0.0.9 lb-apiserver.kubernetes.local\n');
  await runFairlead(['hosts', '--root', root]);

  const cache = ['--cache-file', '/var/lib/fairlead/endpoints.json', '--admin-ports', `${a},${b}`];
  const off = ['uninstall', '--root', root, '--node', 'worker-1', '--kubeconfig', admin, ...cache];
  const first = await runFairlead(off);
  expect(first).toMatchObject({ code: 6, stderr: expect.stringContaining('systemctl restart kubelet') });
  expect(readFileSync(conf, 'utf8')).toBe(original);
  expect(slotsPresent()).toBe('a');

  expect(await runFairlead(off)).toMatchObject({ code: 0, stderr: '' });
  expect(readFileSync(node('/etc/hosts'), 'utf8')).toBe('10.0.0.9 lb-apiserver.kubernetes.local\n');
  expect([
    readdirSync(node(podDirectory)),
    existsSync(node('/etc/fairlead')),
    existsSync(node('/var/lib/fairlead')),
  ]).toEqual([[], false, false]);
  expect(await report()).toEqual([]);
  await eventually('no agent', () => kubelet.log.at(-1)?.startsWith('ended fairlead-a'));
});

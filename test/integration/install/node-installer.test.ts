// The installer on scratch nodes: a real kubelet-like process runs what it writes, a stand-in control plane answers. Tests of a
// first installation and of the removal have a node of their own; the others share one, and begin by bringing it to a known state.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { builtProgram, freePort, runFairlead } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { podDirectory } from '../../support/kubelet/kubelet.ts';
import {
  type Cluster,
  digest,
  type Slot,
  startCluster,
  staticPodTemplate,
  Worker,
} from '../../support/kubelet/worker.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const suite = agentSuite();
const scratch = tempDir();
/** The cluster and the node that tests share. */
let shared: Cluster;
let worker: Worker;

const newWorker = (name: string, cluster = shared) => Worker.make(name, scratch, cluster);

/**
 * The node's /proc is a scratch one, so what the installer would switch on is switched on here: without it a
 * busy machine that is interrupted at the wrong moment may lose a connection (docs/adr/0003).
 */
const migrateSetting = '/proc/sys/net/ipv4/tcp_migrate_req';
let canMigrate = false;

function allowMigration(): void {
  try {
    const before = readFileSync(migrateSetting, 'utf8');
    writeFileSync(migrateSetting, '1');
    suite.onStop(() => writeFileSync(migrateSetting, before));
    canMigrate = true;
  } catch {
    // Not root, or a kernel before 5.14.
  }
}

beforeAll(async () => {
  allowMigration();
  shared = await startCluster(suite);
  worker = await newWorker('worker-1');
  worker.startKubelet(suite);
});

/** A new connection for each request, 20 a second; counts what went wrong. */
function client({ port, cluster: { plane } }: Worker): {
  stop(): Promise<{ asked: number; problems: string[] }>;
} {
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
  const untouched = await newWorker('worker-without-pods');
  writeFileSync(untouched.configFile, 'credentials: {kubeconfig: /etc/kubernetes/kubelet.conf}\n');
  const result = await untouched.install(digest('1'));
  expect(result).toMatchObject({ code: 6, stderr: expect.stringContaining('discovery.cacheFile') });
  untouched.writeConfig('# no API\n');
  const alone = await runFairlead([
    ...['install', '--root', untouched.root, '--config', untouched.configFile],
    ...['--template', staticPodTemplate, '--image', digest('1')],
  ]);
  expect(alone).toMatchObject({ code: 6, stderr: expect.stringContaining('no API server is known') });
  expect([readdirSync(untouched.path(podDirectory)), readdirSync(untouched.path('/etc/fairlead'))]).toEqual([
    [],
    [],
  ]);
});

test('it installs the agent, waits until it serves, and reports', async () => {
  const cluster = await startCluster(suite);
  const fresh = await newWorker('worker-2', cluster);
  fresh.startKubelet(suite);
  expect(await fresh.install(digest('1'))).toMatchObject({ code: 0, stderr: '' });
  expect(fresh.slots()).toEqual(['a']);
  expect(readFileSync(fresh.path('/etc/fairlead/fairlead-a.yaml'))).toEqual(readFileSync(fresh.configFile));
  expect(readFileSync(fresh.path('/etc/fairlead/ca.crt'), 'utf8')).toContain('BEGIN CERTIFICATE');
  for (const endpoint of cluster.plane.endpoints) {
    const [host] = endpoint.split(':');
    expect(readFileSync(fresh.path('/var/lib/fairlead/endpoints.json'), 'utf8')).toContain(host);
  }
  const running = client(fresh);
  await sleep(200);
  expect((await running.stop()).problems).toEqual([]);
  expect(await fresh.report()).toEqual([
    expect.objectContaining({ node: 'worker-2', state: 'serving', slot: 'fairlead-a', image: digest('1') }),
  ]);
  const shown = await runFairlead(['install', '--report', '--kubeconfig', cluster.admin]);
  expect(shown).toMatchObject({ code: 0, stdout: expect.stringContaining('worker-2  serving  fairlead-a') });
});

test('a second run changes nothing', async () => {
  const { slot } = await worker.serving();
  const started = () => worker.log.filter((line) => line.startsWith('started')).length;
  const before = { file: statSync(worker.manifest(slot)).ino, started: started() };
  expect(await worker.install(digest('4'))).toMatchObject({ code: 0 });
  expect({ file: statSync(worker.manifest(slot)).ino, started: started() }).toEqual(before);
});

test('an update loses no connection of a client that opens twenty a second, and leaves one pod', async () => {
  const { slot, other } = await worker.serving();
  const running = client(worker);
  for (const image of ['2', '3', '4']) {
    expect(await worker.install(digest(image))).toMatchObject({ code: 0, stderr: '' });
  }
  const { asked, problems } = await running.stop();
  if (canMigrate) expect(problems).toEqual([]);
  else expect(problems.length).toBeLessThanOrEqual(1);
  expect(asked).toBeGreaterThan(10);
  expect(worker.slots()).toEqual([other]);
  expect(readFileSync(worker.manifest(other), 'utf8')).toContain(digest('4'));
  expect(existsSync(worker.path(`/etc/fairlead/fairlead-${slot}.yaml`))).toBe(false);
  // Switched on for each hand-over, and put back.
  expect(readFileSync(worker.path('/proc/sys/net/ipv4/tcp_migrate_req'), 'utf8').trim()).toBe('0');
});

test('an update that does not serve is taken back, and the one before it goes on', async () => {
  const { slot } = await worker.serving();
  const running = client(worker);
  const result = await worker.install('registry.example/broken:1', '--serve-within', '2');
  expect(result).toMatchObject({ code: 5, stderr: expect.stringContaining(`fairlead-${slot} stays`) });
  expect((await running.stop()).problems).toEqual([]);
  expect(worker.slots()).toEqual([slot]);
  expect(readFileSync(worker.manifest(slot), 'utf8')).toContain(digest('4'));
  expect(await worker.report()).toEqual([expect.objectContaining({ state: 'failed' })]);
});

test('a mistyped kubeconfig path does not pass the gate: the agent before it stays, and the message names the file', async () => {
  const { slot, other } = await worker.serving();
  const typo = worker.path('/etc/kubernetes/kubelet.cnf');
  const good = readFileSync(worker.configFile, 'utf8');
  writeFileSync(worker.configFile, good.replace(worker.path('/etc/kubernetes/kubelet.conf'), typo));
  const running = client(worker);
  const result = await worker.install(digest('5'), '--serve-within', '6');
  expect((await running.stop()).problems).toEqual([]);
  expect(result.code).toBe(5);
  // It is ready: it serves from its cache, and the kept CA even verifies.
  for (const part of [
    `fairlead-${other} is not serving: it is ready, but lacks what its configuration requires`,
    `KUBECONFIG_UNREADABLE: ${typo}: does not exist`,
    'Check the path (--kubeconfig)',
    `fairlead-${slot} stays (which does not report KUBECONFIG_UNREADABLE)`,
  ])
    expect(result.stderr).toContain(part);
  expect(worker.slots()).toEqual([slot]);
  expect(await worker.report()).toEqual([
    expect.objectContaining({ state: 'failed', message: expect.stringContaining(typo) }),
  ]);
  // With the right path the same command succeeds.
  expect(await worker.serving()).toEqual({ slot, other });
}, 90_000);

test('an installer that stays is ready only while its own agent serves', async () => {
  const { slot } = await worker.serving();
  const probe = await freePort();
  const watching = async (image: string, status: number) => {
    const args = [
      ...[
        'install',
        '--watch',
        '--root',
        worker.root,
        '--node',
        worker.name,
        '--kubeconfig',
        worker.cluster.admin,
      ],
      ...['--config', worker.configFile, '--template', staticPodTemplate, '--image', image],
      ...['--admin-ports', worker.adminPorts, '--serve-within', '2', '--ready-address', `127.0.0.1:${probe}`],
    ];
    const child = spawn(process.execPath, [builtProgram, ...args], { stdio: 'ignore' });
    suite.onStop(() => child.kill('SIGKILL'));
    const ended = once(child, 'close');
    const ask = () => fetch(`http://127.0.0.1:${probe}/readyz`).catch(() => undefined);
    const answer = await eventually('an answer of a pass', async () => {
      const found = await ask();
      const text = (await found?.text()) ?? '';
      return found && !text.startsWith('in progress') ? { status: found.status, text } : undefined;
    });
    expect(answer.status).toBe(status);
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    return answer.text;
  };
  // The agent before it serves all the while.
  expect(await watching('registry.example/broken:1', 503)).toContain(`fairlead-${slot} stays`);
  await watching(digest('4'), 200);
});

describe('drift is repaired', () => {
  test('a changed manifest, by a pod in the other slot', async () => {
    const { slot, other } = await worker.serving();
    const written = readFileSync(worker.manifest(slot), 'utf8');
    writeFileSync(worker.manifest(slot), written.replace('cpu: 20m', 'cpu: 21m'));
    expect(await worker.install(digest('4'))).toMatchObject({ code: 0 });
    expect(worker.slots()).toEqual([other]);
    expect(readFileSync(worker.manifest(other), 'utf8')).toContain('cpu: 20m');
  });

  test('a removed manifest', async () => {
    const { slot } = await worker.serving();
    rmSync(worker.manifest(slot));
    expect(await worker.install(digest('4'))).toMatchObject({ code: 0 });
    // Nothing is left to hand over from: the first slot.
    expect(worker.slots()).toEqual(['a']);
  });

  test.each([
    [
      'a changed configuration',
      (slot: Slot) => writeFileSync(worker.path(`/etc/fairlead/fairlead-${slot}.yaml`), 'endpoints: []\n'),
    ],
    ['a removed CA', () => rmSync(worker.path('/etc/fairlead/ca.crt'))],
    ['a corrupt cache', () => writeFileSync(worker.path('/var/lib/fairlead/endpoints.json'), '{')],
  ])('%s', async (_what, spoil) => {
    const { slot } = await worker.serving();
    spoil(slot);
    expect(await worker.install(digest('4'))).toMatchObject({ code: 0 });
    const [now = slot] = worker.slots();
    expect(readFileSync(worker.path(`/etc/fairlead/fairlead-${now}.yaml`))).toEqual(
      readFileSync(worker.configFile),
    );
    expect(readFileSync(worker.path('/etc/fairlead/ca.crt'), 'utf8')).toContain('BEGIN CERTIFICATE');
    expect(JSON.parse(readFileSync(worker.path('/var/lib/fairlead/endpoints.json'), 'utf8'))).toHaveProperty(
      'endpoints.0',
    );
  });
});

test('without the API it goes on with what the node has', async () => {
  await worker.serving();
  const { code } = await runFairlead([
    ...['install', '--root', worker.root, '--config', worker.configFile, '--template', staticPodTemplate],
    ...['--image', digest('4'), '--admin-ports', worker.adminPorts],
  ]);
  expect(code).toBe(0);
});

test('a first install without the right to watch says which right is missing; nothing else is lost', async () => {
  const withoutRights = await suite.startControlPlane({ servers: 1 });
  const fresh = await newWorker('worker-3');
  fresh.startKubelet(suite);
  const conf = fresh.path('/etc/kubernetes/kubelet.conf');
  writeFileSync(conf, readFileSync(await withoutRights.writeKubeconfig({ user: 'node' })));
  const run = (watch: boolean) => {
    writeFileSync(
      fresh.configFile,
      `listeners: ["127.0.0.1:${fresh.port}"]
endpoints: [${withoutRights.endpoints[0]}]
credentials: {kubeconfig: ${conf}}
discovery: {cacheFile: ${fresh.path('/var/lib/fairlead/endpoints.json')}, watch: ${watch}}
shutdown: {grace: 1s}
`,
    );
    return runFairlead([
      ...['install', '--root', fresh.root, '--config', fresh.configFile, '--template', staticPodTemplate],
      ...['--image', digest('1'), '--admin-ports', fresh.adminPorts, '--serve-within', '6'],
    ]);
  };
  const refused = await run(true);
  expect(refused.code).toBe(5);
  expect(refused.stderr).toContain('WATCH_NOT_SYNCED: the EndpointSlice watch has never worked');
  expect(refused.stderr).toMatch(/HTTP 403: user ".*" may not list and watch endpointslices/);
  expect(refused.stderr).toContain('discovery.watch: false');
  // There is nothing else on this node: it stays, and serves.
  expect(readdirSync(fresh.path(podDirectory))).toEqual(['fairlead-a.yaml']);
  // Wanted so, it serves.
  expect(await run(false)).toMatchObject({ code: 0 });
});

test('uninstall gives back kubeconfig and hosts, and leaves no file', async () => {
  const leaving = await newWorker('worker-4');
  leaving.startKubelet(suite);
  const { slot } = await leaving.serving();
  const conf = leaving.path('/etc/kubernetes/kubelet.conf');
  const original = readFileSync(conf, 'utf8');
  const pointed = await runFairlead([
    ...['kubeconfig', 'point', '--root', leaving.root, '--config', leaving.configFile],
  ]);
  expect(pointed.code).toBe(0);
  writeFileSync(leaving.path('/etc/hosts'), '10.0.0.9 lb-apiserver.kubernetes.local\n');
  await runFairlead(['hosts', '--root', leaving.root]);

  const cache = ['--cache-file', '/var/lib/fairlead/endpoints.json', '--admin-ports', leaving.adminPorts];
  const off = [
    'uninstall',
    '--root',
    leaving.root,
    '--node',
    leaving.name,
    '--kubeconfig',
    leaving.cluster.admin,
    ...cache,
  ];
  const first = await runFairlead(off);
  expect(first).toMatchObject({ code: 6, stderr: expect.stringContaining('systemctl restart kubelet') });
  expect(readFileSync(conf, 'utf8')).toBe(original);
  expect(leaving.slots()).toEqual([slot]);

  expect(await runFairlead(off)).toMatchObject({ code: 0, stderr: '' });
  expect(readFileSync(leaving.path('/etc/hosts'), 'utf8')).toBe('10.0.0.9 lb-apiserver.kubernetes.local\n');
  expect([
    readdirSync(leaving.path(podDirectory)),
    existsSync(leaving.path('/etc/fairlead')),
    existsSync(leaving.path('/var/lib/fairlead')),
  ]).toEqual([[], false, false]);
  expect(await leaving.report()).toEqual([]);
  await eventually('no agent', () => leaving.log.at(-1)?.startsWith(`ended fairlead-${slot}`));
});

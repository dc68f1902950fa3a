// The way from one node to all: a node that was adopted by hand gets the installer's agent in place of its own static pod.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import { H2Tunnel } from '../../support/clients/h2-tunnel.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';
import { podDirectory } from '../../support/kubelet/kubelet.ts';
import {
  type Cluster,
  digest,
  startCluster,
  staticPodTemplate,
  Worker,
} from '../../support/kubelet/worker.ts';

const suite = agentSuite();
const scratch = tempDir();
let cluster: Cluster;
const migrateSetting = '/proc/sys/net/ipv4/tcp_migrate_req';
let canMigrate = false;

beforeAll(async () => {
  try {
    // The node's /proc is a scratch one: what the installer switches on there is switched on here.
    const before = readFileSync(migrateSetting, 'utf8');
    writeFileSync(migrateSetting, '1');
    suite.onStop(() => writeFileSync(migrateSetting, before));
    canMigrate = true;
  } catch {
    // Not root, or a kernel before 5.14.
  }
  cluster = await startCluster(suite);
});

const manifestFile = `${podDirectory}/fairlead.yaml`;

interface Pod {
  spec: { containers: [{ args: string[]; startupProbe?: object; livenessProbe?: object }] };
}

/** As docs/adopt.md has it: the static pod as it is rendered, and a configuration beside it. */
async function adoptedByHand(name: string, { sharesPort }: { readonly sharesPort: boolean }) {
  const worker = await Worker.make(name, scratch, cluster);
  worker.writeConfig(`endpoints: [${cluster.plane.endpoints.join(', ')}]\n`);
  writeFileSync(worker.path('/etc/fairlead/config.yaml'), readFileSync(worker.configFile));
  const pod = parse(readFileSync(staticPodTemplate, 'utf8')) as Pod;
  const [container] = pod.spec.containers;
  if (!sharesPort) container.args = container.args.filter((word) => word !== '--reuse-port');
  // They ask the default admin port, which another test may have.
  delete container.startupProbe;
  delete container.livenessProbe;
  writeFileSync(worker.path(manifestFile), stringify(pod));
  worker.startKubelet(suite);
  await eventually('the agent serves', () => answers(worker));
  return worker;
}

const answers = async ({ port, cluster: { plane } }: Worker) => {
  const tunnel = await H2Tunnel.open(`127.0.0.1:${port}`, plane.pki).catch(() => undefined);
  if (!tunnel) return false;
  tunnel.destroy();
  return true;
};

/** A new connection, twenty a second. */
function client(worker: Worker) {
  const outcomes: boolean[] = [];
  const pending: Promise<unknown>[] = [];
  let isOn = true;
  const loop = (async () => {
    while (isOn) {
      pending.push(answers(worker).then((isGood) => outcomes.push(isGood)));
      await sleep(50);
    }
  })();
  return async () => {
    isOn = false;
    await loop;
    await Promise.all(pending);
    return outcomes;
  };
}

test('a node adopted by hand moves to the installer without a refused connection', async () => {
  const worker = await adoptedByHand('worker-shares', { sharesPort: true });
  const stop = client(worker);
  expect(await worker.install(digest('1'))).toMatchObject({ code: 0, stderr: '' });
  await eventually('its own pod has ended', () =>
    worker.log.some((line) => line.startsWith('ended fairlead ')),
  );
  const outcomes = await stop();
  expect(outcomes.length).toBeGreaterThan(10);
  const refused = outcomes.filter((isGood) => !isGood).length;
  expect(refused).toBeLessThanOrEqual(canMigrate ? 0 : 1);
  expect(readdirSync(worker.path(podDirectory))).toEqual(['fairlead-a.yaml']);
  // An operator wrote it.
  expect(existsSync(worker.path('/etc/fairlead/config.yaml'))).toBe(true);
  expect(await answers(worker)).toBe(true);
  expect(await worker.install(digest('1'))).toMatchObject({ code: 0, stderr: '' });
  expect(worker.slots()).toEqual(['a']);
});

test('an agent that does not share its port is set aside once the new one needs nothing else', async () => {
  const worker = await adoptedByHand('worker-alone', { sharesPort: false });
  expect(await worker.install(digest('1'))).toMatchObject({ code: 0, stderr: '' });
  expect(readdirSync(worker.path(podDirectory))).toEqual(['fairlead-a.yaml']);
  expect(existsSync(worker.path('/etc/kubernetes/fairlead-by-hand'))).toBe(false);
  expect(await answers(worker)).toBe(true);
});

test.each([true, false])(
  'an agent that does not serve leaves the one adopted by hand where it is (shares its port: %s)',
  async (sharesPort) => {
    const worker = await adoptedByHand(`worker-broken-${sharesPort}`, { sharesPort });
    const stop = client(worker);
    const result = await worker.install('registry.example/broken:1', '--serve-within', '2');
    expect(result).toMatchObject({ code: 5, stderr: expect.stringContaining('fairlead.yaml stays') });
    expect(await stop()).not.toContain(false);
    expect(readdirSync(worker.path(podDirectory))).toEqual(['fairlead.yaml']);
  },
);

test('clients of another address of the agent adopted by hand are not stranded', async () => {
  const worker = await adoptedByHand('worker-elsewhere', { sharesPort: true });
  const kubeconfig = worker.path('/etc/kubernetes/kubelet.conf');
  const before = readFileSync(kubeconfig, 'utf8');
  writeFileSync(kubeconfig, before.replace(/https:[^"\s]+/, 'https://127.0.0.1:7443'));
  const result = await worker.install(digest('1'));
  expect(result).toMatchObject({ code: 6, stderr: expect.stringContaining('https://127.0.0.1:7443') });
  expect(readdirSync(worker.path(podDirectory))).toEqual(['fairlead.yaml']);
});

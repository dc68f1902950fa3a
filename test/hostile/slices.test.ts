// Attack: who may write EndpointSlices, or an API server that lies, lists addresses that are no API server's, changes the list
// twenty times a second, and answers its health check late for minutes.
// Bound: such addresses are never checked; the log stays below 300 KB and the agent's memory grows by less than 64 MB, whatever
// is said; clients are served meanwhile; the agent's descriptors are afterwards as many as before.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { putSlice, sliceKey } from '../integration/discovery/harness.ts';
import type { AgentProcess } from '../support/agent/agent-process.ts';
import { agentSuite } from '../support/agent/agent-suite.ts';
import type { ControlPlane } from '../support/apiserver/control-plane.ts';
import { eventually } from '../support/jest/eventually.ts';
import { isFullTier } from '../support/jest/full-tier.ts';

const seconds = isFullTier ? 60 : 5;
const suite = agentSuite();
let plane: ControlPlane;
let agent: AgentProcess;
let logBytes = 0;

beforeEach(async () => {
  plane = await suite.startControlPlane({ servers: 2 });
  logBytes = 0;
  agent = await suite.startAgent({
    endpoints: plane.endpoints,
    kubeconfig: await plane.writeKubeconfig({ user: 'fairlead' }),
    onLog: (_, text) => {
      logBytes += text.length;
    },
  });
  await agent.untilReady(2);
  await eventually('the watch is there', async () => (await agent.status()).discovery.watch === 'synced');
});

const descriptors = () => readdirSync(`/proc/${agent.pid}/fd`).length;
const residentMb = () =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${agent.pid}/status`, 'utf8'))?.[1]) / 1024;
const entry = (address: string) => ({ addresses: [address], conditions: { ready: true } });
const ids = async () => (await agent.status()).endpoints.map(({ id }) => id).sort();

async function isServed(): Promise<void> {
  const tunnel = await suite.openTunnel(agent.address, plane);
  await tunnel.ask();
  await tunnel.close();
}

test('addresses that name no other host are left out with a warning, the others are used', async () => {
  const special = ['0.0.0.0', '169.254.169.254', '224.0.0.1', '255.255.255.255'];
  await putSlice(plane, 'lies', { endpoints: [...special, '127.250.0.1'].map(entry) });
  await eventually('the good one is used', async () => (await ids()).includes('127.250.0.1:6443'));
  expect(await ids()).toEqual([...plane.endpoints, '127.250.0.1:6443'].sort());
  const warning = agent.log.find(({ msg }) => msg === 'EndpointSlices have problems');
  for (const address of special) expect(JSON.stringify(warning?.problems)).toContain(address);
  await isServed();
});

test(
  'a list that changes twenty times a second fills neither log nor memory, and clients are served',
  async () => {
    const before = { descriptors: descriptors(), residentMb: residentMb() };
    const untilMs = performance.now() + seconds * 1_000;
    for (let round = 0; performance.now() < untilMs; round += 1) {
      const endpoints = Array.from({ length: 200 }, (_, index) =>
        entry(`127.251.${round % 250}.${index + 1}`),
      );
      await putSlice(plane, 'churn', {
        endpoints: [...endpoints, entry(round % 2 ? 'nonsense' : '0.0.0.0')],
      });
      if (round % 20 === 0) await isServed();
      await sleep(50);
    }
    await plane.store.delete(sliceKey('churn'));
    await eventually('the list is right again', async () => (await ids()).length === plane.endpoints.length);
    expect(residentMb() - before.residentMb).toBeLessThan(64);
    expect(logBytes).toBeLessThan(300_000);
    await eventually('its descriptors are back', () => descriptors() <= before.descriptors + 4);
    await isServed();
  },
  (seconds + 60) * 1_000,
);

test(
  'an API server that answers late is told once, and keeps one verdict',
  async () => {
    const [slow] = (await agent.status()).endpoints;
    const server = plane.servers[plane.endpoints.indexOf(slow?.id ?? '')];
    await server?.misbehave({ delaysMs: { '/readyz': 1_300 } });
    const isSlow = async () =>
      (await agent.endpoint(slow?.id ?? ''))?.reason === 'L7OK/200 slow: answers late';
    await eventually('it is slow', isSlow, 30_000);
    const told = agent.log.length;
    const since = (await agent.endpoint(slow?.id ?? ''))?.since;
    for (const untilMs = performance.now() + seconds * 1_000; performance.now() < untilMs; await sleep(500)) {
      await isServed();
      expect(await agent.endpoint(slow?.id ?? '')).toMatchObject({ verdict: 'suspect', since });
    }
    expect(agent.log.slice(told).filter(({ endpoint }) => endpoint === slow?.id)).toEqual([]);
  },
  (seconds + 60) * 1_000,
);

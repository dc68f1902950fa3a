// Clients go to the API server of their own host or zone while it is ready, elsewhere when it is not, and back.
import { rendezvousOrder } from '../../../src/balance/pick-order.ts';
import { AgentProcess } from '../../support/agent/agent-process.ts';
import { type ControlPlane, startControlPlane } from '../../support/apiserver/control-plane.ts';
import type { ApiServer } from '../../support/apiserver/api-server.ts';
import type { KubeObject } from '../../support/apiserver/objects.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { H2Tunnel } from '../../support/clients/h2-tunnel.ts';
import { watchForLeaks } from '../../support/jest/leaks.ts';
import type { UserName } from '../../support/apiserver/pki-files.ts';

const leftNothing = watchForLeaks();
const stops: (() => unknown)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});
afterAll(leftNothing);

async function start(
  plane: ControlPlane,
  env: Record<string, string>,
  { user = 'admin', name = 'node-1' }: { user?: UserName; name?: string } = {},
): Promise<AgentProcess> {
  const kubeconfig = await plane.writeKubeconfig({ user });
  const args = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--node-name', name];
  const fast = {
    FAIRLEAD_HEALTH_INTERVAL: '200ms',
    FAIRLEAD_HEALTH_STANDBY_INTERVAL: '200ms',
    FAIRLEAD_HEALTH_TIMEOUT: '200ms',
    FAIRLEAD_HEALTH_FAST_INTERVAL: '100ms',
  };
  const agent = await AgentProcess.start([...args, '--kubeconfig', kubeconfig], { env: { ...fast, ...env } });
  stops.push(() => agent.kill());
  return agent;
}

async function newPlane(hosts: readonly string[]): Promise<ControlPlane> {
  const plane = await startControlPlane({ hosts });
  stops.push(() => plane.stop());
  return plane;
}

/** The API server that a new client meets. */
async function ask(agent: AgentProcess, plane: ControlPlane): Promise<string> {
  const tunnel = await H2Tunnel.open(agent.address, plane.pki);
  try {
    return await tunnel.ask();
  } finally {
    tunnel.destroy();
  }
}

const allReady = async (agent: AgentProcess, count = 3) =>
  (await agent.status()).endpoints.filter(({ verdict }) => verdict === 'ready').length === count;
const first = async (agent: AgentProcess) => (await agent.status()).endpoints[0]?.id;

/** The name of a node whose own order has `server` at `rank`. */
function nodeWith(plane: ControlPlane, rank: number, server: ApiServer | undefined): string {
  for (let index = 0; ; index += 1) {
    const order = rendezvousOrder(`node-${index}`, plane.endpoints);
    if (order[rank] === server?.address) return `node-${index}`;
  }
}

test('prefer: local keeps to the own API server while it is ready, goes elsewhere and comes back', async () => {
  // Of 127.0.0.0/8 an interface has the first address only: the others are other hosts as far as that goes.
  const plane = await newPlane(['127.61.0.2', '127.0.0.1', '127.61.0.3']);
  const local = plane.servers[1];
  const env = { FAIRLEAD_BALANCE_PREFER: 'local', FAIRLEAD_BALANCE_RETURN_AFTER: '2s' };
  // Nodes that would have it second and last.
  const names = [1, 2].map((rank) => nodeWith(plane, rank, local));
  const agents: AgentProcess[] = [];
  for (const name of names) agents.push(await start(plane, env, { name }));
  for (const agent of agents) {
    await eventually('all are ready', () => allReady(agent));
    expect(await ask(agent, plane)).toBe('cp-2');
  }
  const [agent] = agents;
  if (!agent || !local) throw new Error('unreachable');
  await local.misbehave({ failReadyz: ['etcd'] });
  await eventually('another one serves', async () => (await ask(agent, plane)) !== 'cp-2');
  await local.behave();
  await eventually('it is ready', () => allReady(agent));
  // It has to prove itself first; then it is the first again, without anything happening to it.
  const readyAt = Date.parse((await endpointOf(agent, local.address))?.since ?? '');
  await eventually('it serves again', async () => (await ask(agent, plane)) === 'cp-2');
  expect(Date.now() - readyAt).toBeGreaterThanOrEqual(2_000);
});

async function endpointOf(agent: AgentProcess, id: string) {
  return (await agent.status()).endpoints.find((endpoint) => endpoint.id === id);
}

const zoned = (name: string, zone: string, address?: string): KubeObject =>
  ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'topology.kubernetes.io/zone': zone,
        ...(address && { 'node-role.kubernetes.io/control-plane': '' }),
      },
    },
    status: { addresses: address ? [{ type: 'InternalIP', address }] : [] },
  }) as unknown as KubeObject;

describe('prefer: zone', () => {
  const hosts = ['127.62.0.1', '127.62.0.2', '127.62.0.3'];

  async function zonedPlane(): Promise<{ plane: ControlPlane; name: string }> {
    const plane = await newPlane(hosts);
    for (const [index, host] of hosts.entries()) {
      const name = `cp-${index + 1}`;
      await plane.store.put(`/registry/core/nodes/${name}`, zoned(name, `zone-${index + 1}`, host));
    }
    // A node that would have the first one first.
    const name = nodeWith(plane, 0, plane.servers[0]);
    await plane.store.put(`/registry/core/nodes/${name}`, zoned(name, 'zone-3'));
    return { plane, name };
  }

  test('reads the zones of the nodes, and its own, and follows a zone that is configured instead', async () => {
    const { plane, name } = await zonedPlane();
    const env = { FAIRLEAD_BALANCE_PREFER: 'zone' };
    const read = await start(plane, env, { name });
    const told = await start(plane, { ...env, NODE_ZONE: 'zone-2' }, { name });
    await eventually('its own zone goes first', async () => (await first(read)) === plane.endpoints[2]);
    await eventually('the told zone goes first', async () => (await first(told)) === plane.endpoints[1]);
    await eventually('all are ready', () => allReady(told));
    expect(await ask(told, plane)).toBe('cp-2');
    plane.servers[1]?.kill();
    await eventually('another zone serves', async () =>
      /cp-[13]/.test(await ask(told, plane).catch(() => '')),
    );
  });

  test('without the right to list nodes says so, once, and serves as without a preference', async () => {
    const { plane, name } = await zonedPlane();
    const agent = await start(plane, { FAIRLEAD_BALANCE_PREFER: 'zone' }, { user: 'fairlead', name });
    const warnings = () =>
      agent.log.filter(({ msg }) => msg === 'zones of the control-plane nodes cannot be read');
    await eventually('it says so', () => warnings().length === 1);
    expect(warnings()[0]?.reason).toMatch(/403|forbidden/i);
    await eventually('all are ready', () => allReady(agent));
    expect(await ask(agent, plane)).toMatch(/^cp-/);
  });
});

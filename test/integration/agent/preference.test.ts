// Clients go to the API server of their own host or zone while it is ready, elsewhere when it is not, and back.
import { rendezvousOrder } from '../../../src/balance/pick-order.ts';
import type { AgentProcess } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import type { ApiServer } from '../../support/apiserver/api-server.ts';
import type { KubeObject } from '../../support/apiserver/objects.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { H2Tunnel } from '../../support/clients/h2-tunnel.ts';

const suite = agentSuite();
const fast = {
  FAIRLEAD_HEALTH_INTERVAL: '200ms',
  FAIRLEAD_HEALTH_STANDBY_INTERVAL: '200ms',
  FAIRLEAD_HEALTH_TIMEOUT: '200ms',
  FAIRLEAD_HEALTH_FAST_INTERVAL: '100ms',
};

/** The API server that a new client meets. */
const ask = ({ address }: AgentProcess, { pki }: ControlPlane) => H2Tunnel.askOnce(address, pki);
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
  const plane = await suite.startControlPlane({ hosts: ['127.61.0.2', '127.0.0.1', '127.61.0.3'] });
  const local = plane.servers[1];
  const env = { ...fast, FAIRLEAD_BALANCE_PREFER: 'local', FAIRLEAD_BALANCE_RETURN_AFTER: '2s' };
  const kubeconfig = await plane.writeKubeconfig();
  // Nodes that would have it second and last.
  const names = [1, 2].map((rank) => nodeWith(plane, rank, local));
  const agents: AgentProcess[] = [];
  for (const nodeName of names) agents.push(await suite.startAgent({ nodeName, kubeconfig, env }));
  for (const agent of agents) {
    await agent.untilReady(3);
    expect(await ask(agent, plane)).toBe('cp-2');
  }
  const [agent] = agents;
  if (!agent || !local) throw new Error('unreachable');
  await local.misbehave({ failReadyz: ['etcd'] });
  await eventually('another one serves', async () => (await ask(agent, plane)) !== 'cp-2');
  await local.behave();
  await agent.untilReady(3);
  // It has to prove itself first; then it is the first again, without anything happening to it.
  const readyAt = Date.parse((await agent.endpoint(local.address))?.since ?? '');
  await eventually('it serves again', async () => (await ask(agent, plane)) === 'cp-2');
  expect(Date.now() - readyAt).toBeGreaterThanOrEqual(2_000);
});

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
    const plane = await suite.startControlPlane({ hosts });
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
    const env = { ...fast, FAIRLEAD_BALANCE_PREFER: 'zone' };
    const kubeconfig = await plane.writeKubeconfig();
    const read = await suite.startAgent({ nodeName: name, kubeconfig, env });
    const told = await suite.startAgent({ nodeName: name, kubeconfig, env: { ...env, NODE_ZONE: 'zone-2' } });
    await eventually('its own zone goes first', async () => (await first(read)) === plane.endpoints[2]);
    await eventually('the told zone goes first', async () => (await first(told)) === plane.endpoints[1]);
    await told.untilReady(3);
    expect(await ask(told, plane)).toBe('cp-2');
    plane.servers[1]?.kill();
    await eventually('another zone serves', async () =>
      /cp-[13]/.test(await ask(told, plane).catch(() => '')),
    );
  });

  test('without the right to list nodes says so, once, and serves as without a preference', async () => {
    const { plane, name } = await zonedPlane();
    const agent = await suite.startAgent({
      nodeName: name,
      kubeconfig: await plane.writeKubeconfig({ user: 'fairlead' }),
      env: { ...fast, FAIRLEAD_BALANCE_PREFER: 'zone' },
    });
    const warnings = () =>
      agent.log.filter(({ msg }) => msg === 'cannot read the zones of the control-plane nodes');
    await eventually('it says so', () => warnings().length === 1);
    expect(warnings()[0]?.reason).toMatch(/403|forbidden/i);
    await agent.untilReady(3);
    expect(await ask(agent, plane)).toMatch(/^cp-/);
  });
});

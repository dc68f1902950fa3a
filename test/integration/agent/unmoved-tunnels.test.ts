// Tunnels are not moved onto an API server whose certificate has gone bad while checks stay on a connection that knows
// nothing of it. Each case has a control plane of its own, and all of them wait side by side.
import type { AgentProcess } from '../../support/agent/agent-process.ts';
import type { ApiServer } from '../../support/apiserver/api-server.ts';
import { AgentScope } from '../../support/agent/agent-suite.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import { realisticTimings } from '../../support/apiserver/timings.ts';
import { eventually } from '../../support/jest/eventually.ts';
import type { H2Tunnel } from '../../support/clients/h2-tunnel.ts';
import { watchForLeaks } from '../../support/jest/leaks.ts';

const leftNothing = watchForLeaks();
const timeoutMs = 240_000;

/** Drains soon, and needs no long good time of others. */
const soon = {
  FAIRLEAD_HEALTH_INTERVAL: '1s',
  FAIRLEAD_DRAIN_UNREADY_AFTER: '1s',
  FAIRLEAD_DRAIN_BETTER_READY_FOR: '1s',
  FAIRLEAD_DRAIN_WINDOW: '1s',
  FAIRLEAD_BALANCE_REBALANCE_OVER: '1s',
};
/** The same, but an API server that is not ready keeps its tunnels. */
const noDrain = { ...soon, FAIRLEAD_DRAIN_UNREADY_AFTER: '10m' };

/** One agent before three API servers. */
class World {
  readonly plane: ControlPlane;
  readonly agent: AgentProcess;
  readonly #scope: AgentScope;

  constructor(scope: AgentScope, plane: ControlPlane, agent: AgentProcess) {
    this.#scope = scope;
    this.plane = plane;
    this.agent = agent;
  }

  open(): Promise<H2Tunnel> {
    return this.#scope.openTunnel(this.agent.address, this.plane);
  }

  /** The API server that new clients get. */
  async first(): Promise<ApiServer> {
    const tunnel = await this.open();
    const name = await tunnel.ask();
    await tunnel.close();
    return this.plane.named(name);
  }

  /** The API servers in this agent's order. */
  async inOrder(): Promise<ApiServer[]> {
    const { endpoints } = await this.agent.status();
    return endpoints.flatMap(({ id }) => this.plane.servers.filter(({ address }) => address === id));
  }

  async endpoint(server: ApiServer) {
    const found = await this.agent.endpoint(server.address);
    if (found === undefined) throw new Error(`${server.name} is not listed`);
    return found;
  }

  async isRefused(server: ApiServer): Promise<boolean> {
    return expired.test((await this.endpoint(server)).reason);
  }

  async untilUnready(server: ApiServer): Promise<void> {
    await eventually('it is not used', async () => (await this.endpoint(server)).verdict === 'unready');
  }

  async untilRefused(...servers: readonly ApiServer[]): Promise<void> {
    for (const server of servers) {
      const what = () =>
        `the certificate of ${server.name} is found to have expired:\n${this.agent.log.map((line) => JSON.stringify(line)).join('\n')}`;
      await eventually(what, () => this.isRefused(server), 60_000);
    }
  }

  /** When the agent said so of the server last. */
  toldMs(server: ApiServer, msg: string, reason = /./): number | undefined {
    return this.agent.log
      .filter(
        (line) => line.msg === msg && line.endpoint === server.address && reason.test(String(line.reason)),
      )
      .map(({ time }) => Date.parse(String(time)))
      .at(-1);
  }
}

const expired = /^L6\w+ .*expired/;

async function inWorld<T>(env: Record<string, string>, trial: (world: World) => Promise<T>): Promise<T> {
  // The fast checks of etcd fail when the machine is busy for a moment, and each such failure asks for proofs.
  const storeCheck = { ...realisticTimings.storeCheck, recoveryMs: [0, 0] as const };
  const scope = new AgentScope();
  try {
    const plane = await scope.startControlPlane({ servers: 3, anonymous: 'off', timings: { storeCheck } });
    const kubeconfig = await plane.writeKubeconfig({ user: 'fairlead' });
    const agent = await scope.startAgent({ nodeName: 'node-1', kubeconfig, env });
    await agent.untilReady(3);
    return await trial(new World(scope, plane, agent));
  } finally {
    await scope.stop();
  }
}

afterAll(() => leftNothing());

test.concurrent(
  'a tunnel stays where it is, when the first endpoint is ready again on its kept connection only',
  () =>
    inWorld(noDrain, async (world) => {
      const server = await world.first();
      await server.misbehave({ failReadyz: ['etcd'] });
      await world.untilUnready(server);
      const tunnel = await world.open();
      expect(await tunnel.ask()).not.toBe(server.name);
      await server.misbehave({ tls: 'expired', failReadyz: [] });
      await world.untilRefused(server);
      expect(tunnel.isOpen).toBe(true);
      expect((await world.endpoint(server)).tunnels).toBe(0);
    }),
  timeoutMs,
);

/** After half a minute tunnels move back, if the latest proof is no older than ten seconds, or after another one. */
const settledMs = 30_000;
const provedForMs = 10_000;

/** What spoilt the trial: something else than the move has asked for a proof, at a moment that matters. */
async function rebalance(world: World): Promise<string | undefined> {
  const { agent } = world;
  const server = await world.first();
  await server.misbehave({ failReadyz: ['etcd'] });
  await world.untilUnready(server);
  const tunnel = await world.open();
  const name = await tunnel.ask();
  await server.behave();
  // New clients get it again when its return is proved.
  await eventually('it is back', async () => (await world.first()) === server, 60_000);
  await server.misbehave({ tls: 'expired' });
  const swappedMs = Date.now();
  const backMs = world.toldMs(server, 'endpoint is ready') ?? Number.NEGATIVE_INFINITY;
  if (swappedMs > backMs + settledMs - provedForMs) return 'the certificate was changed too late';
  await eventually(
    'the move is due',
    async () => (await world.isRefused(server)) || !tunnel.isOpen,
    2 * settledMs,
  );
  const refusedMs = world.toldMs(server, 'endpoint is unready', expired) ?? Number.POSITIVE_INFINITY;
  if (refusedMs < backMs + settledMs - 1_000) return 'its certificate was looked at before the move was due';
  expect(tunnel.isOpen).toBe(true);
  expect(await tunnel.ask()).toBe(name);
  expect(agent.messages).not.toContain('tunnel closed to rebalance');
  return undefined;
}

test.concurrent(
  'a tunnel is not rebalanced to the first endpoint when its certificate has changed since it came back',
  async () => {
    const spoilt: string[] = [];
    while (spoilt.length < 3) {
      const why = await inWorld(noDrain, rebalance);
      if (why === undefined) return;
      spoilt.push(why);
    }
    throw new Error(`every trial was spoilt: ${spoilt.join('; ')}`);
  },
  timeoutMs,
);

test.concurrent(
  'a drain leads past it: the clients that are sent away are served at once',
  () =>
    inWorld(soon, async (world) => {
      const [server, second] = await world.inOrder();
      if (server === undefined || second === undefined) throw new Error('three API servers are needed');
      const waiting = await Promise.all(Array.from({ length: 5 }, () => world.open()));
      for (const tunnel of waiting) expect(await tunnel.ask()).toBe(server.name);
      await second.misbehave({ tls: 'expired' });
      await server.misbehave({ failReadyz: ['etcd'] });
      for (const tunnel of waiting) {
        await tunnel.ended;
        const name = await (await world.open()).ask();
        expect([server.name, second.name]).not.toContain(name);
      }
      await world.untilRefused(second);
    }),
  timeoutMs,
);

test.concurrent(
  'a sick API server keeps its tunnels when all others are refused',
  () =>
    inWorld(soon, async (world) => {
      const server = await world.first();
      const tunnel = await world.open();
      expect(await tunnel.ask()).toBe(server.name);
      const others = world.plane.servers.filter((other) => other !== server);
      for (const other of others) await other.misbehave({ tls: 'expired' });
      await server.misbehave({ failReadyz: ['etcd'] });
      await world.untilRefused(...others);
      // Some rounds of what would close it.
      const before = server.stats().requestsByPath['/readyz'] ?? 0;
      await eventually(
        'five more checks',
        () => (server.stats().requestsByPath['/readyz'] ?? 0) > before + 5,
        60_000,
      );
      expect(tunnel.isOpen).toBe(true);
      expect(await tunnel.ask()).toBe(server.name);
    }),
  timeoutMs,
);

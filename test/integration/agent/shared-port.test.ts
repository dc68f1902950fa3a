// Two agents on one port, one after the other: shared while both live, or waited for.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { Status } from '../../../src/model/status.ts';
import { type AgentProcess, freePort } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { H2Tunnel } from '../../support/clients/h2-tunnel.ts';

const suite = agentSuite();
let plane: ControlPlane;

beforeAll(async () => {
  plane = await suite.startControlPlane({ servers: 2 });
});

/** A port of 127.0.0.1 that is free now. */
const freeAddress = async () => `127.0.0.1:${await freePort()}`;

/** An agent for the API servers of this suite; does not wait until it listens. */
const run = (listen: string, admin: string, ...args: readonly string[]): AgentProcess =>
  suite.spawnAgent({ listen, admin, endpoints: plane.endpoints, args });

/** As a client for which a connection is a request: the name of the API server that answers at `address`. */
const ask = (address: string) => H2Tunnel.askOnce(address, plane.pki);

/** A port that a foreign process holds until `release`. */
async function heldPort(): Promise<{ address: string; release(): void }> {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  suite.onStop(() => holder.close());
  const { port } = holder.address() as AddressInfo;
  return { address: `127.0.0.1:${port}`, release: () => holder.close() };
}

const get = async (address: string, path: string) =>
  fetch(`http://${address}${path}`, { signal: AbortSignal.timeout(5_000) });
const statusAt = async (address: string) => (await (await get(address, '/status')).json()) as Status;

test('two agents share listener and admin address; each answers for itself on its own admin address', async () => {
  const [listen, admin] = [await freeAddress(), await freeAddress()];
  const [one, two] = [await freeAddress(), await freeAddress()];
  const first = run(listen, admin, '--reuse-port', '--own-admin', one);
  await first.listening();
  const second = run(listen, admin, '--reuse-port', '--own-admin', two);
  await second.listening();
  const pidAt = async (address: string) => (await statusAt(address)).pid;
  expect([await pidAt(one), await pidAt(two)]).toEqual([first.pid, second.pid]);

  // Connections that last keep the first one alive for its grace; who asks at the shared address gets the second.
  const held: H2Tunnel[] = [];
  while ((await statusAt(one)).tunnels.active === 0) held.push(await suite.openTunnel(listen, plane));
  first.signal('SIGTERM');
  await eventually('stopping', () => first.messages.includes('stopping'));
  await eventually('the second alone', async () => {
    const pids = await Promise.all(Array.from({ length: 12 }, () => pidAt(admin).catch(() => 0)));
    return pids.every((pid) => pid === second.pid);
  });
  expect(await pidAt(one)).toBe(first.pid);
  // On its own address it says that it is stopping; who asks at the shared one never hears of it.
  expect([(await get(one, '/readyz')).status, held[0]?.isOpen]).toEqual([503, true]);
  expect((await get(one, '/livez')).status).toBe(200);
  const shown = await Promise.all(
    Array.from({ length: 12 }, async () => (await get(admin, '/readyz')).status),
  );
  expect(new Set(shown)).toEqual(new Set([200]));
  for (const tunnel of held) tunnel.destroy();
  await first.exited;
  expect(await pidAt(admin)).toBe(second.pid);
  expect(await ask(listen)).toMatch(/^cp-/);
});

test('a shared admin address is left at SIGTERM also by an agent that has no other', async () => {
  const agent = run(await freeAddress(), await freeAddress(), '--reuse-port');
  await agent.listening();
  const tunnel = await suite.openTunnel(agent.address, plane);
  await eventually('readiness', async () => (await agent.get('/readyz')).status === 200);
  agent.signal('SIGTERM');
  await eventually('the address is left', () =>
    agent.get('/readyz').then(
      () => false,
      () => true,
    ),
  );
  expect([agent.hasExited, await tunnel.ask()]).toEqual([false, expect.stringMatching(/^cp-/)]);
  await tunnel.close();
  await agent.exited;
});

test('an agent without a usable endpoint leaves the port to the other, until that one is gone', async () => {
  const listen = await freeAddress();
  const good = run(listen, 'false', '--reuse-port');
  await good.listening();
  const bad = await suite.startAgent({ listen, endpoints: [await freeAddress()], args: ['--reuse-port'] });
  await eventually('a verdict', async () =>
    (await bad.status()).endpoints.some(({ verdict }) => verdict === 'unready'),
  );
  expect(await bad.status()).toMatchObject({
    isReady: false,
    heldBack: [listen],
    listeners: [],
  });
  // A shared port would give it half of them.
  for (let count = 0; count < 12; count += 1) expect(await ask(listen)).toMatch(/^cp-/);
  await good.kill();
  await eventually('it has the port', async () => (await bad.status()).listeners.length === 1);
  expect((await bad.status()).heldBack).toBeUndefined();
});

test('without --reuse-port a second agent is refused', async () => {
  const listen = await freeAddress();
  await run(listen, '127.0.0.1:0').listening();
  const second = run(listen, '127.0.0.1:0', '--reuse-port');
  expect((await second.exited).code).toBe(3);
});

test('--wait-for-port takes a port over as soon as its holder is gone, and is unready until then', async () => {
  const { address, release } = await heldPort();
  const agent = run(address, '127.0.0.1:0', '--wait-for-port');
  await agent.listening();
  await eventually('a verdict', async () => (await agent.status()).endpoints.some(({ usable }) => usable));
  expect(await agent.status()).toMatchObject({ isReady: false, waitingFor: [address] });
  const unready = await agent.get('/readyz');
  expect([unready.status, await unready.text()]).toEqual([503, expect.stringContaining('waiting for')]);
  // /healthz as on the health port of Kubespray's proxies: alive, whatever it can reach.
  expect([(await agent.get('/livez')).status, (await agent.get('/healthz')).status]).toEqual([200, 200]);

  release();
  await eventually('readiness', async () => (await agent.get('/readyz')).status === 200);
  expect(await ask(address)).toMatch(/^cp-/);
  expect(agent.messages).toContain('address acquired');
});

test('a bounded wait that is in vain ends the agent with exit code 3; one that is told to stop goes at once', async () => {
  const { address } = await heldPort();
  const bounded = run(address, 'false', '--wait-for-port', '1s');
  const patient = run(address, 'false', '--wait-for-port');
  await patient.listening();
  patient.signal('SIGTERM');
  expect(await patient.exited).toEqual({ code: 0, signal: null });
  expect((await bounded.exited).code).toBe(3);
  expect(bounded.errors).toContain('LISTEN_IN_USE');
});

// Two agents on one port, one after the other: shared while both live, or waited for.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { AgentProcess, freePort } from '../../support/agent/agent-process.ts';
import { type ControlPlane, startControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { H2Tunnel } from '../../support/clients/h2-tunnel.ts';

let plane: ControlPlane;
const agents: AgentProcess[] = [];

beforeAll(async () => {
  plane = await startControlPlane({ servers: 2 });
});

afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.kill()));
});

afterAll(() => plane.stop());

function run(args: readonly string[], env: Record<string, string> = {}): AgentProcess {
  const endpoints = plane.endpoints.join(',');
  const agent = new AgentProcess(['--endpoints', endpoints, ...args], { env });
  agents.push(agent);
  return agent;
}

const get = async (address: string, path: string) =>
  fetch(`http://${address}${path}`, { signal: AbortSignal.timeout(5_000) });

test('two agents share listener and admin address; each answers for itself on its own admin address', async () => {
  const [port, admin, one, two] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const shared = ['--listen', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${admin}`, '--reuse-port'];
  const first = run([...shared, '--own-admin', `127.0.0.1:${one}`]);
  await first.listening();
  const second = run([...shared, '--own-admin', `127.0.0.1:${two}`]);
  await second.listening();
  const pidAt = async (at: number) =>
    ((await (await get(`127.0.0.1:${at}`, '/status')).json()) as { pid: number }).pid;
  expect([await pidAt(one), await pidAt(two)]).toEqual([first.pid, second.pid]);

  // Connections that last keep the first one alive for its grace; who asks at the shared address gets the second.
  const held: H2Tunnel[] = [];
  while (
    (await ((await get(`127.0.0.1:${one}`, '/status')).json() as Promise<{ tunnels: { active: number } }>))
      .tunnels.active === 0
  )
    held.push(await H2Tunnel.open(`127.0.0.1:${port}`, plane.pki));
  first.signal('SIGTERM');
  await eventually('stopping', () => first.log.some(({ msg }) => msg === 'stopping'));
  await eventually('the second alone', async () => {
    const pids = await Promise.all(Array.from({ length: 12 }, () => pidAt(admin).catch(() => 0)));
    return pids.every((pid) => pid === second.pid);
  });
  expect(await pidAt(one)).toBe(first.pid);
  // On its own address it says that it is stopping; who asks at the shared one never hears of it.
  expect([(await get(`127.0.0.1:${one}`, '/readyz')).status, held[0]?.isOpen]).toEqual([503, true]);
  expect((await get(`127.0.0.1:${one}`, '/livez')).status).toBe(200);
  const shown = await Promise.all(
    Array.from({ length: 12 }, async () => (await get(`127.0.0.1:${admin}`, '/readyz')).status),
  );
  expect(new Set(shown)).toEqual(new Set([200]));
  for (const tunnel of held) tunnel.destroy();
  await first.exited;
  expect(await pidAt(admin)).toBe(second.pid);
  const tunnel = await H2Tunnel.open(`127.0.0.1:${port}`, plane.pki);
  expect(await tunnel.ask()).toMatch(/^cp-/);
  tunnel.destroy();
});

test('a shared admin address is left at SIGTERM also by an agent that has no other', async () => {
  const [port, admin] = [await freePort(), await freePort()];
  const agent = run(['--listen', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${admin}`, '--reuse-port']);
  await agent.listening();
  const tunnel = await H2Tunnel.open(`127.0.0.1:${port}`, plane.pki);
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
  const [port, admin] = [await freePort(), await freePort()];
  const listen = ['--listen', `127.0.0.1:${port}`, '--reuse-port'];
  const good = run([...listen, '--admin', 'false']);
  await good.listening();
  const bad = new AgentProcess([
    ...['--endpoints', `127.0.0.1:${await freePort()}`],
    ...[...listen, '--admin', `127.0.0.1:${admin}`],
  ]);
  agents.push(bad);
  await bad.listening();
  await eventually('a verdict', async () =>
    (await bad.status()).endpoints.some(({ verdict }) => verdict === 'unready'),
  );
  expect(await bad.status()).toMatchObject({
    isReady: false,
    heldBack: [`127.0.0.1:${port}`],
    listeners: [],
  });
  // A shared port would give it half of them.
  for (let count = 0; count < 12; count += 1) {
    const tunnel = await H2Tunnel.open(`127.0.0.1:${port}`, plane.pki);
    expect(await tunnel.ask()).toMatch(/^cp-/);
    tunnel.destroy();
  }
  await good.kill();
  await eventually('it has the port', async () => (await bad.status()).listeners.length === 1);
  expect((await bad.status()).heldBack).toBeUndefined();
});

test('without --reuse-port a second agent is refused', async () => {
  const address = `127.0.0.1:${await freePort()}`;
  await run(['--listen', address, '--admin', '127.0.0.1:0']).listening();
  const second = run(['--listen', address, '--admin', '127.0.0.1:0', '--reuse-port']);
  expect((await second.exited).code).toBe(3);
});

test('--wait-for-port takes a port over as soon as its holder is gone, and is unready until then', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const { port } = holder.address() as { port: number };
  const agent = run(['--listen', `127.0.0.1:${port}`, '--admin', '127.0.0.1:0', '--wait-for-port']);
  await agent.listening();
  await eventually('a verdict', async () => (await agent.status()).endpoints.some(({ usable }) => usable));
  expect(await agent.status()).toMatchObject({ isReady: false, waitingFor: [`127.0.0.1:${port}`] });
  const unready = await agent.get('/readyz');
  expect([unready.status, await unready.text()]).toEqual([503, expect.stringContaining('waiting for')]);
  // /healthz as on the health port of Kubespray's proxies: alive, whatever it can reach.
  expect([(await agent.get('/livez')).status, (await agent.get('/healthz')).status]).toEqual([200, 200]);

  holder.close();
  await eventually('readiness', async () => (await agent.get('/readyz')).status === 200);
  const tunnel = await H2Tunnel.open(`127.0.0.1:${port}`, plane.pki);
  expect(await tunnel.ask()).toMatch(/^cp-/);
  tunnel.destroy();
  expect(agent.log.map(({ msg }) => msg)).toContain('address acquired');
});

test('a bounded wait that is in vain ends the agent with exit code 3; one that is told to stop goes at once', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const { port } = holder.address() as { port: number };
  const args = ['--listen', `127.0.0.1:${port}`, '--admin', 'false'];
  const bounded = run([...args, '--wait-for-port', '1s']);
  const patient = run([...args, '--wait-for-port']);
  await patient.listening();
  patient.signal('SIGTERM');
  expect(await patient.exited).toEqual({ code: 0, signal: null });
  expect((await bounded.exited).code).toBe(3);
  expect(bounded.errors).toContain('LISTEN_IN_USE');
  holder.close();
});

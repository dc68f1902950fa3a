// Attack: a user of the node without privileges uses the listener of the API servers: large first flights to endpoints that
// say nothing, connections that say nothing, connections that reset while their endpoint does not read, slow readers, more
// connections than there are descriptors.
// Bound: the agent's anonymous memory grows by no more than its ledger says and 24 MB, other clients are served
// meanwhile, tunnels and descriptors are afterwards as many as before.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type AgentProcess, builtProgram } from '../support/agent/agent-process.ts';
import { agentSuite } from '../support/agent/agent-suite.ts';
import { clientHello } from '../support/clients/client-hello.ts';
import { anonymousMb as anonymousMbOf, descriptors as descriptorsOf } from '../support/faults/processes.ts';
import { eventually } from '../support/jest/eventually.ts';
import { isFullTier } from '../support/jest/full-tier.ts';

const suite = agentSuite();
const mebibyte = 1024 * 1024;
const stops = 's'.charCodeAt(0);
let agent: AgentProcess;
let endpointPort = 0;
let sockets: Socket[] = [];
const atEndpoint = new Set<Socket>();

/** Echoes what it gets; reads a ClientHello and never answers; reads nothing more after an `s`. */
function behave(socket: Socket): void {
  atEndpoint.add(socket);
  socket.on('close', () => atEndpoint.delete(socket));
  socket.on('error', () => {});
  socket.once('data', (first) => {
    if (first[0] === 22) return void socket.resume();
    if (first[0] === stops) return void socket.pause();
    socket.write(first);
    socket.pipe(socket);
  });
}

async function startAgent(
  options: { readonly tunnels?: number; readonly command?: readonly [string, ...string[]] } = {},
) {
  const { tunnels, command } = options;
  agent = await suite.startAgent({
    endpoints: [`127.0.0.1:${endpointPort}`],
    env: {
      FAIRLEAD_HEALTH_CHECK: 'tcp',
      ...(tunnels !== undefined && { FAIRLEAD_TUNNELS_MAX: String(tunnels) }),
    },
    ...(command && { command }),
  });
  await agent.untilReady(1);
}

beforeAll(async () => {
  const endpoint = createServer(behave).listen({ port: 0, host: '127.0.0.1', backlog: 4_096 });
  suite.onStop(() => endpoint.close());
  await once(endpoint, 'listening');
  endpointPort = (endpoint.address() as AddressInfo).port;
});

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  // A socket that is not read does not notice that the other side has gone.
  for (const socket of atEndpoint) socket.destroy();
});

function open(first?: Buffer): Socket {
  const [host = '', port] = agent.address.split(':');
  const socket = connect({ host, port: Number(port) }, () => {
    if (first) socket.write(first);
  });
  socket.on('error', () => {});
  socket.resume();
  sockets.push(socket);
  return socket;
}

/** Opens `count` connections, as fast as they are taken. */
async function openMany(count: number, first?: Buffer): Promise<Socket[]> {
  const opened: Socket[] = [];
  while (opened.length < count) {
    const batch = Array.from({ length: Math.min(100, count - opened.length) }, () => open(first));
    await Promise.all(batch.map((socket) => once(socket, 'connect').catch(() => {})));
    opened.push(...batch);
  }
  return opened;
}

/** A client of the relay: a new connection, one question; resolves with the answer, or what went wrong. */
function ask(): Promise<string> {
  const [host = '', port] = agent.address.split(':');
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), signal: AbortSignal.timeout(10_000) }, () =>
      socket.write('question'),
    );
    socket.once('data', (chunk) => {
      socket.destroy();
      resolve(String(chunk));
    });
    socket.on('error', ({ message }) => resolve(message));
  });
}

async function askMany(count: number): Promise<string[]> {
  const answers: string[] = [];
  for (let index = 0; index < count; index += 1) answers.push(await ask());
  return answers.filter((answer) => answer !== 'question');
}

const descriptors = () => descriptorsOf(agent.pid);
const anonymousMb = () => anonymousMbOf(agent.pid);
/** On a busy machine an answer may come too late. */
const status = () => eventually('a status', () => agent.status().catch(() => undefined), 20_000);
const activeTunnels = async () => (await status()).tunnels.active;
const heldBytes = async () => (await status()).held.reduce((sum, { bytes }) => sum + bytes, 0);
const isReady = () =>
  agent.get('/readyz').then(
    ({ status }) => status === 200,
    () => false,
  );

test('first flights of 65 KB to endpoints that say nothing', async () => {
  const count = isFullTier ? 5_000 : 1_000;
  await startAgent();
  await askMany(10);
  const before = { memoryMb: anonymousMb(), descriptors: descriptors() };
  // A hello of 60,000 bytes in records of 16 KiB, of which the last byte is missing.
  const hello = clientHello({ paddingBytes: 65_000 }).subarray(0, -1);
  await openMany(count, hello);
  await eventually('all have arrived', async () => (await activeTunnels()) >= count, 60_000);
  expect(await askMany(30)).toEqual([]);
  // A tunnel is about 6 KiB of objects; a kept flight would be 65 KB more.
  expect(anonymousMb() - before.memoryMb).toBeLessThan(24 + (count * 8) / 1024);
  expect(await heldBytes()).toBeLessThan(32 * mebibyte);
  for (const socket of sockets) socket.resetAndDestroy();
  await eventually('the tunnels have gone', async () => (await activeTunnels()) === 0, 30_000);
  expect(await heldBytes()).toBe(0);
  await eventually('descriptors are back', () => descriptors() <= before.descriptors + 2);
}, 180_000);

test('beginnings of first flights that never end are kept within the ledger', async () => {
  const count = isFullTier ? 5_000 : 1_500;
  await startAgent();
  await askMany(10);
  const memoryMb = anonymousMb();
  const hello = clientHello({ paddingBytes: 15_000 }).subarray(0, -1);
  await openMany(count, hello);
  await eventually('all have arrived', async () => (await activeTunnels()) >= count, 60_000);
  expect(await heldBytes()).toBeLessThan(17 * mebibyte);
  expect(await heldBytes()).toBeGreaterThan(15 * mebibyte);
  expect(await askMany(30)).toEqual([]);
  expect(anonymousMb() - memoryMb).toBeLessThan(24 + 16 + (count * 8) / 1024);
}, 180_000);

test('more silent connections than tunnels.max: new clients are served', async () => {
  const tunnels = isFullTier ? 9_000 : 500;
  await startAgent({ tunnels });
  expect(await askMany(1)).toEqual([]);
  const kept = open(Buffer.from('question'));
  await once(kept, 'data');
  const before = { memoryMb: anonymousMb(), descriptors: descriptors() };
  const silent = await openMany(tunnels + 100);
  expect(await askMany(30)).toEqual([]);
  // The endpoint is in this process, and may have been too busy for a check.
  await eventually('it is ready', isReady, 20_000);
  expect(await activeTunnels()).toBeLessThanOrEqual(tunnels);
  // And when each of them has sent a byte.
  for (const socket of silent) if (!socket.closed) socket.write(Buffer.of(22));
  await openMany(200, Buffer.of(22));
  expect(await askMany(30)).toEqual([]);
  expect(kept.closed).toBe(false);
  expect(anonymousMb() - before.memoryMb).toBeLessThan(24 + (tunnels * 8) / 1024);
  for (const socket of sockets) if (socket !== kept) socket.resetAndDestroy();
  await eventually('descriptors are back', () => descriptors() <= before.descriptors + 2, 30_000);
}, 180_000);

test('clients that reset while their endpoint does not read are noticed', async () => {
  // Each fills 8 MB of the kernel's buffers.
  const count = isFullTier ? 120 : 50;
  await startAgent();
  await askMany(10);
  const before = { memoryMb: anonymousMb(), descriptors: descriptors() };
  const stalled = await openMany(count, Buffer.alloc(8 * mebibyte, 's'));
  await eventually('all have stalled', async () => (await heldBytes()) >= count * 65_536, 60_000);
  expect(await askMany(30)).toEqual([]);
  expect(anonymousMb() - before.memoryMb).toBeLessThan(24 + (count * 72) / 1024);
  for (const socket of stalled) socket.resetAndDestroy();
  await eventually('the tunnels have gone', async () => (await activeTunnels()) === 0, 20_000);
  expect(await heldBytes()).toBe(0);
  await eventually('descriptors are back', () => descriptors() <= before.descriptors + 2);
}, 180_000);

test('more connections than descriptors: clients are served, and nothing is lost for want of one', async () => {
  await startAgent({
    command: ['sh', '-c', `ulimit -n 400; exec "$@"`, 'sh', process.execPath, builtProgram],
  });
  const before = descriptors();
  const { max } = (await agent.status()).tunnels;
  expect(max).toBeLessThan(200);
  await openMany(3 * max);
  expect(await askMany(30)).toEqual([]);
  await eventually('it is ready', isReady, 20_000);
  expect(descriptors()).toBeLessThan(400);
  expect(await agent.metrics()).toContain('fairlead_accept_failures_total 0');
  for (const socket of sockets) socket.resetAndDestroy();
  await eventually('descriptors are back', () => descriptors() <= before + 2, 30_000);
}, 120_000);

// The server behind /livez, /metrics and the installer's readiness: what it answers, and whom it closes when there are too many.
import { connect, type Socket } from 'node:net';
import { systemClock } from '../../../src/model/clock.ts';
import { type ReadOnlyServer, startReadOnlyServer } from '../../../src/observe/read-only-server.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { watchForLeaks } from '../../support/jest/leaks.ts';

const long = Buffer.alloc(32 * 1024 * 1024, 'x');
let server: ReadOnlyServer;
let clock: FakeClock;
let log: ReturnType<typeof recordingLog>;
let sockets: Socket[];
let nothingLeft: () => Promise<void>;

beforeEach(async () => {
  nothingLeft = watchForLeaks();
  clock = new FakeClock();
  log = recordingLog();
  sockets = [];
  server = await startReadOnlyServer({
    listen: { host: '127.0.0.1', port: 0 },
    log,
    name: 'test',
    hostNames: ['node-1'],
    clock,
    answer: (path) => {
      if (path === '/fails') throw new Error('bug');
      if (path === '/long') return { status: 200, body: long };
      return Promise.resolve({ status: 200, body: `${path}\n` });
    },
  });
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await server.stop();
  expect(clock.pendingTimers).toBe(0);
  await nothingLeft();
});

interface Client {
  readonly socket: Socket;
  text: string;
  isClosed: boolean;
}

async function open(text?: string): Promise<Client> {
  const [host, port] = server.address.split(':');
  const socket = connect({ host, port: Number(port) });
  sockets.push(socket);
  const client: Client = { socket, text: '', isClosed: false };
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    client.text += chunk;
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    client.isClosed = true;
  });
  await new Promise((resolve) => socket.once('connect', resolve));
  if (text !== undefined) socket.write(text, 'latin1');
  return client;
}

async function ask(text: string): Promise<string> {
  const client = await open(text);
  await eventually('closed', () => client.isClosed);
  return client.text;
}

const head = (path: string, host = '127.0.0.1', method = 'GET') =>
  `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

test('one request is answered, and the connection is closed', async () => {
  const text = await ask(head('/a?b') + head('/c'));
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(text).toMatch(/\r\nconnection: close\r\n/);
  expect(text).toMatch(/\r\ncontent-length: 3\r\n/);
  expect(text.split('\r\n\r\n')[1]).toBe('/a\n');
  expect(text).not.toContain('/c');
});

test('HEAD has the length and no body', async () => {
  const text = await ask(head('/abc', '127.0.0.1', 'HEAD'));
  expect(text).toContain('content-length: 5\r\n');
  expect(text.endsWith('\r\n\r\n')).toBe(true);
});

test.each([
  ['another method', head('/', '127.0.0.1', 'POST'), 405],
  ['the name of another site', head('/', 'evil.example'), 403],
  ["the node's name", head('/', 'node-1:6442'), 200],
  ['no request', 'hello\r\n\r\n', 400],
  ['a head that is too long', `GET /${'x'.repeat(9_000)}`, 431],
  ['a page that fails', head('/fails'), 500],
])('%s', async (_, text, status) => {
  expect(await ask(text)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
});

test('a request in single bytes is understood', async () => {
  const client = await open();
  client.socket.setNoDelay(true);
  for (const byte of head('/bytes')) {
    client.socket.write(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await eventually('answered', () => client.isClosed);
  expect(client.text).toContain('\r\n\r\n/bytes\n');
});

test('a connection that sends no request is closed after two seconds', async () => {
  const client = await open('GET /');
  await eventually('the sweep waits', () => clock.pendingTimers === 1);
  await clock.advance(1_500);
  expect(client.isClosed).toBe(false);
  await clock.advance(1_000);
  await eventually('closed', () => client.isClosed);
});

test('a request that came while the process stood still is answered, not closed as late', async () => {
  await server.stop();
  server = await startReadOnlyServer({
    listen: { host: '127.0.0.1', port: 0 },
    log,
    name: 'test',
    clock: {
      nowMs: () => clock.nowMs(),
      schedule: (delayMs, fn) => clock.schedule(delayMs, fn),
      afterPoll: systemClock.afterPoll,
    },
    answer: (path) => ({ status: 200, body: `${path}\n` }),
  });
  const client = await open();
  await eventually('the sweep waits', () => clock.pendingTimers === 1);
  client.socket.write(head('/livez'));
  // No poll comes between: the request is in the kernel, and its time is over.
  await clock.advance(2_500);
  await eventually('closed', () => client.isClosed);
  expect(client.text).toContain('/livez');
});

test('a reader that stops is closed after ten seconds', async () => {
  const client = await open();
  client.socket.pause();
  client.socket.write(head('/long'));
  const errors: string[] = [];
  client.socket.on('error', ({ message }) => errors.push(message));
  await eventually('the answer has begun', () => client.socket.readableLength > 0);
  await clock.advance(9_500);
  expect(client.isClosed).toBe(false);
  await clock.advance(1_000);
  client.socket.resume();
  await eventually('closed', () => client.isClosed);
  expect(client.text.length).toBeLessThan(long.length);
});

test('with too many connections the oldest is closed, and the newest is answered', async () => {
  const silent: Client[] = [];
  for (let index = 0; index < 512; index += 1) silent.push(await open());
  await clock.advance(0);
  expect(silent.some(({ isClosed }) => isClosed)).toBe(false);
  const late = await open();
  const answered = await open(head('/livez'));
  await eventually('answered', async () => {
    await clock.advance(0);
    return answered.text.includes('/livez');
  });
  await eventually('the oldest is closed', () => silent[0]?.isClosed);
  expect(silent.at(-1)?.isClosed).toBe(false);
  expect(late.isClosed).toBe(false);
});

// Bodies that a lying API server sends to make its reader hold or compute more than it should. Written to the
// connection itself, over HTTP/1.1: a server's own writer would neither send a chunk for each byte nor so fast.
import type { Exchange } from './exchange.ts';

export const hostileBodies = [
  /** A chunk for each byte, without an end: a reader that keeps the chunks keeps what each is cut from. */
  'one-byte-chunks',
  /** Large chunks without an end, and without an end of line. */
  'endless',
  /** One byte now and then, for ever. */
  'dripping',
  /** A line of 2 MiB that is a good event, again and again; as a list it is one document. */
  'huge-lines',
  /** Arrays in arrays, `hostileBytes` of them. */
  'deep-json',
  /** Empty objects beside each other, `hostileBytes` in all. */
  'wide-json',
] as const;

export type HostileBody = (typeof hostileBodies)[number];

export const isHostile = (name: string): name is HostileBody =>
  (hostileBodies as readonly string[]).includes(name);

const dripMs = 50;

/** Below every bound on the length of a line or a list: only what is in it can be refused. */
export const hostileBytes = 240_000;

/** Answers 200 with such a body; resolves when the client has gone, or everything is sent. */
export async function sendHostileBody(
  exchange: Exchange,
  body: HostileBody,
  bytes = hostileBytes,
): Promise<void> {
  await exchange.begin(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' }, true);
  if (exchange.isClosed) return;
  switch (body) {
    case 'one-byte-chunks':
      return flood(exchange, '1\r\nx\r\n'.repeat(10_000));
    case 'endless':
      return flood(exchange, chunk('x'.repeat(65_536)));
    case 'huge-lines':
      return flood(exchange, chunk(`${hugeEvent()}\n`));
    case 'dripping':
      return drip(exchange);
    case 'deep-json': {
      const depth = Math.floor(bytes / 2);
      return once(exchange, `${'['.repeat(depth)}${']'.repeat(depth)}\n`);
    }
    case 'wide-json':
      return once(exchange, `[${'{},'.repeat(Math.floor(bytes / 3))}{}]\n`);
  }
}

const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;

function hugeEvent(): string {
  const object = { kind: 'EndpointSlice', metadata: { name: 'huge', resourceVersion: '1' } };
  return JSON.stringify({ type: 'ADDED', object: { ...object, padding: 'x'.repeat(2 << 20) } });
}

/** Writes `block` for as long as the client takes it. */
async function flood(exchange: Exchange, block: string): Promise<void> {
  const { socket } = exchange.request;
  while (!exchange.isClosed && socket.writable) {
    if (!socket.write(block)) await drained(exchange);
    // A client in the same process has to get its turn.
    else await new Promise((resolve) => setImmediate(resolve));
  }
}

function drained({ request: { socket }, closed }: Exchange): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done);
      closed.removeEventListener('abort', done);
      resolve();
    };
    socket.on('drain', done);
    closed.addEventListener('abort', done);
  });
}

function drip({ request: { socket }, closed }: Exchange): Promise<void> {
  return new Promise((resolve) => {
    const timer = setInterval(() => socket.write(chunk('x')), dripMs);
    closed.addEventListener('abort', () => {
      clearInterval(timer);
      resolve();
    });
  });
}

async function once(exchange: Exchange, text: string): Promise<void> {
  await exchange.write(text);
  await exchange.end();
}

// Bounds and deadlines of one session, against a TLS server that says exactly what a test tells it to.
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { type AddressInfo, createServer as createPlain } from 'node:net';
import { ApiSession, type SessionTimings } from '../../../src/kubernetes/api-session.ts';
import type { Credentials } from '../../../src/kubernetes/credentials.ts';
import { systemClock } from '../../../src/model/clock.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { makeCa, type TestCa } from '../../support/credentials/pki.ts';

const timings: SessionTimings = { connectMs: 2_000, tlsMs: 2_000, answerMs: 400, bodyMs: 600 };
let ca: TestCa;
let server: Server | undefined;
let session: ApiSession | undefined;
/** Everything that clients have sent, decrypted. */
let received = '';
let sockets = new Set<TLSSocket>();

beforeAll(async () => {
  ca = await makeCa();
});
afterEach(async () => {
  session?.close();
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
});

/** `answer` is called with each request. */
async function start(
  answer: (socket: TLSSocket) => void,
  { sans = ['127.0.0.1'], credentials = {} }: { sans?: string[]; credentials?: Partial<Credentials> } = {},
): Promise<ApiSession> {
  received = '';
  sockets = new Set();
  const leaf = await ca.issue({ commonName: 'kube-apiserver', sans });
  server = createServer({ cert: leaf.cert, key: leaf.key, ALPNProtocols: ['http/1.1'] }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (received.endsWith('\r\n\r\n')) answer(socket);
    });
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  session = new ApiSession({
    endpoint: makeEndpoint('127.0.0.1', port),
    credentials: { kind: 'token', token: 'sekret-token', ca: ca.cert, ...credentials },
    clock: systemClock,
    userAgent: 'fairlead/test',
    timings,
  });
  return session;
}

const chunked = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
/** Writes `block` for as long as the socket takes it. */
function flood(socket: TLSSocket, block: string): void {
  const more = () => {
    while (socket.writable && socket.write(block));
  };
  socket.on('drain', more);
  more();
}

test('the token goes to a server with a good certificate only', async () => {
  const good = await start((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'));
  expect(await good.get('/x')).toMatchObject({ ok: true, body: 'ok' });
  expect(received).toContain('Bearer sekret-token');
  expect(received).toContain('GET /x HTTP/1.1');
});

test.each([
  ['another name', { sans: ['10.0.0.9', 'other.example'] }, 'the certificate is for'],
  ['another CA', { credentials: {} }, 'certificate'],
  ['a name that was configured otherwise', { credentials: { serverName: 'api.example' } }, 'api.example'],
])('a certificate of %s gets neither token nor request', async (name, options, message) => {
  if (name === 'another CA') options = { credentials: { ca: (await makeCa('another')).cert } };
  const bad = await start((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'), options);
  expect(await bad.get('/x')).toMatchObject({
    ok: false,
    failure: { kind: 'tls', text: expect.stringContaining(message) },
  });
  await eventually('the connection is gone', () => sockets.size === 0);
  expect(received).toBe('');
});

test.each<[string, (socket: TLSSocket) => void, object]>([
  ['no answer', () => {}, { kind: 'timeout', text: 'no answer within 0.4 s' }],
  ['headers that never end', (s) => void flood(s, 'x: y\r\n'), { kind: 'garbage' }],
  ['half a status line', (s) => void s.write('HTTP/1.1 20'), { kind: 'timeout' }],
  ['no HTTP', (s) => void s.write('\0\0\0 hello\r\n\r\n'), { kind: 'garbage' }],
  [
    'an answer that drips',
    (s) => {
      s.write(chunked);
      const timer = setInterval(() => s.write(chunk('x')), 20);
      s.on('close', () => clearInterval(timer));
    },
    { kind: 'timeout', text: 'no complete answer within 0.6 s' },
  ],
  [
    'an answer without an end',
    (s) => {
      s.write(chunked);
      flood(s, chunk('x'.repeat(65_536)));
    },
    { kind: 'garbage', text: expect.stringContaining('larger than') },
  ],
  [
    'an answer in chunks of a byte',
    (s) => {
      s.write(chunked);
      flood(s, chunk('x').repeat(1_000));
    },
    { kind: 'garbage', text: expect.stringContaining('chunks of a few bytes') },
  ],
  [
    'an answer that is cut off',
    (s) => void s.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'),
    { kind: 'reset' },
  ],
  ['a connection that ends before the answer', (s) => void s.end(), { kind: 'reset' }],
  [
    'a redirect',
    (s) => void s.write('HTTP/1.1 302 Found\r\nlocation: https://evil.example\r\ncontent-length: 0\r\n\r\n'),
    { kind: 'status', status: 302 },
  ],
  [
    'an error whose body never ends',
    (s) => {
      s.write('HTTP/1.1 500 Oops\r\ntransfer-encoding: chunked\r\n\r\n');
      flood(s, chunk('x'.repeat(65_536)));
    },
    { kind: 'status', status: 500 },
  ],
  [
    'a wait that is asked for',
    (s) => void s.write('HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n'),
    { kind: 'status', status: 429, retryAfterMs: 7_000 },
  ],
  [
    'an upgrade',
    (s) => void s.write('HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    { kind: 'garbage' },
  ],
  [
    'informational answers without end',
    (s) => void flood(s, 'HTTP/1.1 100 Continue\r\n\r\n'),
    { kind: 'garbage', text: expect.stringContaining('check that an API server listens there') },
  ],
])('%s is a failure, in bounded time and memory', async (_, answer, failure) => {
  const bad = await start(answer);
  expect(await bad.get('/x')).toMatchObject({ ok: false, failure });
  session?.close();
  await eventually('the connection is gone', () => sockets.size === 0);
});

describe('a watch', () => {
  async function watch(answer: (socket: TLSSocket) => void, lifeMs = 1_500) {
    const lines: string[] = [];
    let opened = 0;
    const bad = await start(answer);
    const failure = await bad.watch('/w', {
      lifeMs,
      onOpen: () => {
        opened += 1;
      },
      onLine: (line) => {
        lines.push(line);
        return line === 'bad' ? { kind: 'garbage', text: 'bad' } : undefined;
      },
    });
    return { failure, lines, opened };
  }

  test('gives its lines however they are cut, and ends properly', async () => {
    const { failure, lines, opened } = await watch((s) => {
      s.write(chunked);
      const bytes = Buffer.from('{"a":"\u00e4\u20ac"}\r\n\n{"b":2}\n');
      for (const byte of bytes)
        s.write(Buffer.concat([Buffer.from('1\r\n'), Buffer.of(byte), Buffer.from('\r\n')]));
      s.write('0\r\n\r\n');
    });
    expect({ failure, lines, opened }).toEqual({
      failure: undefined,
      lines: ['{"a":"\u00e4\u20ac"}', '{"b":2}'],
      opened: 1,
    });
  });

  test.each<[string, (socket: TLSSocket) => void, object]>([
    [
      'a line without an end',
      (s) => {
        s.write(chunked);
        flood(s, chunk('x'.repeat(65_536)));
      },
      { kind: 'garbage', text: expect.stringContaining('an event larger than') },
    ],
    [
      'chunks of a byte',
      (s) => {
        s.write(chunked);
        flood(s, chunk('x').repeat(1_000));
      },
      { kind: 'garbage', text: expect.stringContaining('chunks of a few bytes') },
    ],
    [
      'lines without an end',
      (s) => {
        s.write(chunked);
        flood(s, chunk(`${'{}\n'.repeat(20_000)}`));
      },
      { kind: 'garbage', text: 'a watch with too many events; check that an API server listens there' },
    ],
    [
      'a line that its reader refuses',
      (s) => void s.write(chunked + chunk('bad\n')),
      { kind: 'garbage', text: 'bad' },
    ],
    [
      'silence for longer than its life',
      (s) => void s.write(chunked),
      { kind: 'timeout', text: 'the watch did not end when it should have' },
    ],
    [
      'bytes that drip for longer than its life',
      (s) => {
        s.write(chunked);
        const timer = setInterval(() => s.write(chunk('\n')), 20);
        s.on('close', () => clearInterval(timer));
      },
      { kind: 'timeout' },
    ],
    ['an end without its last chunk', (s) => void s.end(chunked + chunk('{}\n')), { kind: 'reset' }],
  ])('%s is a failure, in bounded time and memory', async (_, answer, failure) => {
    expect((await watch(answer)).failure).toMatchObject(failure);
    session?.close();
    await eventually('the connection is gone', () => sockets.size === 0);
  });
});

test('a kept connection that the server closes at the moment of its reuse is replaced, once', async () => {
  let requests = 0;
  const good = await start((socket) => {
    requests += 1;
    received = '';
    if (requests === 2) socket.destroy();
    else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
  });
  expect((await good.get('/x')).ok).toBe(true);
  expect((await good.get('/x')).ok).toBe(true);
  expect(requests).toBe(3);
});

test('nothing listens: refused', async () => {
  const bad = await start(() => {});
  await new Promise((resolve) => server?.close(resolve));
  expect(await bad.get('/x')).toMatchObject({
    failure: { kind: 'refused', text: expect.stringContaining('refused') },
  });
});

test('close ends what is under way', async () => {
  const good = await start(() => {});
  const waiting = good.get('/x');
  await eventually('the request is there', () => received !== '');
  good.close();
  expect(await waiting).toMatchObject({ failure: { kind: 'closed' } });
  expect(await good.get('/x')).toMatchObject({ failure: { kind: 'closed' } });
});

test('a server that speaks before TLS is no API server', async () => {
  const plain = createPlain((socket) => {
    socket.on('error', () => {});
    socket.resume();
    socket.write('SSH-2.0-hello\r\n');
  });
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
  const bad = new ApiSession({
    endpoint: makeEndpoint('127.0.0.1', (plain.address() as AddressInfo).port),
    credentials: { kind: 'token', token: 'sekret-token', ca: ca.cert },
    clock: systemClock,
    userAgent: 'fairlead/test',
    timings,
  });
  expect(await bad.get('/x')).toMatchObject({ failure: { kind: 'tls' } });
  bad.close();
  await new Promise((resolve) => plain.close(resolve));
});

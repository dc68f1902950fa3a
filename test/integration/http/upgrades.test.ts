// exec, attach and port-forward as bytes: requests for an upgrade, and what flows after the 101.
import type { Socket } from 'node:net';
import { type Backend, lines, startBackend } from '../../support/apiserver/https-backend.ts';
import { rawClient } from '../../support/clients/http-clients.ts';
import { endpointOf, type HttpPath, startHttpPath } from '../../support/agent/http-path.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { watchForLeaks } from '../../support/jest/leaks.ts';
import { makeCa, type TestCa } from '../../support/credentials/pki.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';
import { freePort } from '../../support/agent/agent-process.ts';

const directory = tempDir();
const leftNothing = watchForLeaks();
let ca: TestCa;
let backend: Backend;
let path: HttpPath;
const accepted: Socket[] = [];

const upgradeTimeoutMs = 500;
const accept =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n';
const ask = (method: string, more = '') =>
  `${method} /api/v1/namespaces/a/pods/b/exec?command=x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n${more}\r\n`;

beforeAll(async () => {
  ca = await makeCa();
});

beforeEach(async () => {
  backend = await startBackend(await ca.issue({ commonName: 'kube-apiserver', sans: ['kubernetes'] }));
  backend.onUpgrade = (_request, socket, head) => {
    accepted.push(socket as Socket);
    socket.write(accept);
    if (head.length > 0) socket.write(head);
    socket.pipe(socket);
  };
  path = await startHttpPath([backend.endpoint], {
    directory,
    options: {
      upgradeTimeoutMs,
      firstFlightTimeoutMs: 300,
      lastCandidateTimeoutMs: 600,
      allDownDeadlineMs: 500,
    },
    trust: { ca: ca.cert },
  });
});

afterEach(async () => {
  await path.stop();
  await backend.close();
  accepted.length = 0;
});

afterAll(() => leftNothing());

const closed = (socket: Socket | undefined) => () => socket?.destroyed === true;

test.each(['GET', 'POST'])('%s with Upgrade: SPDY/3.1: bytes flow both ways', async (method) => {
  const more =
    'Content-Length: 0\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\nX-Stream-Protocol-Version: v3.channel.k8s.io\r\n';
  const client = await rawClient(path, ask(method, more));
  await eventually('101', () => client.text.endsWith('\r\n\r\n'));
  expect(client.text).toMatch(/^HTTP\/1\.1 101 /);
  expect(client.text).toMatch(/\r\nX-Stream-Protocol-Version: v4\.channel\.k8s\.io\r\n/);
  const [request] = backend.requests;
  expect(request).toMatchObject({ method, headers: { authorization: 'Bearer t', upgrade: 'SPDY/3.1' } });
  expect(request && lines(request, 'x-stream-protocol-version')).toEqual([
    'v4.channel.k8s.io',
    'v3.channel.k8s.io',
  ]);
  const begin = client.text.length;
  const block = Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => index % 251));
  client.socket.write(block);
  client.socket.write('end');
  await eventually('all of it is back', () => client.text.length - begin === block.length + 3);
  expect(client.text.slice(begin)).toBe(`${block.toString('latin1')}end`);
  client.socket.destroy();
  await eventually('the endpoint is left', closed(accepted[0]));
  expect(path.core.counters.requests()).toContainEqual(
    expect.objectContaining({ verb: 'CONNECT', code: '101', endpoint: backend.endpoint.id }),
  );
});

test('bytes that come with the 101 or right behind the request are not lost', async () => {
  backend.onUpgrade = (_request, socket, head) => {
    socket.write(`${accept}early`);
    socket.write(head);
    socket.pipe(socket);
  };
  const client = await rawClient(path, `${ask('GET')}first`);
  await eventually('both', () => client.text.endsWith('earlyfirst'));
  client.socket.destroy();
});

test('an upgrade has no forged identity', async () => {
  const client = await rawClient(
    path,
    ask('POST', 'X-Remote-User: root\r\nX_Remote_Group: system:masters\r\nX-Forwarded-For: 1\r\n'),
  );
  await eventually('101', () => client.text.includes('101'));
  expect(backend.requests[0]?.rawHeaders.join()).not.toMatch(/remote|forwarded/i);
  client.socket.destroy();
});

test('a client that leaves before the 101 takes its request to the endpoint with it', async () => {
  let upstream: Socket | undefined;
  backend.onUpgrade = (_request, socket) => {
    upstream = socket as Socket;
    upstream.resume();
  };
  const client = await rawClient(path, ask('POST'));
  await eventually('the endpoint has it', () => upstream);
  client.socket.destroy();
  await eventually('the endpoint is left', closed(upstream));
  await eventually('nothing is left', () => path.core.counters.inFlight === 0);
});

test('an endpoint that does not answer a request for an upgrade: 504 in time, and it is left', async () => {
  let upstream: Socket | undefined;
  backend.onUpgrade = (_request, socket) => {
    upstream = socket as Socket;
    upstream.resume();
  };
  const client = await rawClient(path, ask('POST'));
  await client.ended;
  expect(client.text).toMatch(/^HTTP\/1\.1 504 [\s\S]*"kind":"Status"/);
  await eventually('the endpoint is left', closed(upstream));
});

test('a quiet tunnel stays', async () => {
  const client = await rawClient(path, ask('POST'));
  await eventually('101', () => client.text.endsWith('\r\n\r\n'));
  await new Promise((resolve) => setTimeout(resolve, 2 * upgradeTimeoutMs));
  client.socket.write('still here');
  await eventually('an echo', () => client.text.endsWith('still here'));
  client.socket.destroy();
});

test('an answer that is no 101 is passed on', async () => {
  backend.onUpgrade = (_request, socket) => {
    socket.end(
      'HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno!\r\n0\r\n\r\n',
    );
  };
  const client = await rawClient(path, ask('POST'));
  await client.ended;
  expect(client.text).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
  expect(client.text).toContain('no!');
  expect(client.text).toMatch(/connection: close/i);
});

test('an endpoint that closes without an answer is not asked again: an exec may have run', async () => {
  backend.onUpgrade = (_request, socket) => socket.destroy();
  const other = await startBackend(await ca.issue({ commonName: 'x', sans: ['kubernetes'] }));
  path.endpoints = [backend.endpoint, other.endpoint];
  const client = await rawClient(path, ask('POST'));
  await client.ended;
  expect(client.text).toMatch(/^HTTP\/1\.1 502 /);
  expect(other.requests).toEqual([]);
  await other.close();
});

test('an endpoint that cannot be reached costs nothing', async () => {
  path.endpoints = [endpointOf({ host: '127.0.0.1', port: await freePort() }), backend.endpoint];
  const client = await rawClient(path, ask('POST'));
  await eventually('101', () => client.text.includes('101'));
  client.socket.destroy();
  path.endpoints = path.endpoints.slice(0, 1);
  const second = await rawClient(path, ask('POST'));
  await second.ended;
  expect(second.text).toMatch(/^HTTP\/1\.1 503 /);
});

test('a tunnel ends with its endpoint, after what had arrived', async () => {
  backend.onUpgrade = (_request, socket) => {
    socket.write(accept);
    socket.end('last words');
  };
  const client = await rawClient(path, ask('POST'));
  await client.ended;
  expect(client.text).toMatch(/last words$/);
});

test('a dead endpoint ends its tunnels', async () => {
  const client = await rawClient(path, ask('POST'));
  await eventually('101', () => client.text.includes('101'));
  expect(path.core.upstreams.reset(backend.endpoint.id)).toBe(1);
  await client.ended;
});

test.each([
  ['Content-Length: 5\r\n', 'hello'],
  ['Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n0\r\n\r\n'],
])('a request for an upgrade with a body (%j) is refused', async (more, body) => {
  const client = await rawClient(path, ask('POST', more) + body);
  await client.ended;
  expect(client.text).toMatch(/^HTTP\/1\.1 400 /);
  expect(backend.requests).toEqual([]);
});

test('an upgrade that Kubernetes does not know is an ordinary request', async () => {
  const client = await rawClient(
    path,
    'GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n',
  );
  await eventually('an answer', () => client.text.includes('GET /x'));
  expect(client.text).toMatch(/^HTTP\/1\.1 200 /);
  expect(backend.requests[0]?.rawHeaders.join()).not.toMatch(/upgrade|http2-settings/i);
  client.socket.destroy();
});

test('a reader that stops stops the endpoint, too', async () => {
  let sent = 0;
  backend.onUpgrade = (_request, socket) => {
    socket.write(accept);
    const block = Buffer.alloc(65_536);
    const more = (): void => {
      do sent += block.length;
      while (socket.write(block));
      socket.once('drain', more);
    };
    more();
  };
  const client = await rawClient(path, ask('POST'));
  await eventually('101', () => client.text.includes('101'));
  client.socket.pause();
  let before = -1;
  await eventually('nothing more is sent', async () => {
    const isStill = sent === before;
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return isStill;
  });
  client.socket.destroy();
});

// What happens to a request whose endpoint fails: tried elsewhere where that is safe, told plainly where it is not.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { type Backend, startBackend } from '../../support/apiserver/https-backend.ts';
import { ask, http2Client, rawClient } from '../../support/clients/http-clients.ts';
import { endpointOf, type HttpPath, startHttpPath } from '../../support/agent/http-path.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { watchForLeaks } from '../../support/jest/leaks.ts';
import { makeCa, type TestCa } from '../../support/credentials/pki.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';
import { freePort } from '../../support/agent/agent-process.ts';

const directory = tempDir();
const leftNothing = watchForLeaks();
const options = { firstFlightTimeoutMs: 300, lastCandidateTimeoutMs: 600, allDownDeadlineMs: 700 };
let ca: TestCa;
let bad: Backend;
let good: Backend;
let path: HttpPath;

beforeAll(async () => {
  ca = await makeCa();
});

beforeEach(async () => {
  const leaf = await ca.issue({ commonName: 'kube-apiserver', sans: ['kubernetes'] });
  [bad, good] = [await startBackend(leaf), await startBackend(leaf)];
  path = await startHttpPath([bad.endpoint, good.endpoint], { directory, options, trust: { ca: ca.cert } });
});

afterEach(async () => {
  await path.stop();
  await Promise.all([bad.close(), good.close()]);
});

afterAll(() => leftNothing());

const hangUp = (request: IncomingMessage) => {
  request.on('end', () => request.socket.destroy());
  request.resume();
};
const answerWith =
  (status: number, body: string, headers = {}) =>
  (request: IncomingMessage, response: ServerResponse) => {
    request.on('end', () => response.writeHead(status, headers).end(body));
    request.resume();
  };

describe('an endpoint that closes the connection without an answer', () => {
  beforeEach(() => {
    bad.onRequest = hangUp;
  });

  test.each(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])(
    '%s is answered by the next one, with its body',
    async (method) => {
      const body = method === 'PUT' || method === 'DELETE' ? '{"a":1}' : undefined;
      const answer = await ask(path, { method, path: '/x', ...(body && { body }) });
      expect(answer.status).toBe(200);
      expect(good.requests.map(({ method: got, url, body: sent }) => [got, url, sent])).toEqual([
        [method, '/x', body ?? ''],
      ]);
      expect(path.core.counters.retries.unanswered).toBe(1);
    },
  );

  test('the same over HTTP/2', async () => {
    const client = await http2Client(path);
    expect((await client.ask({ method: 'PUT', body: 'abc' })).body).toBe('PUT / abc');
    await client.close();
  });

  test.each(['POST', 'PATCH'])('%s is not sent twice, and the client is told so', async (method) => {
    const { status, headers, body } = await ask(path, { method, body: 'x' });
    expect([status, headers['retry-after']]).toEqual([502, undefined]);
    expect(JSON.parse(body)).toMatchObject({
      kind: 'Status',
      status: 'Failure',
      code: 502,
      message: expect.stringMatching(/may have been executed/),
    });
    expect(good.requests).toEqual([]);
  });

  test('a body that is too long to be kept is not sent twice', async () => {
    const { status } = await ask(path, { method: 'PUT', body: 'x'.repeat(1_100_000) });
    expect(status).toBe(502);
    expect(good.requests).toEqual([]);
  });

  test('a request is sent to three endpoints at most', async () => {
    const leaf = await ca.issue({ commonName: 'kube-apiserver', sans: ['kubernetes'] });
    const more = await Promise.all([startBackend(leaf), startBackend(leaf), startBackend(leaf)]);
    for (const backend of [...more, good]) backend.onRequest = hangUp;
    path.endpoints = [bad, good, ...more].map(({ endpoint }) => endpoint);
    expect((await ask(path)).status).toBe(502);
    expect([bad, good, ...more].map(({ requests }) => requests.length)).toEqual([1, 1, 1, 0, 0]);
    await Promise.all(more.map((backend) => backend.close()));
  });
});

test('a kept connection that the endpoint has closed meanwhile costs no GET', async () => {
  path.endpoints = [bad.endpoint];
  expect((await ask(path)).status).toBe(200);
  let isFirst = true;
  bad.onRequest = (request, response) => {
    if (isFirst) request.socket.destroy();
    else response.end('again');
    isFirst = false;
  };
  // There is no other endpoint; a fresh connection to the same one does.
  expect((await ask(path)).body).toBe('again');
});

describe('an endpoint that cannot be reached', () => {
  test('a refused connection costs nothing, whatever the method', async () => {
    path.endpoints = [endpointOf({ host: '127.0.0.1', port: await freePort() }), good.endpoint];
    expect((await ask(path, { method: 'POST', body: 'x' })).body).toBe('POST / x');
    expect((await ask(path, { method: 'PATCH', body: 'x' })).body).toBe('PATCH / x');
    expect(path.core.counters.retries.unsent).toBe(2);
    expect(path.outcomes.lines).toContain(`dialed ${path.endpoints[0]?.id} refused`);
  });

  test('one that accepts TCP and is silent is left after the time for a connection', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket.on('error', () => {}))).listen(
      0,
      '127.0.0.1',
    );
    await new Promise((resolve) => silent.once('listening', resolve));
    const endpoint = endpointOf({ host: '127.0.0.1', port: (silent.address() as { port: number }).port });
    path.endpoints = [endpoint, good.endpoint];
    expect((await ask(path, { method: 'POST', body: 'x' })).body).toBe('POST / x');
    expect(path.outcomes.lines).toEqual(
      expect.arrayContaining([`unanswered ${endpoint.id}`, `dialed ${endpoint.id} timeout`]),
    );
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  test('none at all: 503 with Retry-After within the deadline, and the next request works again', async () => {
    const port = await freePort();
    path.endpoints = [endpointOf({ host: '127.0.0.1', port })];
    const startedMs = performance.now();
    const { status, headers, body } = await ask(path, { method: 'POST', body: 'x' });
    expect(performance.now() - startedMs).toBeGreaterThan(300);
    expect([status, headers['retry-after'], JSON.parse(body).reason]).toEqual([
      503,
      '1',
      'ServiceUnavailable',
    ]);
    path.endpoints = [];
    expect((await ask(path)).status).toBe(503);
    path.endpoints = [good.endpoint];
    expect((await ask(path)).status).toBe(200);
  });

  test('an endpoint that comes back within the deadline is found', async () => {
    path.endpoints = [];
    const answer = ask(path, { method: 'POST', body: 'x' });
    await eventually('it waits', () => path.core.counters.inFlight === 1);
    path.endpoints = [good.endpoint];
    expect((await answer).body).toBe('POST / x');
  });
});

describe('503', () => {
  const stopping = 'The apiserver is shutting down, please try again later.\n';

  test.each(['GET', 'POST'])(
    'of an API server that is shutting down: %s is answered by another one',
    async (method) => {
      bad.onRequest = answerWith(503, stopping, { 'retry-after': '1' });
      expect((await ask(path, { method, ...(method === 'POST' && { body: 'x' }) })).status).toBe(200);
      expect(path.core.counters.retries.stopping).toBe(1);
    },
  );

  test('is tried elsewhere once only', async () => {
    for (const backend of [bad, good]) backend.onRequest = answerWith(503, stopping);
    expect(await ask(path)).toMatchObject({ status: 503, body: stopping });
    expect([bad.requests.length, good.requests.length]).toEqual([1, 1]);
  });

  test('of an endpoint that is not usable any more: GET is answered by another one, POST is not sent again', async () => {
    path.endpoints = [good.endpoint, bad.endpoint];
    path.usableCount = 1;
    good.onRequest = answerWith(503, 'x');
    path.endpoints = [bad.endpoint, good.endpoint];
    path.usableCount = 0;
    bad.onRequest = answerWith(503, 'no');
    good.onRequest = answerWith(200, 'yes');
    expect((await ask(path)).body).toBe('yes');
    expect((await ask(path, { method: 'POST', body: 'x' })).body).toBe('no');
  });

  test('for any other reason is the answer, whole', async () => {
    const body = `{"kind":"Status","message":"${'x'.repeat(20_000)}"}`;
    bad.onRequest = answerWith(503, body, { 'retry-after': '7' });
    const answer = await ask(path);
    expect([answer.status, answer.body, answer.headers['retry-after']]).toEqual([503, body, '7']);
    expect(good.requests).toEqual([]);
  });
});

test('429 and its Retry-After are for the client', async () => {
  bad.onRequest = answerWith(429, 'slow down', { 'retry-after': '5' });
  const { status, headers, body } = await ask(path);
  expect([status, headers['retry-after'], body]).toEqual([429, '5', 'slow down']);
  expect(good.requests).toEqual([]);
});

describe('health', () => {
  test('an endpoint that is unready finishes what it has, and gets nothing new', async () => {
    const held = Promise.withResolvers<ServerResponse>();
    bad.onRequest = (_request, response) => held.resolve(response);
    const slow = ask(path);
    const response = await held.promise;
    path.endpoints = [good.endpoint, bad.endpoint];
    path.usableCount = 1;
    path.core.upstreams.closeIdle(bad.endpoint.id);
    expect((await ask(path)).body).toBe('GET / ');
    expect(good.requests).toHaveLength(1);
    response.end('finished');
    expect((await slow).body).toBe('finished');
  });

  test('a dead endpoint: what has no answer goes elsewhere, what has begun is ended', async () => {
    bad.onRequest = (request, response) => {
      if (request.url !== '/begun') return;
      response.writeHead(200);
      response.write('begun');
    };
    const begun = await rawClient(path, 'GET /begun HTTP/1.1\r\nHost: x\r\n\r\n');
    const waiting = ask(path);
    const post = ask(path, { method: 'POST', body: 'x' });
    await eventually('all three are there', () => bad.requests.length === 3);
    await eventually('one has begun', () => begun.text.includes('begun'));
    expect(path.core.upstreams.reset(bad.endpoint.id)).toBe(3);
    expect((await waiting).body).toBe('GET / ');
    expect((await post).status).toBe(502);
    await begun.ended;
    // The last chunk would say that it is whole.
    expect(begun.text).not.toMatch(/\r\n0\r\n/);
  });

  test('silence after a request asks health for a probe', async () => {
    const held = Promise.withResolvers<ServerResponse>();
    bad.onRequest = (_request, response) => held.resolve(response);
    const slow = ask(path);
    await eventually('silence is reported', () => path.outcomes.lines.includes(`silent ${bad.endpoint.id}`));
    (await held.promise).end('x');
    await slow;
  });

  test('an endpoint that drains ends its watches, as a whole answer, and no other request', async () => {
    const responses = new Map<string, ServerResponse>();
    bad.onRequest = (request, response) => {
      responses.set(request.url ?? '', response);
      response.writeHead(200);
      response.write(`${request.url}\n`);
    };
    const watch = ask(path, { path: '/w?watch=true' });
    const get = ask(path, { path: '/get' });
    await eventually('both have begun', () => responses.size === 2 && path.core.counters.inFlight === 2);
    path.core.drain(bad.endpoint.id, 0);
    expect(await watch).toMatchObject({ status: 200, body: '/w?watch=true\n' });
    responses.get('/get')?.end('whole');
    expect((await get).body).toBe('/get\nwhole');
  });
});

// What the http listener does with requests and answers, and every gap of http-proxy-3 that it closes.
import { Agent } from 'node:https';
import { type Backend, lines, startBackend, startRawBackend } from '../../support/apiserver/https-backend.ts';
import { ask, http2Client, rawClient } from '../../support/clients/http-clients.ts';
import { type HttpPath, startHttpPath } from '../../support/agent/http-path.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { watchForLeaks } from '../../support/jest/leaks.ts';
import { makeCa, type TestCa } from '../../support/credentials/pki.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const leftNothing = watchForLeaks();
let clusterCa: TestCa;
let backend: Backend;
let path: HttpPath;

const leaf = () => clusterCa.issue({ commonName: 'kube-apiserver', sans: ['kubernetes.default.svc'] });

beforeAll(async () => {
  clusterCa = await makeCa();
});

beforeEach(async () => {
  backend = await startBackend(await leaf());
  path = await startHttpPath([backend.endpoint], { directory, trust: { ca: clusterCa.cert } });
});

afterEach(async () => {
  await path.stop();
  await backend.close();
});

afterAll(() => leftNothing());

const seen = () => backend.requests.at(-1);

describe.each(['HTTP/1.1', 'HTTP/2'])('%s', (version) => {
  const client = async () => {
    if (version === 'HTTP/1.1') {
      const agent = new Agent({ keepAlive: true });
      return {
        ask: (options: Parameters<typeof ask>[1] = {}) => ask(path, { ...options, agent }),
        close: async () => agent.destroy(),
      };
    }
    return http2Client(path);
  };
  let it: Awaited<ReturnType<typeof client>>;

  beforeEach(async () => {
    it = await client();
  });
  afterEach(() => it.close());

  test('a request and its answer pass', async () => {
    const answer = await it.ask({ method: 'POST', path: '/api/v1/x?a=1', body: 'hello' });
    expect(answer).toMatchObject({ status: 200, body: 'POST /api/v1/x?a=1 hello' });
  });

  test('many requests share one connection to the endpoint', async () => {
    for (let index = 0; index < 20; index += 1) {
      await it.ask({ path: `/${index}` });
      if (index % 5 === 0) await it.ask({ method: 'PUT', path: '/put', body: 'x'.repeat(10_000) });
    }
    expect(backend.connections).toBe(1);
  });

  test('paths arrive as they were sent', async () => {
    for (const target of ['/a/../b//c/./d', '//x', '/a%2fb?x=%20&y=a?b#c', '/?', '/a?b?c=/../d'].filter(
      (text) => version === 'HTTP/1.1' || !text.includes('#'),
    )) {
      await it.ask({ path: target });
      expect(seen()?.url).toBe(target === '/?' ? '/' : target);
    }
  });

  test('repeated headers stay apart', async () => {
    await it.ask({ headers: { 'Impersonate-Group': ['a, with comma', 'b'], 'Impersonate-User': 'me' } });
    const request = seen();
    expect(request && lines(request, 'impersonate-group')).toEqual(['a, with comma', 'b']);
    expect(request && lines(request, 'impersonate-user')).toEqual(['me']);
  });

  test('audit and trace headers pass, both ways; repeated Warning lines stay apart', async () => {
    const sent = {
      'Audit-ID': 'abc',
      traceparent: '00-1-2-01',
      tracestate: 'x=y',
      Authorization: 'Bearer t',
    };
    backend.onRequest = (_request, response) => {
      response.writeHead(200, ['Audit-ID', 'def', 'Warning', '299 - "a"', 'Warning', '299 - "b"']);
      response.end();
    };
    const { headers } = await it.ask({ headers: sent });
    expect(seen()?.headers).toMatchObject({ 'audit-id': 'abc', traceparent: '00-1-2-01', tracestate: 'x=y' });
    expect(seen()?.headers.authorization).toBe('Bearer t');
    expect(headers['audit-id']).toBe('def');
    expect(headers.warning).toContain('299 - "a"');
  });

  test('headers that say who the client is never reach the API server', async () => {
    const forged = {
      'X-Remote-User': 'system:admin',
      'X-Remote-Group': ['system:masters', 'b'],
      'X-Remote-Extra-Scopes': 'x',
      X_Remote_User: 'system:admin',
      'X-Remote_Group': 'system:masters',
      'X-Forwarded-For': '10.0.0.1',
      'X-Forwarded-Client-Cert': 'x',
      'X-Forwarded-Proto': 'http',
      Forwarded: 'for=10.0.0.1',
      'X-Real-IP': '10.0.0.1',
    };
    await it.ask({ headers: { ...forged, 'X-Kept': 'yes' } });
    const names = seen()?.rawHeaders.filter((_, index) => index % 2 === 0);
    expect(names?.map((name) => name.toLowerCase()).sort()).toEqual(['connection', 'host', 'x-kept']);
  });

  test('a body of unknown length arrives whole', async () => {
    for (const [method, size] of [
      ['POST', 10],
      ['POST', 3_000_000],
      ['PATCH', 3_000_000],
      ['DELETE', 10],
      ['OPTIONS', 10],
      ['DELETE', 900_000],
    ] as const) {
      const headers = version === 'HTTP/1.1' ? { 'transfer-encoding': 'chunked' } : {};
      const answer = await it.ask({ method, path: '/', headers, body: 'x'.repeat(size) });
      expect([method, answer.status, answer.body.length]).toEqual([method, 200, size + method.length + 3]);
      expect(seen()?.body).toHaveLength(size);
    }
    expect(backend.connections).toBe(1);
  });

  test('a DELETE body that is too long to be kept is refused, not cut', async () => {
    const headers = version === 'HTTP/1.1' ? { 'transfer-encoding': 'chunked' } : {};
    const body = 'x'.repeat(1_100_000);
    const { status, body: text } = await it.ask({ method: 'DELETE', headers, body });
    expect([status, JSON.parse(text).reason]).toEqual([413, 'RequestEntityTooLarge']);
    expect(backend.requests).toEqual([]);
  });

  test('an endpoint that dies in the middle of an answer ends it for the client too', async () => {
    for (const headers of [{}, { 'content-length': '1000' }]) {
      backend.onRequest = (request, response) => {
        response.writeHead(200, headers);
        response.write('begun', () => setImmediate(() => request.socket.destroy()));
      };
      await expect(it.ask({ path: '/' })).rejects.toThrow(/aborted|hang up|reset|closed/i);
    }
    expect(path.core.counters.cut).toBe(2);
  });

  test('a watch without events stays, and is counted as one', async () => {
    const opened = Promise.withResolvers<{ end(text: string): void }>();
    backend.onRequest = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      opened.resolve(response);
    };
    const answer = it.ask({ path: '/api/v1/pods?watch=1' });
    (await opened.promise).end('{}');
    expect(await answer).toMatchObject({ status: 200, body: '{}' });
    expect(path.core.counters.requests()).toContainEqual(
      expect.objectContaining({ verb: 'WATCH', code: '200', endpoint: backend.endpoint.id, count: 1 }),
    );
  });

  test('a client that leaves takes its request to the endpoint with it', async () => {
    const gone = Promise.withResolvers<void>();
    backend.onRequest = (request, response) => {
      request.socket.on('close', () => gone.resolve());
      response.writeHead(200);
      response.flushHeaders();
    };
    const answer = it.ask({ path: '/' }).catch(() => {});
    await eventually('the request is there', () => backend.requests.length === 1);
    await it.close();
    await Promise.all([gone.promise, answer]);
    await eventually('nothing is under way', () => path.core.counters.inFlight === 0);
  });

  test('a large download keeps to the pace of its reader, and arrives whole', async () => {
    const size = 50_000_000;
    let sent = 0;
    backend.onRequest = (_request, response) => {
      const block = Buffer.alloc(65_536, 'x');
      const more = (): void => {
        while (sent < size) {
          sent += block.length;
          if (!response.write(block)) {
            response.once('drain', more);
            return;
          }
        }
        response.end();
      };
      more();
    };
    const answer = await it.ask({ path: '/big' });
    expect(answer.body.length).toBe(sent);
  });
});

test('the head of a watch comes before its first event', async () => {
  backend.onRequest = (_request, response) => {
    response.writeHead(200);
    response.flushHeaders();
  };
  const client = await rawClient(path, 'GET /a?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n');
  await eventually('the head', () => /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n$/.test(client.text));
  client.socket.destroy();
  const { session, close } = await http2Client(path);
  const stream = session.request({ ':path': '/a?watch=1' });
  stream.on('error', () => {});
  const status = await new Promise((resolve) => stream.once('response', (head) => resolve(head[':status'])));
  expect(status).toBe(200);
  await close();
});

test('a reader that stops stops the endpoint, too', async () => {
  let sent = 0;
  backend.onRequest = (_request, response) => {
    const block = Buffer.alloc(65_536, 'x');
    const more = (): void => {
      do sent += block.length;
      while (response.write(block));
      response.once('drain', more);
    };
    more();
  };
  const client = await rawClient(path, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  client.socket.pause();
  let before = -1;
  await eventually('nothing more is sent', async () => {
    const isStill = sent === before && sent > 0;
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return isStill;
  });
  expect(sent).toBeLessThan(40_000_000);
  client.socket.destroy();
  await client.ended;
});

test('trailers of a request are not taken for headers', async () => {
  const client = await rawClient(
    path,
    'POST / HTTP/1.1\r\nHost: x\r\nTrailer: X-Remote-User\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Remote-User: root\r\n\r\n',
  );
  await eventually('an answer', () => client.text.includes('POST / abc'));
  expect(seen()?.rawHeaders.join()).not.toMatch(/remote|trailer/i);
  client.socket.destroy();
});

test('Expect: 100-continue is answered, and headers are still looked at', async () => {
  const client = await rawClient(
    path,
    'POST / HTTP/1.1\r\nHost: x\r\nX-Remote-User: root\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n',
  );
  await eventually('100', () => client.text.startsWith('HTTP/1.1 100 Continue\r\n\r\n'));
  client.socket.write('abc');
  await eventually('an answer', () => client.text.includes('POST / abc'));
  expect(seen()?.rawHeaders.join()).not.toMatch(/remote|expect/i);
  client.socket.destroy();
});

test('an upload keeps to the pace of the endpoint', async () => {
  const held = Promise.withResolvers<() => void>();
  backend.onRequest = (request, response) => {
    request.pause();
    held.resolve(() => {
      request.resume();
      request.on('end', () => response.end('done'));
    });
  };
  const client = await rawClient(path, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n');
  const block = Buffer.alloc(1_000_000, 'x');
  let taken = 0;
  for (let index = 0; index < 60; index += 1) client.socket.write(block, () => (taken += block.length));
  const go = await held.promise;
  let before = -1;
  await eventually('nothing more is taken', async () => {
    const isStill = taken === before;
    before = taken;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return isStill;
  });
  expect(taken).toBeLessThan(50_000_000);
  go();
  await eventually('an answer', () => client.text.includes('done'));
  expect(seen()?.body).toHaveLength(60_000_000);
  client.socket.destroy();
});

test('the CA and the name are checked, and a changed CA takes effect without a restart', async () => {
  const other = await makeCa('other');
  path.trust = { ca: other.cert };
  path.core.upstreams.renew();
  const refused = await ask(path);
  expect([refused.status, JSON.parse(refused.body).reason]).toEqual([503, 'ServiceUnavailable']);
  path.trust = { ca: clusterCa.cert, serverName: 'another.example' };
  path.core.upstreams.renew();
  expect((await ask(path)).status).toBe(503);
  expect(backend.requests).toEqual([]);
  path.trust = { ca: clusterCa.cert };
  path.core.upstreams.renew();
  expect((await ask(path)).status).toBe(200);
});

test('an endpoint that answers with no HTTP is an error, not a crash', async () => {
  const raw = await startRawBackend(await leaf(), () => 'not http at all\r\n\r\n');
  path.endpoints = [raw.endpoint];
  const { status, body } = await ask(path, { method: 'POST', body: 'x' });
  expect([status, JSON.parse(body)]).toEqual([
    502,
    expect.objectContaining({ kind: 'Status', code: 502, message: expect.stringContaining(raw.endpoint.id) }),
  ]);
  await raw.close();
});

test('nothing of a path, a token or a body is logged', async () => {
  await ask(path, {
    path: '/secret-path?token=secret-query',
    headers: { authorization: 'Bearer secret-token' },
  });
  path.endpoints = [];
  await ask(path, { method: 'POST', path: '/secret-path', body: 'secret-body' });
  expect(JSON.stringify(path.log.lines)).not.toContain('secret');
});

describe('who may come', () => {
  const start = (more: { allowFrom?: string[]; maxConnections?: number }) =>
    startHttpPath([backend.endpoint], { directory, trust: { ca: clusterCa.cert }, ...more });

  test('clients of other networks than those allowed are closed at once', async () => {
    const [closed, open] = [
      await start({ allowFrom: ['10.0.0.0/8'] }),
      await start({ allowFrom: ['127.0.0.0/8'] }),
    ];
    await expect(ask(closed)).rejects.toThrow();
    expect((await ask(open)).status).toBe(200);
    await Promise.all([closed.stop(), open.stop()]);
  });

  test('no more connections than allowed', async () => {
    const bounded = await start({ maxConnections: 1 });
    const first = await rawClient(bounded);
    await expect(ask(bounded)).rejects.toThrow();
    first.socket.destroy();
    await eventually('room again', () =>
      ask(bounded).then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
    await bounded.stop();
  });
});

// Client certificates at the http listener: refused with the way out, or handed on by a front proxy.
import { type Backend, lines, startBackend } from '../../support/apiserver/https-backend.ts';
import { ask, http2Client, rawClient } from '../../support/clients/http-clients.ts';
import { type HttpPath, startHttpPath } from '../../support/agent/http-path.ts';
import { watchForLeaks } from '../../support/jest/leaks.ts';
import { type Leaf, makeCa, type TestCa } from '../../support/credentials/pki.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';
import { connect } from 'node:tls';

const directory = tempDir();
const leftNothing = watchForLeaks();
let clusterCa: TestCa;
let clientCa: TestCa;
let frontCa: TestCa;
let user: Leaf;
let backend: Backend;
let path: HttpPath;

const headers = { authorization: 'Bearer token' };

beforeAll(async () => {
  [clusterCa, clientCa, frontCa] = await Promise.all([makeCa(), makeCa('clients'), makeCa('front-proxy')]);
  user = await clientCa.issue({ commonName: 'system:node:a', organizations: ['system:nodes', 'b, c'] });
});

beforeEach(async () => {
  backend = await startBackend(await clusterCa.issue({ commonName: 'kube-apiserver', sans: ['kubernetes'] }));
});

afterEach(async () => {
  await path.stop();
  await backend.close();
});

afterAll(() => leftNothing());

describe('without a front proxy', () => {
  beforeEach(async () => {
    path = await startHttpPath([backend.endpoint], { directory, trust: { ca: clusterCa.cert } });
  });

  test('a request without a certificate shows the API server none', async () => {
    expect((await ask(path, { headers })).status).toBe(200);
    expect(backend.requests[0]?.certificate).toBeUndefined();
  });

  test.each(['HTTP/1.1', 'HTTP/2'])(
    '%s: a certificate is answered 421, even with a token',
    async (version) => {
      for (const leaf of [user, await (await makeCa('nobody')).issue({ commonName: 'x' })]) {
        const client = version === 'HTTP/2' ? await http2Client(path, leaf) : undefined;
        const answer = client ? await client.ask({ headers }) : await ask(path, { headers }, leaf);
        expect(answer.status).toBe(421);
        expect(answer.headers.warning).toMatch(/^299 fairlead "a client certificate cannot pass/);
        expect(JSON.parse(answer.body)).toMatchObject({
          kind: 'Status',
          apiVersion: 'v1',
          status: 'Failure',
          code: 421,
          message: expect.stringContaining('127.0.0.1:6443'),
        });
        await client?.close();
      }
      expect(backend.requests).toEqual([]);
    },
  );

  test('so is a certificate of a resumed session', async () => {
    const options = {
      host: '127.0.0.1',
      port: path.port,
      ca: path.ca.cert,
      servername: 'localhost',
      ...user,
    };
    const session = await new Promise<Buffer>((resolve) => {
      const socket = connect(options);
      socket.on('session', (given) => {
        resolve(given);
        socket.destroy();
      });
    });
    const text = await new Promise<string>((resolve) => {
      const socket = connect({ ...options, session, cert: undefined, key: undefined } as never, () => {
        expect(socket.isSessionReused()).toBe(true);
        socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      });
      socket.on('data', (chunk: Buffer) => {
        resolve(chunk.toString());
        socket.destroy();
      });
    });
    expect(text).toMatch(/^HTTP\/1\.1 421 /);
  });

  test('so is a request for an upgrade', async () => {
    const client = await rawClient(
      path,
      'POST /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n',
      user,
    );
    await client.ended;
    expect(client.text).toMatch(/^HTTP\/1\.1 421 /);
    expect(backend.requests).toEqual([]);
  });
});

describe('with a front proxy', () => {
  const names = { usernameHeader: 'X-Remote-User', groupHeader: 'X-Custom-Group' };

  beforeEach(async () => {
    const pair = await frontCa.issue({ commonName: 'front-proxy-client' });
    path = await startHttpPath([backend.endpoint], {
      directory,
      trust: { ca: clusterCa.cert },
      clientCa: clientCa.cert,
      frontProxy: { ...names, ...pair },
    });
  });

  test.each(['HTTP/1.1', 'HTTP/2'])(
    '%s: the names of a verified certificate are handed on, and nothing forged',
    async (version) => {
      const forged = {
        ...headers,
        'X-Remote-User': 'admin',
        'x-remote-group': 'system:masters',
        'X-Custom-Group': 'system:masters',
        x_custom_group: 'system:masters',
        'X-Remote-Extra-A': 'b',
      };
      const client = version === 'HTTP/2' ? await http2Client(path, user) : undefined;
      const answer = client
        ? await client.ask({ headers: forged })
        : await ask(path, { headers: forged }, user);
      expect(answer.status).toBe(200);
      const [request] = backend.requests;
      expect(request?.certificate).toBe('front-proxy-client');
      expect(request && lines(request, 'x-remote-user')).toEqual(['system:node:a']);
      expect(request && lines(request, 'x-custom-group')).toEqual(['system:nodes', 'b, c']);
      expect(request?.rawHeaders.join()).not.toMatch(/admin|masters|Extra|authorization/i);
      await client?.close();
    },
  );

  test('a request with a token only is sent without the certificate of the front proxy', async () => {
    await ask(path, {}, user);
    const forged = { ...headers, 'X-Remote-User': 'admin', 'X-Custom-Group': 'system:masters' };
    expect((await ask(path, { headers: forged })).status).toBe(200);
    const request = backend.requests[1];
    expect(request?.certificate).toBeUndefined();
    expect(request?.headers.authorization).toBe('Bearer token');
    expect(request?.rawHeaders.join()).not.toMatch(/admin|masters/);
    expect(backend.connections).toBe(2);
  });

  test('a certificate of another CA is refused', async () => {
    const stranger = await clusterCa.issue({ commonName: 'admin', organizations: ['system:masters'] });
    expect((await ask(path, { headers }, stranger)).status).toBe(401);
    expect(backend.requests).toEqual([]);
  });

  test('an expired certificate is refused', async () => {
    const dates = { notBefore: new Date(Date.now() - 2e8), notAfter: new Date(Date.now() - 1e8) };
    const old = await clientCa.issue({ commonName: 'admin', ...dates });
    expect((await ask(path, {}, old)).status).toBe(401);
  });

  test('names that headers cannot carry as they are are refused', async () => {
    const odd = await clientCa.issue({ commonName: 'ädmin' });
    expect((await ask(path, {}, odd)).status).toBe(403);
    expect(backend.requests).toEqual([]);
  });

  test('a request for an upgrade carries the names, too', async () => {
    backend.onUpgrade = (_request, socket) => {
      socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nhello');
    };
    const client = await rawClient(
      path,
      'POST /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Remote-User: admin\r\n\r\n',
      user,
    );
    await client.ended;
    expect(client.text).toMatch(/hello$/);
    const [request] = backend.requests;
    expect([request?.certificate, request && lines(request, 'x-remote-user')]).toEqual([
      'front-proxy-client',
      ['system:node:a'],
    ]);
  });
});

// How a kube-apiserver behaves, one fact a test, as measured on three v1.36.2 servers over one etcd. The
// stand-in has to pass; so does the real thing:
//   FAIRLEAD_TEST_KUBECONFIG=FILE FAIRLEAD_TEST_ENDPOINTS=a:6443,b:6443,c:6443 npm run test:contract
// Facts that need a server to be stopped or broken are in contract-switched.test.ts.
import { Agent } from 'node:https';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { randomUUID } from 'node:crypto';
import type { ApiClient } from '../support/clients/api-client.ts';
import { type ContractTarget, isReal, openTarget } from '../support/apiserver/contract-target.ts';
import { eventually } from '../support/jest/eventually.ts';
import { watchForLeaks } from '../support/jest/leaks.ts';
import { makeCa } from '../support/credentials/pki.ts';

const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
const selector = 'labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes';
const configMaps = '/api/v1/namespaces/default/configmaps';

const leftNothing = watchForLeaks();
let target: ContractTarget;
let one: ApiClient;
/** A label of this run, so that the suite finds only its own objects in a real cluster. */
const run = `fairlead-${randomUUID().slice(0, 8)}`;

beforeAll(async () => {
  target = await openTarget();
  one = target.clients[0]!;
});

/** No test sees the objects of another. */
afterEach(async () => {
  await one.ask(`${configMaps}?labelSelector=run%3D${run}`, { method: 'DELETE', user: target.admin });
});

afterAll(async () => {
  await target.stop();
  await leftNothing();
});

async function createConfigMap(name: string, data: Record<string, string> = {}): Promise<void> {
  const body = { metadata: { name: `${run}-${name}`, labels: { run } }, data };
  const { status } = await one.ask(configMaps, { method: 'POST', user: target.admin, body });
  expect(status).toBe(201);
}

describe('discovery', () => {
  test('default/kubernetes lists every API server, ready, under one port named https', async () => {
    const slice = await one.json(`${slices}/kubernetes`, { user: target.admin });
    expect(slice).toMatchObject({
      kind: 'EndpointSlice',
      apiVersion: 'discovery.k8s.io/v1',
      metadata: { name: 'kubernetes', namespace: 'default' },
      ports: [{ name: 'https', port: target.port, protocol: 'TCP' }],
    });
    expect(slice.metadata.labels).toEqual({ 'kubernetes.io/service-name': 'kubernetes' });
    expect(slice.metadata.ownerReferences).toBeUndefined();
    expect(slice.endpoints).toHaveLength(target.clients.length);
    for (const endpoint of slice.endpoints) {
      expect(endpoint).toEqual({ addresses: [expect.any(String)], conditions: { ready: true } });
    }
    expect(slice.endpoints.map((endpoint: { addresses: string[] }) => endpoint.addresses[0]).sort()).toEqual(
      target.clients.map(({ address }) => address.host).sort(),
    );
  });

  test('a list names kind and version once, its items do not', async () => {
    const list = await one.json(`${slices}?${selector}`, { user: target.admin });
    expect(list).toMatchObject({ kind: 'EndpointSliceList', apiVersion: 'discovery.k8s.io/v1' });
    expect(list.metadata.resourceVersion).toMatch(/^\d+$/);
    expect(list.items).toHaveLength(1);
    expect(list.items[0].kind).toBeUndefined();
  });

  test('every API server gives the same answer', async () => {
    const answers = await Promise.all(
      target.clients.map((client) => client.json(`${slices}/kubernetes`, { user: target.admin })),
    );
    for (const answer of answers) expect(answer.endpoints).toEqual(answers[0].endpoints);
  });

  test('a bookmark carries an EndpointSlice without name, address type, endpoints and ports', async () => {
    const query = 'watch=1&allowWatchBookmarks=1&sendInitialEvents=1&resourceVersionMatch=NotOlderThan';
    const watch = await one.watch(`${slices}?${query}&timeoutSeconds=30`, { user: target.admin });
    const isBookmark = ({ type }: { type: string }) => type === 'BOOKMARK';
    await eventually('a bookmark', () => watch.events.some(isBookmark));
    watch.close();
    const { object } = watch.events.find(isBookmark)!;
    expect(object).toMatchObject({ kind: 'EndpointSlice', endpoints: null, ports: null, addressType: '' });
    expect(object.metadata.name).toBeUndefined();
    expect(object.metadata.resourceVersion).toMatch(/^\d+$/);
    expect(object.metadata.annotations).toEqual({ 'k8s.io/initial-events-end': 'true' });
    expect(watch.events[0]).toMatchObject({ type: 'ADDED' });
  });

  test('timeoutSeconds ends a watch by a plain end of the chunked body', async () => {
    const watch = await one.watch(`${slices}?watch=1&timeoutSeconds=1&${selector}`, { user: target.admin });
    expect(watch.status).toBe(200);
    expect(watch.headers['transfer-encoding']).toBe('chunked');
    expect(watch.headers['content-type']).toBe('application/json');
    expect(await watch.ended).toBe('end');
    expect(watch.events.map(({ type }) => type)).not.toContain('ERROR');
  });

  test('a watch without a resourceVersion begins with what there is', async () => {
    const watch = await one.watch(`${slices}?watch=1&${selector}`, { user: target.admin });
    await eventually('the first event', () => watch.events.length > 0);
    watch.close();
    expect(watch.events[0]).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'kubernetes' } } });
  });

  test('a watch from a list sees every later change, from any API server', async () => {
    const other = target.clients.at(-1)!;
    const list = await one.json(`${configMaps}?labelSelector=run%3D${run}`, { user: target.admin });
    const from = `resourceVersion=${list.metadata.resourceVersion}`;
    await createConfigMap('watched', { a: '1' });
    const path = `${configMaps}?watch=1&labelSelector=run%3D${run}&${from}`;
    const watch = await other.watch(path, { user: target.admin });
    const one_ = `${configMaps}/${run}-watched`;
    const headers = { 'content-type': 'application/merge-patch+json' };
    const body = { data: { a: '2' } };
    await one.ask(one_, { method: 'PATCH', user: target.admin, headers, body });
    await one.ask(one_, { method: 'DELETE', user: target.admin });
    await eventually('three events', () => watch.events.length >= 3);
    watch.close();
    expect(watch.events.map(({ type, object }) => [type, object.data.a])).toEqual([
      ['ADDED', '1'],
      ['MODIFIED', '2'],
      ['DELETED', '2'],
    ]);
    const versions = watch.events.map(({ object }) => Number(object.metadata.resourceVersion));
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
  });

  test('a watch from a forgotten resourceVersion gets 200 and one ERROR event with 410', async () => {
    // An API server that is as old as its cluster remembers everything.
    for (const client of target.clients.toReversed()) {
      const query = 'watch=1&resourceVersion=1&timeoutSeconds=3';
      const watch = await client.watch(`${slices}?${query}`, { user: target.admin });
      expect(watch.status).toBe(200);
      expect(await watch.ended).toBe('end');
      if (isReal && watch.events[0]?.type === 'ADDED') continue;
      expect(watch.events).toHaveLength(1);
      expect(watch.events[0]).toMatchObject({
        type: 'ERROR',
        object: { kind: 'Status', status: 'Failure', reason: 'Expired', code: 410 },
      });
      expect(watch.events[0]?.object.message).toMatch(/^too old resource version: 1 \(\d+\)$/);
      return;
    }
    throw new Error('every API server remembers version 1: restart one of them');
  });

  test('a list comes in pages with limit and continue', async () => {
    for (const name of ['page-a', 'page-b', 'page-c']) await createConfigMap(name);
    const path = `${configMaps}?labelSelector=run%3D${run}&limit=2`;
    const first = await one.json(path, { user: target.admin });
    expect(first.items).toHaveLength(2);
    const token = encodeURIComponent(first.metadata.continue);
    const second = await one.json(`${path}&continue=${token}`, { user: target.admin });
    expect(second.items).toHaveLength(1);
    expect(second.metadata.continue).toBeUndefined();
    expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
  });
});

describe('resources', () => {
  test('create, get, replace and delete follow one resourceVersion', async () => {
    await createConfigMap('life', { a: '1' });
    const path = `${configMaps}/${run}-life`;
    const created = await one.json(path, { user: target.admin });
    const replace = (resourceVersion: string) =>
      one.ask(path, {
        method: 'PUT',
        user: target.admin,
        body: { ...created, metadata: { ...created.metadata, resourceVersion }, data: { a: '2' } },
      });
    const stale = await replace('2');
    expect(stale.status).toBe(409);
    expect(JSON.parse(stale.body)).toMatchObject({ kind: 'Status', reason: 'Conflict', code: 409 });
    const replaced = JSON.parse((await replace(created.metadata.resourceVersion)).body);
    expect(Number(replaced.metadata.resourceVersion)).toBeGreaterThan(
      Number(created.metadata.resourceVersion),
    );
    expect(replaced.metadata.uid).toBe(created.metadata.uid);
    const removed = await one.json(path, { method: 'DELETE', user: target.admin });
    expect(removed).toMatchObject({ kind: 'Status', status: 'Success' });
    const gone = await one.ask(path, { user: target.admin });
    expect(gone.status).toBe(404);
    expect(JSON.parse(gone.body).message).toBe(`configmaps "${run}-life" not found`);
  });

  test('a name is given only once', async () => {
    await createConfigMap('twice');
    const body = { metadata: { name: `${run}-twice` } };
    const again = await one.ask(configMaps, { method: 'POST', user: target.admin, body });
    expect(again.status).toBe(409);
    expect(JSON.parse(again.body).reason).toBe('AlreadyExists');
  });
});

describe('health', () => {
  test.each(['/livez', '/readyz', '/healthz'])('anonymous GET %s is 200 "ok" as text/plain', async (path) => {
    const { status, body, headers } = await one.ask(path);
    expect([status, body]).toEqual([200, 'ok']);
    expect(headers['content-type']).toMatch(/^text\/plain/);
  });

  test('anonymous GET /version is 200', async () => {
    const { status, body } = await one.ask('/version');
    expect(status).toBe(200);
    expect(JSON.parse(body).gitVersion).toMatch(/^v1\.\d+/);
  });

  test('?verbose lists the checks', async () => {
    const { status, body } = await one.ask('/readyz?verbose');
    expect(status).toBe(200);
    const lines = body.split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.pop()).toBe('readyz check passed');
    for (const line of lines) expect(line).toMatch(/^\[\+\]\S+ ok$/);
    expect(lines).toEqual(expect.arrayContaining(['[+]ping ok', '[+]etcd ok', '[+]shutdown ok']));
    // The number changes with the version; 38 is what v1.36.2 has.
    if (!isReal) expect(lines).toHaveLength(38);
  });

  test('?exclude takes a check out', async () => {
    const { status, body } = await one.ask('/readyz?verbose&exclude=etcd');
    expect(status).toBe(200);
    expect(body).toContain('[+]etcd excluded: ok\n');
  });

  test.each(['HEAD', 'POST', 'OPTIONS'])(
    'anonymous %s is 403: such a probe never succeeds',
    async (method) => {
      for (const path of ['/livez', '/readyz', '/healthz']) {
        expect((await one.ask(path, { method })).status).toBe(403);
      }
    },
  );

  test.each(['/livez/ping', '/readyz/etcd'])('anonymous GET %s is 403 with a Status', async (path) => {
    const { status, body } = await one.ask(path);
    expect(status).toBe(403);
    expect(JSON.parse(body)).toMatchObject({
      kind: 'Status',
      reason: 'Forbidden',
      message: `forbidden: User "system:anonymous" cannot get path "${path}"`,
    });
  });

  test('an admin may ask for one check', async () => {
    expect(await one.ask('/readyz/etcd', { user: target.admin })).toMatchObject({ status: 200, body: 'ok' });
    expect((await one.ask('/readyz/no-such-check', { user: target.admin })).status).toBe(404);
  });

  test('a bad bearer token is 401, even on /readyz', async () => {
    const { status, body } = await one.ask('/readyz', { user: { token: 'bad' } });
    expect(status).toBe(401);
    expect(JSON.parse(body)).toMatchObject({ kind: 'Status', reason: 'Unauthorized', code: 401 });
  });

  test('a certificate of an unknown CA gets through the handshake, then 401', async () => {
    const stranger = await (await makeCa('stranger')).issue({
      commonName: 'kubernetes-admin',
      organizations: ['system:masters'],
    });
    const socket = await one.tls(stranger);
    socket.destroy();
    expect((await one.ask('/readyz', { user: stranger })).status).toBe(401);
  });
});

describe('the wire', () => {
  test('plain HTTP to the TLS port gets 400 with a text', async () => {
    const socket = await one.tcp();
    socket.write('GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n');
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await once(socket, 'close');
    expect(text).toMatch(/^HTTP\/1\.[01] 400 Bad Request\r\n/);
    expect(text).toContain('Client sent an HTTP request to an HTTPS server.');
  });

  test.each([['h2'], ['http/1.1']])('TLS 1.3 with %s by ALPN', async (protocol) => {
    const socket = await one.tls({}, { ALPNProtocols: [protocol] });
    expect(socket.alpnProtocol).toBe(protocol);
    expect(socket.getProtocol()).toBe('TLSv1.3');
    socket.destroy();
  });

  test('one HTTP/2 connection carries a watch and requests at once', async () => {
    const { cert, key, token } = target.admin;
    const { host, port } = one.address;
    const session = connectHttp2(`https://${host.includes(':') ? `[${host}]` : host}:${port}`, {
      ca: one.ca,
      ...(cert && key && { cert, key }),
    });
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const watch = session.request({ ...headers, ':path': `${slices}?watch=1` });
    let events = '';
    watch.setEncoding('utf8').on('data', (chunk: string) => {
      events += chunk;
    });
    await eventually('the first event', () => events.includes('\n'));
    for (let count = 0; count < 3; count += 1) {
      const ready = session.request({ ...headers, ':path': '/readyz' });
      let body = '';
      ready.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      await once(ready, 'end');
      expect(body).toBe('ok');
    }
    expect(watch.closed).toBe(false);
    watch.close();
    session.close();
    await once(session, 'close');
  });

  test('a kept-alive HTTP/1.1 connection serves one request after another', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    agent.on('free', (socket) => sockets.add(socket));
    for (let count = 0; count < 3; count += 1) {
      const { status, headers } = await one.ask('/readyz', { agent });
      expect(status).toBe(200);
      // No hint of the idle timeout, as some HTTP servers give.
      expect(headers).not.toHaveProperty('keep-alive');
      await eventually('the connection is idle', () => Object.keys(agent.freeSockets).length > 0);
    }
    agent.destroy();
    expect(sockets.size).toBe(1);
  });
});

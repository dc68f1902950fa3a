// The stand-in's own switches: that each misbehaviour is what it says, ends when it is switched off, and that
// the counters count.
import { once } from 'node:events';
import { Agent } from 'node:https';
import { ApiClient } from '../support/clients/api-client.ts';
import type { ApiServer } from '../support/apiserver/api-server.ts';
import { type ControlPlane, startControlPlane } from '../support/apiserver/control-plane.ts';
import type { Misbehaviour } from '../support/apiserver/misbehaviour.ts';
import { eventually } from '../support/jest/eventually.ts';
import { watchForLeaks } from '../support/jest/leaks.ts';

const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
const leftNothing = watchForLeaks();
let plane: ControlPlane;
let server: ApiServer;
let client: ApiClient;
let user: ControlPlane['pki']['clients']['admin'];

beforeAll(async () => {
  plane = await startControlPlane({ servers: 1 });
  server = plane.servers[0]!;
  client = new ApiClient(server.address, plane.pki.ca.cert);
  user = plane.pki.clients.admin;
});

afterEach(async () => {
  await server.behave();
  await server.act('close-connections');
  // Whatever it was told, it answers again.
  expect((await client.ask('/readyz')).status).toBe(200);
});

afterAll(async () => {
  await plane.stop();
  await leftNothing();
});

const silence = (limitMs: number) =>
  new Promise<string>((resolve) => setTimeout(() => resolve('silence'), limitMs));

describe('connections', () => {
  test('refuse: new connects are refused, open connections go on', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    await client.ask('/readyz', { agent });
    await server.misbehave({ refuse: true });
    await expect(client.ask('/readyz')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect((await client.ask('/readyz', { agent })).status).toBe(200);
    agent.destroy();
  });

  test('onConnect reset and close end new connections at once', async () => {
    await server.misbehave({ onConnect: 'reset' });
    await expect(client.ask('/readyz')).rejects.toMatchObject({ code: 'ECONNRESET' });
    await server.misbehave({ onConnect: 'close' });
    const socket = await client.tcp();
    socket.resume();
    const [hadError] = (await once(socket, 'close')) as [boolean];
    expect(hadError).toBe(false);
  });

  test('reset-connections resets those that are open', async () => {
    const { tlsHandshakes } = server.stats();
    const socket = await client.tls();
    const error = once(socket.resume(), 'error');
    // Before the server's side of the handshake is done, Node's client shows a reset as a plain end.
    await eventually('the handshake is done', () => server.stats().tlsHandshakes > tlsHandshakes);
    await server.act('reset-connections');
    expect((await error)[0]).toMatchObject({ code: 'ECONNRESET' });
  });

  test('a server that was killed starts again on its port', async () => {
    const { address } = server;
    server.kill();
    await expect(client.ask('/readyz')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await server.start();
    await server.ready();
    expect(server.address).toBe(address);
  });

  test('a frozen server that is killed is not frozen when it starts again', async () => {
    await server.freeze();
    server.kill();
    await server.start();
    await server.ready();
    expect((await client.ask('/readyz')).status).toBe(200);
  });
});

describe('TLS', () => {
  test.each([
    ['expired', 'CERT_HAS_EXPIRED'],
    ['not-yet-valid', 'CERT_NOT_YET_VALID'],
    ['wrong-name', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['unknown-ca', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ] as const)('%s: the client says %s', async (tls, code) => {
    await server.misbehave({ tls });
    await expect(client.ask('/readyz')).rejects.toMatchObject({ code });
  });

  test('a bad certificate is met by resumed sessions, too', async () => {
    const agent = new Agent({ keepAlive: false });
    await client.ask('/readyz', { agent });
    await server.misbehave({ tls: 'expired' });
    await expect(client.ask('/readyz', { agent })).rejects.toMatchObject({ code: 'CERT_HAS_EXPIRED' });
    agent.destroy();
  });

  test('garbage: bytes that are no TLS', async () => {
    await server.misbehave({ tls: 'garbage' });
    await expect(client.ask('/readyz')).rejects.toMatchObject({
      code: expect.stringMatching(/^(EPROTO|ERR_SSL_.*)$/),
    });
  });

  test('silent: the ClientHello is never answered', async () => {
    await server.misbehave({ tls: 'silent' });
    await expect(client.ask('/readyz', { timeoutMs: 300 })).rejects.toThrow('no answer within');
    await server.act('close-connections');
  });

  test('an expired client certificate is 401', async () => {
    const expired = await plane.pki.ca.issue({
      commonName: 'kubernetes-admin',
      organizations: ['system:masters'],
      notBefore: new Date(Date.now() - 172_800_000),
      notAfter: new Date(Date.now() - 86_400_000),
    });
    expect((await client.ask('/readyz', { user: expired })).status).toBe(401);
  });
});

describe('answers', () => {
  test('failReadyz and failLivez name the checks that fail', async () => {
    await server.misbehave({ failReadyz: ['etcd', 'poststarthook/my-own'] });
    const ready = await client.ask('/readyz');
    expect(ready.status).toBe(500);
    expect(ready.body.match(/^\[-\].*$/gm)).toEqual([
      '[-]etcd failed: reason withheld',
      '[-]poststarthook/my-own failed: reason withheld',
    ]);
    expect((await client.ask('/livez')).status).toBe(200);
    await server.misbehave({ failLivez: ['ping'] });
    expect((await client.ask('/livez')).status).toBe(500);
    expect((await client.ask('/readyz/etcd', { user })).status).toBe(500);
  });

  test('delayMs and delaysMs make answers late', async () => {
    await server.misbehave({ delaysMs: { '/readyz': 60_000 } });
    const late = client.ask('/readyz', { timeoutMs: 300 });
    expect((await client.ask('/livez')).status).toBe(200);
    await expect(late).rejects.toThrow('no answer within');
    await server.misbehave({ delaysMs: {}, delayMs: 200 });
    const startMs = performance.now();
    await client.ask('/livez');
    expect(performance.now() - startMs).toBeGreaterThan(190);
  });

  test('/slow answers after what it is told', async () => {
    const startMs = performance.now();
    expect((await client.ask('/slow?ms=200', { user })).status).toBe(200);
    expect(performance.now() - startMs).toBeGreaterThan(190);
  });

  test('/bench/bytes gives as many bytes as asked, and counts those it is sent', async () => {
    const { body } = await client.ask('/bench/bytes?size=1234567', { user });
    expect(body).toHaveLength(1_234_567);
    const text = 'x'.repeat(300_000);
    const sent = await client.json('/bench/bytes', { method: 'POST', user, body: text });
    expect(sent).toEqual({ received: 300_002 });
  });

  test('dropAfterBytes cuts answers in the middle', async () => {
    await server.misbehave({ dropAfterBytes: 1_000 });
    await expect(client.ask('/bench/bytes?size=100000', { user })).rejects.toThrow(/aborted|hang up|cut/);
    await expect(client.ask('/readyz?verbose')).rejects.toThrow(/aborted|hang up|cut/);
  });

  test('health bodies that never end, are far too large, or are no HTTP', async () => {
    await server.misbehave({ health: 'endless' });
    const agent = new Agent();
    const watch = client.watch('/readyz', { agent }).then((response) => response.status);
    expect(await watch).toBe(200);
    agent.destroy();
    await server.act('close-connections');
    await server.misbehave({ health: 'oversized' });
    expect((await client.ask('/readyz')).body.length).toBe(64 * 1024 * 1024);
    await server.misbehave({ health: 'not-http' });
    await expect(client.ask('/readyz')).rejects.toThrow(/Parse Error/);
  });

  test('unauthorized: 401 on the API only, or on everything', async () => {
    await server.misbehave({ unauthorized: 'api' });
    expect((await client.ask(slices, { user })).status).toBe(401);
    expect((await client.ask('/readyz', { user })).status).toBe(200);
    await server.misbehave({ unauthorized: 'all' });
    expect((await client.ask('/readyz', { user })).status).toBe(401);
  });

  test('answerStatus: one status for every request', async () => {
    await server.misbehave({ answerStatus: 503 });
    const { status, headers, body } = await client.ask('/readyz');
    expect([status, headers['retry-after'], JSON.parse(body).kind]).toEqual([503, '1', 'Status']);
  });
});

describe('EndpointSlices', () => {
  const ask = async (kind: Misbehaviour['slices'], path = slices) => {
    await server.misbehave({ slices: kind });
    return (await client.ask(path, { user })).body;
  };

  test('not-json and truncated cannot be parsed', async () => {
    for (const kind of ['not-json', 'truncated'] as const) {
      const body = await ask(kind);
      expect(() => JSON.parse(body)).toThrow();
    }
  });

  test('lists that are empty or null, and objects that are malformed', async () => {
    expect(JSON.parse(await ask('empty-list')).items).toEqual([]);
    expect(JSON.parse(await ask('null-items')).items).toBeNull();
    expect(JSON.parse(await ask('wrong-types')).items[0].endpoints).toBe('none');
    expect(JSON.parse(await ask('bad-addresses')).items[0].endpoints[0].addresses[0]).toBe('not an address');
  });

  test('malformed objects come in watches, too', async () => {
    await server.misbehave({ slices: 'wrong-types' });
    const watch = await client.watch(`${slices}?watch=1`, { user });
    await eventually('an event', () => watch.events.length > 0);
    expect(watch.events[0]?.object.endpoints).toBe('none');
    watch.close();
  });

  test('other resources stay as they are', async () => {
    await server.misbehave({ slices: 'not-json' });
    expect((await client.json('/api/v1/namespaces', { user })).items).toHaveLength(4);
  });
});

describe('watches', () => {
  const configMaps = '/api/v1/namespaces/default/configmaps';
  const create = (name: string) =>
    client.ask(configMaps, { method: 'POST', user, body: { metadata: { name } } });

  // A watch begins with what there is: no test sees the objects of another.
  afterEach(async () => {
    const made = await plane.store.list('/registry/core/configmaps/default/');
    if (made.ok) for (const { key } of made.items) await plane.store.delete(key);
  });

  test('silentWatches holds events back until it is off', async () => {
    const watch = await client.watch(`${configMaps}?watch=1`, { user });
    await server.misbehave({ silentWatches: true });
    await create('unheard');
    expect(await Promise.race([eventually('', () => watch.events.length > 0), silence(300)])).toBe('silence');
    expect(watch.isOpen).toBe(true);
    await server.misbehave({ silentWatches: false });
    await eventually('the event', () => watch.events.length === 1);
    watch.close();
  });

  test('reset-watches resets the connections of watches and no others', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    await client.ask('/readyz', { agent });
    const watch = await client.watch(`${configMaps}?watch=1`, { user });
    await eventually('the watch is open', () => server.stats().watchesOpen === 1);
    await server.act('reset-watches');
    expect(await watch.ended).toBe('cut');
    const before = server.stats().connectionsAccepted;
    await client.ask('/readyz', { agent });
    expect(server.stats().connectionsAccepted).toBe(before);
    agent.destroy();
  });

  test('end-watches ends them in good order', async () => {
    const watch = await client.watch(`${configMaps}?watch=1`, { user });
    await eventually('the watch is open', () => server.stats().watchesOpen === 1);
    await server.act('end-watches');
    expect(await watch.ended).toBe('end');
    await eventually('it is counted out', () => server.stats().watchesOpen === 0);
  });

  test('compact makes older resourceVersions too old, for watches and for pages', async () => {
    for (const name of ['old-a', 'old-b']) await create(name);
    const page = await client.json(`${configMaps}?limit=1`, { user });
    await create('old-c');
    await server.act('compact');
    const from = page.metadata.resourceVersion;
    const watch = await client.watch(`${configMaps}?watch=1&resourceVersion=${from}`, { user });
    expect(await watch.ended).toBe('end');
    expect(watch.events[0]).toMatchObject({ type: 'ERROR', object: { code: 410 } });
    const next = `${configMaps}?limit=1&continue=${encodeURIComponent(page.metadata.continue)}`;
    expect((await client.ask(next, { user })).status).toBe(410);
  });
});

describe('counters', () => {
  test('count connections, handshakes and requests by path', async () => {
    await server.act('close-connections');
    await eventually('no connection is open', () => server.stats().connectionsOpen === 0);
    server.resetStats();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    await client.ask('/readyz', { agent });
    await client.ask('/readyz?verbose', { agent });
    await client.ask('/livez', { method: 'HEAD' });
    const socket = await client.tcp();
    await eventually('three connections', () => server.stats().connectionsAccepted === 3);
    expect(server.stats()).toMatchObject({
      connectionsAccepted: 3,
      tlsHandshakes: 2,
      requests: 3,
      requestsByPath: { '/readyz': 2, '/livez': 1 },
      requestsByMethod: { GET: 2, HEAD: 1 },
    });
    agent.destroy();
    socket.destroy();
    await eventually('all are closed', () => server.stats().connectionsOpen === 0);
  });

  test('count handshakes that fail', async () => {
    const { tlsFailures } = server.stats();
    const socket = await client.tcp();
    socket.write(Buffer.from([22, 3, 1, 0, 5, 1, 2, 3, 4, 5]));
    socket.resume();
    await once(socket, 'close');
    await eventually('the failure is counted', () => server.stats().tlsFailures === tlsFailures + 1);
  });
});

// The stand-in as processes: real signals, a store that can be lost and comes back with its data, and nothing
// left behind.
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { ApiClient } from '../support/clients/api-client.ts';
import {
  type ProcessControlPlane,
  startProcessControlPlane,
} from '../support/apiserver/control-plane-processes.ts';
import { serveStore } from '../support/apiserver/store-server.ts';
import { Store, type StoreEvent } from '../support/apiserver/store.ts';
import { StoreClient } from '../support/apiserver/store-client.ts';
import { eventually } from '../support/jest/eventually.ts';
import { watchForLeaks } from '../support/jest/leaks.ts';

const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
const configMaps = '/api/v1/namespaces/default/configmaps';
const leftNothing = watchForLeaks();

function isRunning(pid: number | undefined): boolean {
  try {
    process.kill(pid ?? 0, 0);
    return true;
  } catch {
    return false;
  }
}

afterAll(leftNothing);

describe('processes', () => {
  let plane: ProcessControlPlane;
  let clients: ApiClient[];
  let user: ProcessControlPlane['pki']['clients']['admin'];

  const addresses = async (index: number): Promise<string[]> => {
    const slice = await clients[index]?.json(`${slices}/kubernetes`, { user });
    return (slice.endpoints ?? []).flatMap((endpoint: { addresses: string[] }) => endpoint.addresses);
  };
  const create = (index: number, name: string) =>
    clients[index]!.ask(configMaps, { method: 'POST', user, body: { metadata: { name } } });

  beforeAll(async () => {
    plane = await startProcessControlPlane({
      servers: 2,
      // Long enough that a busy machine does not lose a lease.
      timings: { leaseMs: 2_500, reconcileMs: 500 },
    });
    clients = plane.endpoints.map((endpoint) => new ApiClient(endpoint, plane.pki.ca.cert));
    user = plane.pki.clients.admin;
  });

  afterAll(() => plane.stop());

  test('share one store: what one writes, the other shows', async () => {
    const watch = await clients[1]!.watch(`${configMaps}?watch=1`, { user });
    expect((await create(0, 'shared')).status).toBe(201);
    await eventually('the event', () => watch.events.some(({ object }) => object.metadata.name === 'shared'));
    watch.close();
  });

  test('a killed one is refused, leaves the slice with its lease, and comes back on its port', async () => {
    const [server] = plane.servers;
    await server?.kill();
    await expect(clients[0]!.ask('/readyz')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await eventually('the entry is gone', async () => (await addresses(1)).join() === plane.servers[1]?.host);
    await server?.start();
    await server?.ready();
    expect((await clients[0]!.ask('/readyz')).status).toBe(200);
    expect(await addresses(0)).toHaveLength(2);
  });

  test('a stopped one accepts TCP and says nothing until it goes on', async () => {
    const [server] = plane.servers;
    await server?.freeze();
    const socket = await clients[0]!.tcp();
    await expect(clients[0]!.ask('/readyz', { timeoutMs: 300 })).rejects.toThrow('no answer within');
    await server?.thaw();
    expect((await clients[0]!.ask('/readyz')).status).toBe(200);
    socket.destroy();
  });

  test('SIGTERM ends it in good order: entry gone at once, watches served to their end', async () => {
    const [server] = plane.servers;
    const watch = await clients[0]!.watch(`${configMaps}?watch=1`, { user });
    const ended = server!.terminate();
    await eventually('the entry is gone', async () => (await addresses(1)).length === 1);
    await create(1, 'while-stopping');
    await eventually('the event', () =>
      watch.events.some(({ object }) => object.metadata.name === 'while-stopping'),
    );
    watch.close();
    await ended;
    expect(isRunning(server?.pid)).toBe(false);
    await server?.start();
    await server?.ready();
  });

  test('the control port changes switches, counts, and says what it does not know', async () => {
    const [server] = plane.servers;
    await server?.misbehave({ failReadyz: ['etcd'] });
    expect((await clients[0]!.ask('/readyz')).body).toContain('[-]etcd failed');
    expect((await server?.stats())?.requestsByPath['/readyz']).toBeGreaterThan(0);
    await server?.resetStats();
    expect((await server?.stats())?.requests).toBe(0);
    await server?.behave();
    expect((await clients[0]!.ask('/readyz')).status).toBe(200);
    const wrong = { failReadyz: 'etcd' } as unknown as { failReadyz: string[] };
    await expect(server?.misbehave(wrong)).rejects.toThrow('failReadyz must be of the type of []');
    const unknown = { explode: true } as unknown as { refuse: boolean };
    await expect(server?.misbehave(unknown)).rejects.toThrow('no such switch: explode');
  });

  test('a new serving certificate is taken from its files; open connections stay on the old one', async () => {
    const [server] = plane.servers;
    const watch = await clients[0]!.watch(`${configMaps}?watch=1`, { user });
    const { ca } = plane.pki;
    const shown = async (): Promise<string> => {
      const socket = await clients[0]!.tls();
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const before = await shown();
    const sans = [server?.host ?? ''];
    const renewed = await ca.issue({ commonName: 'kube-apiserver', sans });
    await server?.replaceCertificate(renewed);
    await eventually('the new certificate', async () => (await shown()) !== before);
    expect(await shown()).toBe(new X509Certificate(renewed.cert).fingerprint256);
    await create(0, 'after-renewal');
    await eventually('the event', () =>
      watch.events.some(({ object }) => object.metadata.name === 'after-renewal'),
    );
    expect(watch.isOpen).toBe(true);
    watch.close();
    // Half of a pair is not one.
    await server?.replaceCertificate({
      cert: (await ca.issue({ commonName: 'other' })).cert,
      key: renewed.key,
    });
    expect((await clients[0]!.ask('/readyz')).status).toBe(200);
    await server?.replaceCertificate(renewed);
  });

  test('a stopped store is a lost etcd: 500, reads hang, and all goes on afterwards', async () => {
    plane.storeProcess.signal('SIGSTOP');
    await eventually('500', async () => (await clients[0]!.ask('/readyz')).status === 500);
    await expect(clients[0]!.ask(slices, { user, timeoutMs: 300 })).rejects.toThrow('no answer within');
    plane.storeProcess.signal('SIGCONT');
    await eventually('200', async () => (await clients[0]!.ask('/readyz')).status === 200);
    expect((await clients[0]!.ask(slices, { user })).status).toBe(200);
  });

  test('a killed store comes back with its data, and open watches go on', async () => {
    const watch = await clients[0]!.watch(`${configMaps}?watch=1`, { user });
    await create(0, 'before');
    await plane.storeProcess.kill();
    await eventually('500', async () => (await clients[1]!.ask('/readyz')).status === 500);
    expect(watch.isOpen).toBe(true);
    await plane.storeProcess.start();
    await eventually('200', async () => (await clients[1]!.ask('/readyz')).status === 200);
    expect((await clients[1]!.ask(`${configMaps}/before`, { user })).status).toBe(200);
    await create(1, 'after');
    await eventually('the event', () => watch.events.some(({ object }) => object.metadata.name === 'after'));
    expect(watch.events.filter(({ object }) => object.metadata.name === 'before')).toHaveLength(1);
    watch.close();
  });
});

describe('ends', () => {
  test('stop() leaves neither processes nor files, even of stopped ones', async () => {
    const plane = await startProcessControlPlane({ servers: 1 });
    const dir = await plane.directory();
    const pids = [plane.servers[0]?.pid, plane.storeProcess.pid];
    expect(pids.map(isRunning)).toEqual([true, true]);
    expect(existsSync(dir)).toBe(true);
    await plane.servers[0]?.freeze();
    await plane.stop();
    expect(pids.map(isRunning)).toEqual([false, false]);
    expect(existsSync(dir)).toBe(false);
    await plane.stop();
  });

  test('a parent that is killed takes its processes with it', async () => {
    const helper = new URL('../support/apiserver/control-plane-processes.ts', import.meta.url).pathname;
    const script = `
      const { startProcessControlPlane } = await import(${JSON.stringify(helper)});
      const plane = await startProcessControlPlane({ servers: 1 });
      console.log(JSON.stringify([plane.servers[0].pid, plane.storeProcess.pid, await plane.directory()]));
    `;
    const parent = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const [server, store, dir] = JSON.parse(line.toString()) as [number, number, string];
    expect([server, store].map(isRunning)).toEqual([true, true]);
    const exited = once(parent, 'exit');
    parent.kill('SIGKILL');
    await exited;
    await eventually('both are gone', () => !isRunning(server) && !isRunning(store));
    await promisify(execFile)('rm', ['-rf', dir]);
  });
});

describe('the store over a socket', () => {
  test('gives what the store in process gives', async () => {
    const store = new Store({ firstRevision: 10 });
    const server = await serveStore(store, '127.0.0.1:0');
    const client = new StoreClient(server.address);
    try {
      const object = (name: string) => ({ metadata: { name } });
      expect(await client.put('/x/a', object('a'), { expect: 'absent' })).toEqual({ ok: true, revision: 11 });
      expect(await client.put('/x/a', object('a'), { expect: 'absent' })).toMatchObject({ reason: 'exists' });
      expect(await client.get('/x/a')).toEqual({ key: '/x/a', value: object('a'), revision: 11 });
      expect(await client.get('/x/none')).toBeUndefined();
      const events: StoreEvent[] = [];
      const result = await client.watch('/x/', 10, { onEvent: (event) => events.push(event) });
      await client.delete('/x/a');
      await eventually('two events', () => events.length === 2);
      expect(events.map(({ type, revision }) => [type, revision])).toEqual([
        ['put', 11],
        ['delete', 12],
      ]);
      if (result.ok) result.watch.cancel();
      await client.put('/x/b', object('b'));
      expect(events).toHaveLength(2);
      expect(await client.list('/x/')).toMatchObject({ ok: true, revision: 13, items: [{ key: '/x/b' }] });
      expect(await client.list('/x/', 11)).toMatchObject({ items: [{ key: '/x/a' }] });
      await client.compact();
      expect(await client.watch('/x/', 11, { onEvent: () => {} })).toMatchObject({ reason: 'compacted' });
    } finally {
      await client.close();
      await server.close();
    }
  });

  test('a watch whose place is compacted while the connection is down is told that it is lost', async () => {
    const store = new Store();
    const server = await serveStore(store, '127.0.0.1:0');
    const client = new StoreClient(server.address);
    const lost = Promise.withResolvers<void>();
    await client.watch('/x/', await client.revision(), { onEvent: () => {}, onLost: lost.resolve });
    await server.close();
    await store.put('/x/a', { metadata: { name: 'a' } });
    await store.compact();
    const again = await serveStore(store, server.address);
    await lost.promise;
    await client.close();
    await again.close();
  });
});

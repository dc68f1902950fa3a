// The facts about API servers that start, stop, die, freeze or lose their etcd, and of those with other
// settings: they need the stand-in's switches. With real API servers these tests say that they were skipped.
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { Agent } from 'node:https';
import { networkInterfaces } from 'node:os';
import { type ApiAnswer, ApiClient, type ApiRequest } from '../support/clients/api-client.ts';
import type { ApiServer } from '../support/apiserver/api-server.ts';
import {
  type ControlPlane,
  type ControlPlaneOptions,
  knownTokens,
  startControlPlane,
} from '../support/apiserver/control-plane.ts';
import type { EndpointSlice } from '../support/apiserver/objects.ts';
import { fastTimings, realisticTimings } from '../support/apiserver/timings.ts';
import { switchedTest } from '../support/apiserver/contract-target.ts';
import { eventually } from '../support/jest/eventually.ts';
import { watchForLeaks } from '../support/jest/leaks.ts';

const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
const sliceKey = '/registry/discovery.k8s.io/endpointslices/default/kubernetes';

const leftNothing = watchForLeaks();
const planes: ControlPlane[] = [];

async function start(options: ControlPlaneOptions): Promise<ControlPlane> {
  const plane = await startControlPlane(options);
  planes.push(plane);
  return plane;
}

function clientOf(plane: ControlPlane, index = 0): ApiClient {
  return new ApiClient(plane.endpoints[index]!, plane.pki.ca.cert);
}

/** The addresses in the slice, straight from the store. */
async function listed(plane: ControlPlane): Promise<string[] | null> {
  const slice = (await plane.store.get(sliceKey))?.value as EndpointSlice | undefined;
  return slice?.endpoints?.flatMap(({ addresses }) => addresses) ?? null;
}

/** Status codes, or the error codes of the connections, of one request after another until `last` comes. */
async function record(client: ApiClient, path: string, last: number | string, options: ApiRequest = {}) {
  const seen: (number | string)[] = [];
  await eventually(
    () => `${path} is ${last}; seen: ${seen.join(' ')}`,
    async () => {
      const outcome = await client.ask(path, options).then(
        ({ status }) => status,
        (error: NodeJS.ErrnoException) => error.code ?? error.message,
      );
      if (seen.at(-1) !== outcome) seen.push(outcome);
      return outcome === last;
    },
  );
  return seen;
}

afterEach(async () => {
  for (const plane of planes.splice(0)) await plane.stop();
});

afterAll(leftNothing);

describe('the EndpointSlice', () => {
  switchedTest('the entry of a stopped API server is removed, never set to ready: false', async () => {
    const plane = await start({ servers: 3 });
    const admin = plane.pki.clients.admin;
    const watch = await clientOf(plane, 1).watch(`${slices}?watch=1`, { user: admin });
    await plane.servers[0]?.terminate();
    await eventually('a change', () => watch.events.length > 1);
    watch.close();
    const [before, after] = watch.events.map(({ object }) => object as EndpointSlice);
    expect(before?.endpoints).toHaveLength(3);
    expect(after?.endpoints).toEqual(
      plane.servers.slice(1).map(({ host }) => ({ addresses: [host], conditions: { ready: true } })),
    );
  });

  switchedTest('when the last API server goes, the slice stays with endpoints and ports null', async () => {
    const plane = await start({ servers: 2 });
    for (const server of plane.servers) await server.terminate();
    const slice = (await plane.store.get(sliceKey))?.value;
    expect(slice).toMatchObject({
      metadata: { name: 'kubernetes' },
      addressType: 'IPv4',
      endpoints: null,
      ports: null,
    });
  });

  switchedTest('the entry of a killed API server goes with its lease and comes back with it', async () => {
    const plane = await start({ servers: 2, timings: { leaseMs: 300, reconcileMs: 100 } });
    const [one, two] = plane.servers;
    one?.kill();
    // Nobody has removed it: the slice still names both.
    expect(await listed(plane)).toHaveLength(2);
    await eventually('the entry is gone', async () => (await listed(plane))?.join() === two?.host);
    await one?.start();
    await one?.ready();
    expect(await listed(plane)).toEqual([one?.host, two?.host]);
  });

  switchedTest(
    'the entry of a frozen API server goes with its lease, and comes back when it thaws',
    async () => {
      const plane = await start({ servers: 2, timings: { leaseMs: 300, reconcileMs: 100 } });
      const [one, two] = plane.servers;
      await one?.freeze();
      await eventually('the entry is gone', async () => (await listed(plane))?.join() === two?.host);
      await one?.thaw();
      await eventually('the entry is back', async () => (await listed(plane))?.length === 2);
    },
  );

  switchedTest('a real lease lasts 15 s and is looked at every 10 s', async () => {
    expect(fastTimings).toMatchObject({ leaseMs: 15_000, reconcileMs: 10_000 });
    expect(realisticTimings).toMatchObject({
      leaseMs: 15_000,
      reconcileMs: 10_000,
      registerMs: [100, 3_300],
    });
  });

  switchedTest('a watch that asked for them gets bookmarks with a growing resourceVersion', async () => {
    const plane = await start({ servers: 1, timings: { bookmarkMs: 50 } });
    const admin = plane.pki.clients.admin;
    const client = clientOf(plane);
    const list = await client.json(slices, { user: admin });
    const path = `${slices}?watch=1&resourceVersion=${list.metadata.resourceVersion}`;
    const asked = await client.watch(`${path}&allowWatchBookmarks=true`, { user: admin });
    const other = await client.watch(path, { user: admin });
    const body = { metadata: { name: 'unrelated' } };
    await client.ask('/api/v1/namespaces/default/configmaps', { method: 'POST', user: admin, body });
    const versions = () => asked.events.map(({ object }) => Number(object.metadata.resourceVersion));
    await eventually('a bookmark past the unrelated change', () =>
      versions().some((version) => version > Number(list.metadata.resourceVersion)),
    );
    expect(new Set(asked.events.map(({ type }) => type))).toEqual(new Set(['BOOKMARK']));
    expect(other.events).toEqual([]);
    asked.close();
    other.close();
  });
});

test('a control plane on IPv6 lists itself in a slice of addressType IPv6', async () => {
  if (!Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))) {
    process.stderr.write('SKIPPED (no IPv6 on this machine): control plane on IPv6\n');
    return;
  }
  const plane = await start({ hosts: ['::1'] });
  const slice = await clientOf(plane).json(`${slices}/kubernetes`, { user: plane.pki.clients.admin });
  expect(slice).toMatchObject({ addressType: 'IPv6', endpoints: [{ addresses: ['::1'] }] });
});

describe('anonymous access', () => {
  const statuses = (client: ApiClient, options: ApiRequest = {}) =>
    Promise.all(
      ['/readyz', '/livez', '/healthz', '/version', slices].map(
        async (path) => (await client.ask(path, options)).status,
      ),
    );

  switchedTest('--anonymous-auth=false: 401 as JSON on everything', async () => {
    const client = clientOf(await start({ servers: 1, anonymous: 'off' }));
    expect(await statuses(client)).toEqual([401, 401, 401, 401, 401]);
    const answer = await client.ask('/readyz');
    expect(answer.headers['content-type']).toBe('application/json');
    expect(JSON.parse(answer.body)).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: 'Unauthorized',
      reason: 'Unauthorized',
      code: 401,
    });
  });

  switchedTest(
    'then any client certificate of the CA and any valid token see health, and no more',
    async () => {
      const plane = await start({ servers: 1, anonymous: 'off' });
      const client = clientOf(plane);
      expect(await statuses(client, { user: plane.pki.clients.nobody })).toEqual([200, 200, 200, 200, 403]);
      expect(await statuses(client, { user: { token: knownTokens.nobody } })).toEqual([
        200, 200, 200, 200, 403,
      ]);
      const { body } = await client.ask(slices, { user: plane.pki.clients.nobody });
      expect(JSON.parse(body).message).toBe(
        'endpointslices.discovery.k8s.io is forbidden: User "nobody" cannot list resource "endpointslices" in API group "discovery.k8s.io" in the namespace "default"',
      );
    },
  );

  switchedTest('a kubelet may not read EndpointSlices, its own node it may', async () => {
    const plane = await start({ servers: 1 });
    const client = clientOf(plane);
    const user = plane.pki.clients.node;
    expect((await client.ask(slices, { user })).status).toBe(403);
    expect((await client.ask('/api/v1/nodes/node-1', { user })).status).toBe(404);
  });

  switchedTest('anonymous access limited to the health paths: those 200, all else 401', async () => {
    const client = clientOf(await start({ servers: 1, anonymous: 'health-only' }));
    expect(await statuses(client)).toEqual([200, 200, 200, 401, 401]);
  });

  switchedTest('anonymous requests without any right: 403 on everything', async () => {
    const client = clientOf(await start({ servers: 1, anonymous: 'forbidden' }));
    expect(await statuses(client)).toEqual([403, 403, 403, 403, 403]);
  });
});

describe('starting', () => {
  switchedTest('TCP is accepted first, then 403, then 500 by the hooks, then 200', async () => {
    const timings = { silentMs: 1_500, forbiddenMs: 800, hooksMs: 800 };
    const plane = await start({ servers: 1, started: 0, timings });
    const server = plane.servers[0]!;
    const client = clientOf(plane);
    await server.start();
    const socket = await client.tcp();
    expect(server.phase).toBe('silent');
    expect(await record(client, '/readyz', 200)).toEqual([403, 500, 200]);
    socket.destroy();
  });

  switchedTest('API requests work while /readyz says 403 or 500', async () => {
    const timings = { forbiddenMs: 60_000 };
    const plane = await start({ servers: 1, started: 0, timings });
    const client = clientOf(plane);
    await plane.servers[0]?.start();
    expect((await client.ask('/readyz')).status).toBe(403);
    expect((await client.ask(slices, { user: plane.pki.clients.admin })).status).toBe(200);
    const { status, body } = await client.ask('/readyz', { user: plane.pki.clients.admin });
    expect(status).toBe(500);
    expect(body).toContain('[-]poststarthook/rbac/bootstrap-roles failed: reason withheld\n');
  });

  switchedTest('a real start takes 0.8 s to the first answer, 0.12 s of 403 and 1 s of 500', async () => {
    expect(realisticTimings).toMatchObject({ silentMs: 800, forbiddenMs: 120, hooksMs: 1_000 });
  });
});

describe('stopping', () => {
  /** A keep-alive agent with one idle connection to the server. */
  async function idleConnection(client: ApiClient) {
    const agent = new Agent({ keepAlive: true });
    const socket = Promise.withResolvers<NodeJS.EventEmitter>();
    agent.on('free', (free) => socket.resolve(free));
    await client.ask('/readyz', { agent });
    return { agent, socket: await socket.promise };
  }

  switchedTest(
    'SIGTERM: entry gone, listener closed, idle connections dropped; watches are served on',
    async () => {
      const plane = await start({ servers: 2 });
      const [server, other] = plane.servers as [ApiServer, ApiServer];
      const admin = plane.pki.clients.admin;
      const client = clientOf(plane);
      const watch = await client.watch(`${slices}?watch=1`, { user: admin });
      const { agent, socket } = await idleConnection(client);
      const dropped = once(socket, 'close');
      const seen = record(client, '/readyz', 'ECONNREFUSED');
      let hasEnded = false;
      void server.terminate().then(() => {
        hasEnded = true;
      });
      await dropped;
      agent.destroy();
      // Never a 500: a connection that was just accepted may be cut.
      expect((await seen).filter((outcome) => typeof outcome === 'number')).not.toContain(500);
      expect(await listed(plane)).toEqual([other.host]);
      const body = { metadata: { name: 'late' }, addressType: 'IPv4', endpoints: [] };
      await clientOf(plane, 1).ask(slices, { method: 'POST', user: admin, body });
      await eventually('the watch goes on', () =>
        watch.events.some(({ object }) => object.metadata.name === 'late'),
      );
      expect(hasEnded).toBe(false);
      watch.close();
      await eventually('the process ends with its last watch', () => hasEnded);
    },
  );

  switchedTest('the process does not outlive the drain time, even with watches open', async () => {
    const plane = await start({ servers: 1, timings: { drainMs: 200 } });
    const watch = await clientOf(plane).watch(`${slices}?watch=1`, { user: plane.pki.clients.admin });
    await plane.servers[0]?.terminate();
    expect(await watch.ended).toBe('cut');
    expect(fastTimings.drainMs).toBe(60_000);
  });

  switchedTest(
    'with a shutdown delay /readyz fails at once, all else works, then connects are refused',
    async () => {
      const plane = await start({ servers: 2 });
      const client = clientOf(plane);
      const admin = plane.pki.clients.admin;
      const ended = plane.servers[0]!.terminate({ delayMs: 2_000 });
      await eventually('the entry is gone', async () => (await listed(plane))?.length === 1);
      const { status, body } = await client.ask('/readyz');
      expect(status).toBe(500);
      expect(body).toContain('[-]shutdown failed: reason withheld\n');
      expect((await client.ask('/livez')).status).toBe(200);
      expect((await client.ask(slices, { user: admin })).status).toBe(200);
      expect((await record(client, '/readyz', 'ECONNREFUSED')).at(0)).toBe(500);
      await ended;
    },
  );

  switchedTest(
    'with send-retry-after watches end and requests get 429 with Retry-After, then refused',
    async () => {
      const plane = await start({ servers: 2 });
      const client = clientOf(plane);
      const admin = plane.pki.clients.admin;
      const watch = await client.watch(`${slices}?watch=1`, { user: admin });
      const ended = plane.servers[0]!.terminate({ sendRetryAfter: true, retryAfterMs: 2_000 });
      expect(await watch.ended).toBe('end');
      const refused = await client.ask(slices, { user: admin });
      expect(refused.status).toBe(429);
      expect(refused.headers).toMatchObject({ 'retry-after': '5', connection: 'close' });
      const seen = await record(client, slices, 'ECONNREFUSED', { user: admin });
      // A connection that was just accepted may be cut when the listener closes.
      expect(seen.filter((outcome) => outcome !== 'ECONNRESET')).toEqual([429, 'ECONNREFUSED']);
      await ended;
    },
  );

  switchedTest('a killed API server ends its connections at once, and connects are refused', async () => {
    const plane = await start({ servers: 1 });
    const client = clientOf(plane);
    const watch = await client.watch(`${slices}?watch=1`, { user: plane.pki.clients.admin });
    plane.servers[0]?.kill();
    expect(await watch.ended).toBe('cut');
    await expect(client.ask('/readyz')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  switchedTest('a frozen API server does not answer HTTP/2 pings either', async () => {
    const plane = await start({ servers: 1 });
    const session = connectHttp2(plane.servers[0]!.url, { ca: plane.pki.ca.cert });
    await once(session, 'connect');
    const pings: string[] = [];
    const ping = (name: string) => session.ping(() => pings.push(name));
    ping('before');
    await eventually('an answer', () => pings.length === 1);
    await plane.servers[0]?.freeze();
    ping('frozen');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(pings).toEqual(['before']);
    await plane.servers[0]?.thaw();
    await eventually('the late answer', () => pings.length === 2);
    session.destroy();
  });

  switchedTest('a frozen API server goes on accepting TCP, and TLS hangs', async () => {
    const plane = await start({ servers: 1 });
    const server = plane.servers[0]!;
    const client = clientOf(plane);
    const agent = new Agent({ keepAlive: true });
    await client.ask('/readyz', { agent });
    await eventually('an idle connection', () => Object.keys(agent.freeSockets).length > 0);
    await server.freeze();
    const { tlsHandshakes } = server.stats();
    const socket = await client.tcp();
    const fresh = client.ask('/readyz', { timeoutMs: 30_000 });
    const kept = client.ask('/readyz', { timeoutMs: 30_000, agent });
    const first = await Promise.race([
      fresh,
      kept,
      new Promise((resolve) => setTimeout(resolve, 300, 'silence')),
    ]);
    expect(first).toBe('silence');
    expect(server.stats().tlsHandshakes).toBe(tlsHandshakes);
    await server.thaw();
    // What it was asked meanwhile it answers now.
    expect([(await fresh).status, (await kept).status]).toEqual([200, 200]);
    socket.destroy();
    agent.destroy();
  });
});

describe('etcd lost', () => {
  switchedTest(
    'every API server turns 500 by its etcd checks, /livez too, and goes on accepting',
    async () => {
      const plane = await start({ servers: 2 });
      plane.store.lose();
      for (const index of [0, 1]) {
        const client = clientOf(plane, index);
        await record(client, '/readyz', 500);
        const { body } = await client.ask('/readyz');
        expect(body).toContain(
          '[-]etcd failed: reason withheld\n[-]etcd-readiness failed: reason withheld\n',
        );
        expect((await client.ask('/livez')).status).toBe(500);
        expect((await client.ask('/readyz?exclude=etcd&exclude=etcd-readiness')).status).toBe(200);
        expect((await client.ask('/version')).status).toBe(200);
      }
    },
  );

  switchedTest('reads hang and an open watch stays open and silent', async () => {
    const plane = await start({ servers: 1, timings: { bookmarkMs: 50 } });
    const client = clientOf(plane);
    const user = plane.pki.clients.admin;
    const watch = await client.watch(`${slices}?watch=1&allowWatchBookmarks=true`, { user });
    await eventually('a bookmark', () => watch.events.some(({ type }) => type === 'BOOKMARK'));
    plane.store.lose();
    await expect(client.ask(slices, { user, timeoutMs: 500 })).rejects.toThrow('no answer within');
    const { length } = watch.events;
    await expect(client.ask(slices, { user, timeoutMs: 500 })).rejects.toThrow('no answer within');
    expect(watch.events).toHaveLength(length);
    expect(watch.isOpen).toBe(true);
    plane.store.recover();
    await eventually('the watch goes on', () => watch.events.length > length);
    watch.close();
  });

  switchedTest('a read that hangs for too long ends in 504', async () => {
    const plane = await start({ servers: 1, timings: { requestMs: 200 } });
    plane.store.lose();
    const { status, body } = await clientOf(plane).ask(slices, { user: plane.pki.clients.admin });
    expect(status).toBe(504);
    expect(JSON.parse(body).reason).toBe('Timeout');
  });

  switchedTest('after etcd is back reads work at once, /readyz stays 500 for a while', async () => {
    const storeCheck = { ...fastTimings.storeCheck, recoveryMs: [1_500, 1_500] as const };
    const plane = await start({ servers: 1, timings: { storeCheck } });
    const client = clientOf(plane);
    plane.store.lose();
    await record(client, '/readyz', 500);
    plane.store.recover();
    const read: ApiAnswer = await client.ask(slices, { user: plane.pki.clients.admin });
    expect(read.status).toBe(200);
    expect((await client.ask('/readyz')).status).toBe(500);
    expect(await record(client, '/readyz', 200)).toEqual([500, 200]);
  });

  switchedTest('a client that asks alone waits for every check, each time', async () => {
    const storeCheck = { ...fastTimings.storeCheck, timeoutMs: 400 };
    const plane = await start({ servers: 1, timings: { storeCheck } });
    const client = clientOf(plane);
    plane.store.lose();
    const durationOf = async (path: string) => {
      const startedMs = performance.now();
      expect((await client.ask(path)).status).toBe(500);
      return performance.now() - startedMs;
    };
    // etcd and etcd-readiness, one after the other; /livez has the first alone.
    for (let count = 0; count < 2; count += 1) {
      expect(await durationOf('/readyz')).toBeGreaterThanOrEqual(790);
      expect(await durationOf('/livez')).toBeGreaterThanOrEqual(390);
    }
    expect(await durationOf('/readyz?exclude=etcd')).toBeGreaterThanOrEqual(390);
    expect((await client.ask('/readyz?exclude=etcd&exclude=etcd-readiness')).status).toBe(200);
  });

  switchedTest('whoever asks while another one waits gets the last result at once', async () => {
    const storeCheck = { ...fastTimings.storeCheck, timeoutMs: 3_000 };
    const plane = await start({ servers: 1, timings: { storeCheck } });
    const client = clientOf(plane);
    plane.store.lose();
    const waiting = client.ask('/livez');
    await eventually('the first one waits', async () => {
      const answered = await Promise.race([client.ask('/livez'), waiting.then(() => undefined)]);
      // Not known to fail yet.
      return answered?.status === 200;
    });
    expect((await waiting).status).toBe(500);
  });

  switchedTest('measured: 4 s for a failing /readyz, 11 to 16 s until ready again', async () => {
    expect(realisticTimings.storeCheck).toEqual({ timeoutMs: 2_000, recoveryMs: [11_000, 16_000] });
  });
});

describe('idle connections', () => {
  switchedTest('idle HTTP/1.1 connections are closed, by default after 90 s', async () => {
    const plane = await start({ servers: 1, timings: { idleMs: 100 } });
    const agent = new Agent({ keepAlive: true });
    await clientOf(plane).ask('/readyz', { agent });
    await eventually('no connection is left', () => plane.servers[0]?.stats().connectionsOpen === 0);
    agent.destroy();
    expect(fastTimings.idleMs).toBe(90_000);
  });
});

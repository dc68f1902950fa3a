// What the watch survives, on the stand-in control plane. In every test the set must never shrink by error.
import { randomInt } from 'node:crypto';
import { eventually } from '../../support/jest/eventually.ts';
import { hostPort, putSlice, type Rig, sliceKey, sliceRequests, startRig, testTimings } from './harness.ts';

let rig: Rig;
afterEach(async () => {
  await rig.stop();
  // Whatever happened: nothing that was published was ever empty.
  for (const set of rig.published) expect(set.endpoints.length).toBeGreaterThan(0);
});

/** The watch is open, and hears of a new endpoint: it works end to end. */
async function hears(name = 'proof'): Promise<void> {
  const [c, d] = [randomInt(1, 255), randomInt(1, 255)];
  const address = `127.251.${c}.${d}`;
  await putSlice(rig.plane, name, { endpoints: [{ addresses: [address] }] });
  await eventually(`the watch hears of ${address}`, () => rig.ids().includes(`${address}:6443`));
}

const through = () => rig.plane.servers.find((server) => server.address === rig.discovery.watchState.through);
const sorted = (list: readonly string[]) => [...list].sort();

test('from one seed the watch learns of all API servers', async () => {
  rig = await startRig();
  await rig.synced();
  await eventually('all are known', () => rig.ids().length === 3);
  expect(sorted(rig.discovered())).toEqual(sorted(rig.plane.endpoints));
  expect(rig.discovery.current.syncedAtMs).toBeGreaterThan(0);
  expect(rig.discovery.watchState).toMatchObject({
    state: 'synced',
    failures: 0,
    through: rig.plane.endpoints[0],
  });
});

test('endpoints that come and go are followed, one list is enough', async () => {
  rig = await startRig();
  await rig.synced();
  await putSlice(rig.plane, 'extra', {});
  await eventually('the new one', () => rig.ids().includes('127.250.0.1:6443'));
  await rig.plane.store.delete(sliceKey('extra'));
  await eventually('it is gone', () => !rig.ids().includes('127.250.0.1:6443'));
  expect(sliceRequests(rig.plane)).toBe(2);
});

test('bookmarks change nothing but the age', async () => {
  rig = await startRig({ plane: { timings: { bookmarkMs: 20 } } });
  await rig.synced();
  await eventually('all are known', () => rig.ids().length === 3);
  const atMs = rig.discovery.watchState.syncedAtMs ?? 0;
  const count = rig.published.length;
  await eventually('bookmarks have come', () => (rig.discovery.watchState.syncedAtMs ?? 0) > atMs + 100);
  expect(rig.published).toHaveLength(count);
  expect(rig.ids()).toHaveLength(3);
});

test('a last API server that leaves an empty slice changes nothing', async () => {
  rig = await startRig();
  await rig.synced();
  await eventually('all are known', () => rig.ids().length === 3);
  await putSlice(rig.plane, 'kubernetes', { endpoints: null, ports: null });
  await eventually('it was heard', () =>
    rig.log.lines.some((line) => line.message.includes('EndpointSlices have problems')),
  );
  expect(rig.ids()).toHaveLength(3);
});

test('a malformed version of a slice changes nothing', async () => {
  rig = await startRig();
  await rig.synced();
  await eventually('all are known', () => rig.ids().length === 3);
  await putSlice(rig.plane, 'kubernetes', { endpoints: { no: 'list' }, ports: 7 });
  await eventually('it was heard', () =>
    rig.log.lines.some((line) => line.message.includes('EndpointSlices have problems')),
  );
  expect(sorted(rig.discovered())).toEqual(sorted(rig.plane.endpoints));
});

test('a killed API server: the watch goes on through another, without a new list', async () => {
  rig = await startRig();
  await rig.synced();
  await eventually('all are known', () => rig.ids().length === 3);
  const before = sliceRequests(rig.plane);
  through()?.kill();
  await eventually(
    'another one',
    () => rig.discovery.watchState.state === 'synced' && through()?.phase === 'ready',
  );
  await hears();
  expect(sliceRequests(rig.plane)).toBe(before + 1);
});

test.each(['reset-connections', 'close-connections', 'reset-watches'] as const)(
  '%s is survived',
  async (action) => {
    rig = await startRig();
    await rig.synced();
    await through()?.act(action);
    await eventually('the loss was noticed', () =>
      rig.log.lines.some((l) => l.message === 'EndpointSlice watch failed'),
    );
    await hears();
  },
);

test('a watch that ends as asked goes on from where it was, on the same connection', async () => {
  rig = await startRig({
    plane: { servers: 1 },
    discovery: () => ({ watchTimings: { ...testTimings, minWatchMs: 1_000, maxWatchMs: 1_000 } }),
  });
  await rig.synced();
  const server = rig.plane.servers[0]!;
  await eventually('three watches', () => server.stats().watchesTotal >= 3);
  expect(server.stats().tlsHandshakes).toBe(1);
  expect(rig.discovery.watchState.failures).toBe(0);
  expect(rig.log.lines.filter((line) => line.level === 'warn')).toEqual([]);
  await hears();
  expect(server.stats().tlsHandshakes).toBe(1);
});

test('410 Gone leads to a new list, and nothing is lost in between', async () => {
  rig = await startRig({ plane: { servers: 1 } });
  await rig.synced();
  const [server] = rig.plane.servers;
  await server?.misbehave({ refuse: true });
  await server?.act('reset-connections');
  await eventually('the watch is away', () => rig.discovery.watchState.state === 'connecting');
  await putSlice(rig.plane, 'missed', {});
  await server?.act('compact');
  await server?.behave();
  await eventually('what was missed', () => rig.ids().includes('127.250.0.1:6443'));
  await rig.synced();
  await hears();
});

test('401 while credentials rotate: they are read again and the same endpoint is asked again', async () => {
  rig = await startRig({
    plane: { servers: 1 },
    credentials: async (plane) => ({ kubeconfig: await plane.writeKubeconfig({ user: 'token' }) }),
  });
  await rig.synced();
  const [server] = rig.plane.servers;
  await server?.misbehave({ unauthorized: 'all' });
  await server?.act('reset-watches');
  await eventually('it is said', () => rig.discovery.watchState.message?.includes('401'));
  await server?.behave();
  await rig.synced();
  await hears();
});

test('403 says which right is missing, for whom, and is tried again', async () => {
  rig = await startRig({
    plane: { servers: 1, grants: [] },
    credentials: async (plane) => ({ kubeconfig: await plane.writeKubeconfig({ user: 'token' }) }),
  });
  const message = await eventually(
    'the refusal',
    () => rig.discovery.watchState.failures > 0 && rig.discovery.watchState.message,
  );
  expect(message).toContain('may not list and watch endpointslices (discovery.k8s.io) in namespace default');
  expect(message).toContain('fairlead');
  const before = sliceRequests(rig.plane);
  await eventually('another attempt', () => sliceRequests(rig.plane) > before);
  expect(rig.ids()).toEqual([rig.plane.endpoints[0]]);
});

test.each([429, 500, 503, 504, 302])(
  'HTTP %i from one API server moves on to the next',
  async (answerStatus) => {
    rig = await startRig({
      discovery: (plane) => ({
        endpoints: plane.endpoints.map(hostPort),
      }),
    });
    await rig.synced();
    const bad = through();
    await bad?.misbehave({ answerStatus });
    await bad?.act('reset-watches');
    await eventually('another one', () => rig.discovery.watchState.state === 'synced' && through() !== bad);
    await hears();
  },
);

test('429 from the only API server is waited out as it asks', async () => {
  rig = await startRig({ plane: { servers: 1 } });
  await rig.synced();
  const [server] = rig.plane.servers;
  await server?.misbehave({ answerStatus: 429 });
  server?.resetStats();
  const startedMs = performance.now();
  await server?.act('reset-watches');
  await eventually('two attempts', () => sliceRequests(rig.plane) >= 2);
  // Retry-After is 1 s; without it the second attempt would come after 25 to 50 ms.
  expect(performance.now() - startedMs).toBeGreaterThan(900);
  await server?.behave();
  await rig.synced();
});

test('an API server that stops as kube-apiserver does is left for another, without a gap in what is known', async () => {
  rig = await startRig({
    plane: { shutdown: { sendRetryAfter: true, retryAfterMs: 300 }, timings: { drainMs: 2_000 } },
  });
  await rig.synced();
  await eventually('all are known', () => rig.ids().length === 3);
  const stopping = through()!;
  await stopping.terminate();
  await eventually(
    'another one',
    () => rig.discovery.watchState.state === 'synced' && through() !== stopping,
  );
  await eventually('its entry is gone', () => rig.discovered().length === 2);
  await hears();
});

describe('silence', () => {
  test('a frozen API server costs one deadline, then the next one is used', async () => {
    rig = await startRig();
    await rig.synced();
    await eventually('all are known', () => rig.ids().length === 3);
    const frozen = through()!;
    await frozen.misbehave({ freeze: true });
    rig.discovery.kick(); // health would say so; nothing tells the watch otherwise while the connection lives
    await frozen.act('reset-connections');
    await eventually(
      'another one',
      () => rig.discovery.watchState.state === 'synced' && through() !== frozen,
    );
    await hears();
  });

  test('an open watch moves away from an endpoint that health gave up, once another is usable', async () => {
    const bad = new Set<string>();
    rig = await startRig({ discovery: () => ({ isUsable: (id) => !bad.has(id) }) });
    await rig.synced();
    await eventually('all are known', () => rig.ids().length === 3);
    const frozen = through()!;
    for (const id of rig.plane.endpoints) bad.add(id);
    rig.discovery.kick();
    expect(rig.discovery.watchState.state).toBe('synced'); // nowhere better to go
    for (const id of rig.plane.endpoints) if (id !== frozen.address) bad.delete(id);
    await frozen.misbehave({ freeze: true });
    rig.discovery.kick();
    await eventually(
      'another one',
      () => rig.discovery.watchState.state === 'synced' && through() !== frozen,
    );
    await hears();
  });

  test('etcd down: the list hangs, the deadline ends it, and the return is noticed', async () => {
    rig = await startRig({
      plane: { servers: 2 },
      discovery: () => ({
        watchTimings: { ...testTimings, minWatchMs: 1_000, maxWatchMs: 1_000, relistMs: 1 },
      }),
    });
    await rig.synced();
    rig.plane.store.lose();
    await eventually('it hangs', () => rig.discovery.watchState.message?.includes('no answer within 1 s'));
    rig.plane.store.recover();
    await rig.synced();
    await hears();
  });

  test('a watch that does not end when it should is left', async () => {
    rig = await startRig({
      plane: { servers: 1 },
      discovery: () => ({
        watchTimings: { ...testTimings, minWatchMs: 500, maxWatchMs: 500, watchGraceMs: 200 },
      }),
    });
    await rig.synced();
    await rig.plane.servers[0]?.misbehave({ silentWatches: true });
    await eventually('it is left', () => rig.discovery.watchState.message?.includes('did not end'));
    await rig.plane.servers[0]?.behave();
    await rig.synced();
    await hears();
  });

  test.each([
    ['no TLS', { tls: 'silent' }, 'no TLS within 1 s'],
    ['garbage for TLS', { tls: 'garbage' }, 'TLS'],
    ['a connection that is reset at once', { onConnect: 'reset' }, 'closed'],
    ['a refusal', { refuse: true }, 'refused'],
    ['an expired certificate', { tls: 'expired' }, 'certificate has expired'],
    ['a certificate of another CA', { tls: 'unknown-ca' }, ''],
    ['a certificate of another name', { tls: 'wrong-name' }, 'the certificate is for'],
  ] as const)('%s is a failure that says so, and is tried again', async (_, behaviour, message) => {
    rig = await startRig({ plane: { servers: 1 } });
    await rig.synced();
    const [server] = rig.plane.servers;
    await server?.misbehave(behaviour);
    await server?.act('reset-connections');
    await eventually(
      'it is said',
      () =>
        rig.discovery.watchState.message?.match(new RegExp(message)) !== null &&
        rig.discovery.watchState.failures > 1,
    );
    await server?.behave();
    await rig.synced();
    await hears();
  });
});

describe('garbage', () => {
  test.each(['not-json', 'truncated', 'null-items', 'empty-list', 'wrong-types', 'bad-addresses'] as const)(
    'slices that are %s take nothing away',
    async (slices) => {
      rig = await startRig({
        plane: { servers: 1 },
        discovery: () => ({
          watchTimings: { ...testTimings, minWatchMs: 1_000, maxWatchMs: 1_000, relistMs: 1 },
        }),
      });
      await rig.synced();
      await eventually('it is known', () => rig.discovered().length === 1);
      const [server] = rig.plane.servers;
      await server?.misbehave({ slices });
      server?.resetStats();
      await server?.act('reset-watches');
      await eventually('it was asked', () => sliceRequests(rig.plane) >= 2);
      expect(rig.discovered()).toEqual(rig.plane.endpoints);
      await server?.behave();
      await rig.synced();
      await hears();
    },
  );

  test('answers that are cut off are tried again elsewhere', async () => {
    rig = await startRig();
    await rig.synced();
    await eventually('all are known', () => rig.ids().length === 3);
    const bad = through()!;
    await bad.misbehave({ dropAfterBytes: 40 });
    await bad.act('reset-watches');
    await eventually('another one', () => rig.discovery.watchState.state === 'synced' && through() !== bad);
    await hears();
  });
});

describe('a control plane that is down for long', () => {
  test('the set stays, attempts slow down, and the return is noticed', async () => {
    rig = await startRig();
    await rig.synced();
    await eventually('all are known', () => rig.ids().length === 3);
    const startedMs = performance.now();
    for (const server of rig.plane.servers) server.kill();
    await eventually('many attempts', () => rig.discovery.watchState.failures >= 12);
    // Three attempts a round, and waits of 25, 50 and 100 ms at least between four rounds.
    expect(performance.now() - startedMs).toBeGreaterThan(175);
    expect(rig.ids()).toHaveLength(3);
    const warnings = rig.log.lines.filter((line) => line.message.includes('EndpointSlice watch is down'));
    expect(warnings).toHaveLength(1);
    await rig.plane.servers[1]?.start();
    await eventually('it is back', () => rig.discovery.watchState.state === 'synced');
    expect(through()).toBe(rig.plane.servers[1]);
    await hears();
  });

  test('kick ends the wait', async () => {
    rig = await startRig({
      plane: { servers: 1 },
      discovery: () => ({
        watchTimings: { ...testTimings, backoff: { firstMs: 3_600_000, capMs: 3_600_000 } },
      }),
    });
    await rig.synced();
    const [server] = rig.plane.servers;
    server?.kill();
    await eventually('it waits', () =>
      rig.log.lines.some((line) => line.message.includes('EndpointSlice watch is down')),
    );
    await server?.start();
    rig.discovery.kick();
    await rig.synced();
    await hears();
  });

  test('stop ends a wait, an attempt and a watch alike, and leaves no connection', async () => {
    rig = await startRig({ plane: { servers: 1 } });
    await rig.synced();
    const [server] = rig.plane.servers;
    await rig.discovery.stop();
    await rig.discovery.stop();
    await eventually('the connection is gone', () => server?.stats().connectionsOpen === 0);
    const count = rig.published.length;
    rig.discovery.kick();
    await putSlice(rig.plane, 'late', {});
    expect(rig.published).toHaveLength(count);
  });
});

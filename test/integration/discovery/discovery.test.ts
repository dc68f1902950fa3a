// The sources together, over a stand-in control plane: what is known when, and what survives a restart.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownListenerCheck } from '../../../src/model/own-listener.ts';
import { type Endpoint, makeEndpoint } from '../../../src/model/endpoint.ts';
import type { KnownEndpoint } from '../../../src/model/snapshot.ts';
import { decodeCache as decodePreviousCache } from '../../fixtures/previous-cache-format.ts';
import type { ControlPlaneOptions } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';
import { hostPort, putSlice, type Rig, sliceRequests, startRig } from './harness.ts';

const directory = tempDir();
let counter = 0;
let cacheFile: string;
let rig: Rig;
beforeEach(() => {
  counter += 1;
  cacheFile = join(directory, `cache-${counter}.json`);
});
afterEach(() => rig.stop());

const base = {
  watch: true,
  namespace: 'default',
  service: 'kubernetes',
  portName: 'https',
  dnsIntervalMs: 30_000,
  rememberForMs: 604_800_000,
};
const options = (over = {}) => ({ ...base, cacheFile, ...over });
const cached = (...ids: string[]) =>
  writeFileSync(
    cacheFile,
    JSON.stringify({ version: 1, endpoints: ids.map((id) => ({ ...hostPort(id), origin: 'watch' })) }),
  );
const onDisk = () => readFileSync(cacheFile, 'utf8');
const warnings = () => rig.log.lines.filter((line) => line.level === 'warn').map((line) => line.message);

test('the static list and the cache are there when start returns, before anything has answered', async () => {
  cached('10.0.0.1:6443', '10.0.0.2:6443');
  rig = await startRig({
    plane: { servers: 1, started: 0 },
    discovery: () => ({ endpoints: [hostPort('10.0.0.9:6443')], options: options() }),
  });
  expect(rig.published[0]?.endpoints.map((e) => `${e.id} ${e.tier} ${e.sources}`)).toEqual([
    '10.0.0.1:6443 discovered cache',
    '10.0.0.2:6443 discovered cache',
    '10.0.0.9:6443 discovered static',
  ]);
});

test('after a reboot the cache alone leads to the control plane, also when only one of it lives', async () => {
  rig = await startRig({ discovery: () => ({ options: options() }) });
  await rig.synced();
  await eventually('all are known', () => rig.ids().length === 3);
  const { plane } = rig;
  await rig.discovery.stop();
  expect(JSON.parse(onDisk()).endpoints).toHaveLength(3);
  plane.servers[0]?.kill();
  plane.servers[1]?.kill();
  const first = rig;
  rig = await startRig({
    plane: { servers: 1, started: 0 },
    credentials: () =>
      plane.writeKubeconfig({ server: 'https://10.9.9.9:6443' }).then((kubeconfig) => ({ kubeconfig })),
    discovery: () => ({ endpoints: [], options: options() }),
  });
  await rig.synced();
  expect(rig.discovery.watchState.through).toBe(plane.endpoints[2]);
  await first.stop();
});

test('what only the cache knew goes when the watch has synced, and leaves the disk', async () => {
  cached('127.249.0.1:6443');
  rig = await startRig({ discovery: () => ({ options: options() }) });
  expect(rig.ids()).toContain('127.249.0.1:6443');
  await eventually('all are known', () => rig.discovered().length === 3 && rig.discovery.current.syncedAtMs);
  expect(rig.ids()).not.toContain('127.249.0.1:6443');
  await rig.discovery.stop();
  expect(onDisk()).not.toContain('127.249.0.1');
});

test('a corrupt cache is set aside, and the rest works', async () => {
  writeFileSync(cacheFile, '{"version":1,"endpo');
  rig = await startRig({ discovery: () => ({ options: options() }) });
  await rig.synced();
  expect(warnings()).toContain('the endpoint cache is invalid: moved aside, not used');
  expect(readFileSync(`${cacheFile}.corrupt`, 'utf8')).toBe('{"version":1,"endpo');
});

test('a cache that cannot be written is a warning and a state, no more', async () => {
  rig = await startRig({ discovery: () => ({ options: options({ cacheFile: '/proc/none/cache.json' }) }) });
  await eventually('all are known', () => rig.ids().length === 3);
  await eventually('it is known', () => rig.discovery.isCacheFailing);
  expect(warnings()).toEqual(['the endpoint cache cannot be written']);
});

test('the pick that worked is remembered over a restart', async () => {
  rig = await startRig({ discovery: () => ({ options: options() }) });
  await rig.synced();
  expect(rig.discovery.lastPick).toBeUndefined();
  rig.discovery.rememberPick(rig.plane.endpoints[1]!);
  await rig.stop();
  rig = await startRig({ plane: { servers: 1, started: 0 }, discovery: () => ({ options: options() }) });
  expect(rig.discovery.lastPick).toBe(JSON.parse(onDisk()).lastPick);
  expect(rig.discovery.lastPick).toBeDefined();
});

test('seeds that the slices lack form the last tier', async () => {
  rig = await startRig({
    discovery: (plane) => ({ endpoints: [hostPort(plane.endpoints[0]!), hostPort('10.0.0.9:6443')] }),
  });
  await eventually('all are known', () => rig.discovered().length === 3 && rig.discovery.current.syncedAtMs);
  expect(rig.discovery.current.endpoints.filter((e) => e.tier === 'seed').map((e) => e.id)).toEqual([
    '10.0.0.9:6443',
  ]);
});

describe('the server of a kubeconfig', () => {
  test('is a seed: it alone is enough', async () => {
    rig = await startRig({ discovery: () => ({ endpoints: [] }) });
    await eventually('all are known', () => rig.discovered().length === 3);
    expect(rig.discovery.current.endpoints.find((e) => e.id === rig.plane.endpoints[0])?.sources).toEqual([
      'watch',
      'kubeconfig',
    ]);
  });

  test('that is our own listener gives credentials and no endpoint, without a warning', async () => {
    rig = await startRig({
      credentials: async (plane) => ({
        kubeconfig: await plane.writeKubeconfig({ server: 'https://127.0.0.1:6443' }),
      }),
      discovery: () => ({ isOwnListener: ownListenerCheck([hostPort('127.0.0.1:6443')], () => []) }),
    });
    await rig.synced();
    await eventually('all are known', () => rig.ids().length === 3);
    expect(rig.ids()).not.toContain('127.0.0.1:6443');
    expect(warnings()).toEqual([]);
  });

  test('may be a name', async () => {
    rig = await startRig({
      credentials: async (plane) => ({
        kubeconfig: await plane.writeKubeconfig({ server: `https://cp.example:${plane.servers[0]!.port}` }),
      }),
      discovery: (plane) => ({ endpoints: [], lookup: async () => [plane.servers[0]!.host] }),
    });
    await eventually('all are known', () => rig.discovered().length === 3);
    expect(rig.discovery.current.endpoints.find((e) => e.id === rig.plane.endpoints[0])).toMatchObject({
      name: 'cp.example',
    });
  });
});

test('an endpoint that is our own listener is left out, with one warning, whoever proposes it', async () => {
  const own = makeEndpoint('127.249.0.1', 6443);
  cached(own.id);
  rig = await startRig({
    discovery: (plane) => ({
      endpoints: [hostPort(own.id), hostPort(plane.endpoints[0]!)],
      options: options(),
      isOwnListener: ({ id }: Endpoint) => id === own.id || id === plane.endpoints[2],
    }),
  });
  await eventually('the others are known', () => rig.discovered().length === 2);
  expect(rig.published.flatMap((set) => set.endpoints).some((e) => e.id === own.id)).toBe(false);
  expect(warnings()).toEqual(Array(2).fill("ignoring an endpoint that is this agent's own listener"));
});

test('names of the static list are resolved, and keep their name', async () => {
  rig = await startRig({
    discovery: (plane) => ({
      endpoints: [{ host: 'cp.example', port: plane.servers[0]!.port }],
      lookup: async () => plane.servers.map(({ host }) => host),
      credentials: rigCredentials(),
    }),
  });
  await eventually('they are known', () => rig.ids().length === 3);
  expect(rig.discovery.current.endpoints.map((e) => e.name)).toEqual(Array(3).fill('cp.example'));
});

test('without credentials it works on the static list, says so, and asks nobody', async () => {
  rig = await startRig({
    credentials: async () => ({}),
    discovery: (plane) => ({ endpoints: plane.endpoints.map(hostPort) }),
  });
  await eventually('it says so', () => rig.discovery.watchState.state === 'no-credentials');
  expect(rig.discovery.watchState.message).toBe('no credentials are configured');
  expect(rig.ids()).toHaveLength(3);
  expect(sliceRequests(rig.plane)).toBe(0);
  expect(warnings()).toEqual(['no EndpointSlice watch: no usable credentials']);
});

test('credentials that appear later start the watch', async () => {
  const kubeconfig = join(directory, `kubelet-${counter}.conf`);
  rig = await startRig({ credentials: async () => ({ kubeconfig }), pollMs: 20 });
  await eventually('it says why', () => rig.discovery.watchState.message?.includes('does not exist'));
  writeFileSync(kubeconfig, readFileSync(await rig.plane.writeKubeconfig()));
  await rig.synced();
  await eventually('all are known', () => rig.ids().length === 3);
});

test('a token that rotates is used by the next request', async () => {
  const tokenFile = join(directory, `token-${counter}`);
  const caFile = join(directory, `ca-${counter}`);
  writeFileSync(tokenFile, 'wrong-token');
  rig = await startRig({
    credentials: async (plane) => {
      writeFileSync(caFile, plane.pki.ca.cert);
      return { tokenFile, caFile };
    },
    pollMs: 3_600_000,
  });
  await eventually('it is refused', () => rig.discovery.watchState.message?.includes('401'));
  writeFileSync(tokenFile, 'fairlead-token');
  await rig.synced(); // by the reading that a 401 asks for: by itself, files are looked at in an hour
});

test('a watch that is switched off says so and asks nobody', async () => {
  rig = await startRig({ discovery: () => ({ options: { ...base, watch: false } }) });
  await rig.credentials.started;
  expect(rig.discovery.watchState).toMatchObject({ state: 'off' });
  rig.discovery.kick();
  expect(sliceRequests(rig.plane)).toBe(0);
});

describe('a reload', () => {
  const known = (id: string, sources: KnownEndpoint['sources'], name?: string): KnownEndpoint => {
    const { host, port } = hostPort(id);
    return { ...makeEndpoint(host, port, name === undefined ? {} : { name }), tier: 'discovered', sources };
  };
  const down = { servers: 1, started: 0 } as const;

  test('keeps what the watch had said, drops what only the old list had', async () => {
    rig = await startRig({
      plane: down,
      discovery: () => ({
        endpoints: [hostPort('10.0.0.9:6443')],
        options: { ...base, watch: false },
        lastKnown: [
          known('10.0.0.1:6443', ['watch', 'static']),
          known('10.0.0.2:6443', ['static']),
          known('10.0.0.3:6443', ['dns'], 'gone.example'),
        ],
      }),
    });
    expect(rig.ids().filter((id) => id.startsWith('10.'))).toEqual(['10.0.0.1:6443', '10.0.0.9:6443']);
  });

  test('that leaves nothing configured keeps the whole set', async () => {
    rig = await startRig({
      plane: down,
      credentials: async () => ({}),
      discovery: () => ({ endpoints: [], lastKnown: [known('10.0.0.2:6443', ['static'])] }),
    });
    expect(rig.ids()).toEqual(['10.0.0.2:6443']);
  });
});

test('the watch goes through IPv6, and slices of both families are one set', async () => {
  rig = await startRig({ plane: { hosts: ['::1'] } });
  await rig.synced();
  expect(rig.discovery.watchState.through).toBe(`[::1]:${rig.plane.servers[0]?.port}`);
  await putSlice(rig.plane, 'v4', { endpoints: [{ addresses: ['127.250.0.1'] }] });
  await eventually('both are known', () => rig.discovered().length === 2);
});

/** Credentials that are there but name no server. */
function rigCredentials() {
  const credentials = { kind: 'token', token: 'none' } as const;
  return {
    current: credentials,
    started: Promise.resolve(),
    server: undefined,
    problem: undefined,
    reload: async () => false,
    subscribe: () => () => {},
  };
}

describe('API servers that were once verified', () => {
  const remembered = () =>
    rig.discovery.current.endpoints.filter(({ tier }) => tier === 'remembered').map(({ id }) => id);
  const startAndVerify = async (plane?: ControlPlaneOptions) => {
    rig = await startRig({ ...(plane && { plane }), discovery: () => ({ options: options() }) });
    await eventually(
      'all are known',
      () => rig.discovered().length === 3 && rig.discovery.current.syncedAtMs,
    );
    for (const id of rig.ids()) rig.discovery.verified(id);
  };

  test('stay when they leave the list, after a restart too, and the cache is one that the previous release reads', async () => {
    await startAndVerify();
    const [first = '', second = '', third = ''] = rig.plane.endpoints;
    await rig.plane.servers[1]?.terminate();
    await eventually('one is remembered', () => remembered().length === 1);
    expect(remembered()).toEqual([second]);
    expect(rig.discovery.current.endpoints.find(({ id }) => id === second)?.isGone).toBe(true);
    await rig.discovery.stop();
    const reading = decodePreviousCache(onDisk());
    expect(reading.ok && reading.value.endpoints.map(({ endpoint: { id } }) => id).sort()).toEqual(
      [first, third].sort(),
    );
    const before = rig;
    rig = await startRig({
      plane: { servers: 1, started: 0 },
      discovery: () => ({ endpoints: [], options: options() }),
    });
    expect(remembered()).toEqual([second]);
    expect(rig.discovered().sort()).toEqual([first, third].sort());
    await before.stop();
  });

  test('are found again with the address that they had, and are listed then', async () => {
    await startAndVerify();
    const [, server] = rig.plane.servers;
    await server?.terminate();
    await eventually('one is remembered', () => remembered().length === 1);
    await server?.start();
    await eventually('it is listed again', () => rig.discovered().length === 3);
    expect(remembered()).toEqual([]);
    const changes = rig.log.lines.filter(({ message }) => message === 'endpoints changed');
    const told = changes.map((line) => JSON.stringify(line));
    expect(told.some((text) => text.includes(`"remembered":["${server?.address}"]`))).toBe(true);
    expect(told.some((text) => text.includes(`"listedAgain":["${server?.address}"]`))).toBe(true);
  });

  test('are forgotten at once when the memory is off', async () => {
    writeFileSync(`${cacheFile}.remembered`, '{"version":1,"remembered":[]}');
    rig = await startRig({ discovery: () => ({ options: options({ rememberForMs: 0 }) }) });
    await eventually(
      'all are known',
      () => rig.discovered().length === 3 && rig.discovery.current.syncedAtMs,
    );
    for (const id of rig.ids()) rig.discovery.verified(id);
    const [, second] = rig.plane.servers;
    await second?.terminate();
    await eventually('it is gone', () => rig.ids().length === 2);
    await rig.discovery.stop();
    expect(existsSync(`${cacheFile}.remembered`)).toBe(false);
  });

  test('are never those that were not verified', async () => {
    rig = await startRig({ discovery: () => ({ options: options() }) });
    await eventually(
      'all are known',
      () => rig.discovered().length === 3 && rig.discovery.current.syncedAtMs,
    );
    await rig.plane.servers[1]?.terminate();
    await eventually('it is gone', () => rig.ids().length === 2);
  });
});

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { memoryFile } from '../../../src/discovery/cache-file.ts';
import { encodeCache } from '../../../src/discovery/cache-format.ts';
import type { RememberedEndpoint } from '../../../src/discovery/memory.ts';
import { decodeMemory, encodeMemory } from '../../../src/discovery/memory-format.ts';
import { Remembering } from '../../../src/discovery/remembering.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const dayMs = 86_400_000;
const root = tempDir();
let counter = 0;
let cacheFile: string;
beforeEach(() => {
  counter += 1;
  cacheFile = join(root, `${counter}`, 'endpoints.json');
  mkdirSync(dirname(cacheFile));
});

const endpoint = (last: number) => makeEndpoint(`10.0.0.${last}`, 6443);
const id = (last: number) => endpoint(last).id;

/** An agent's memory with a watch that is synced, until a test says otherwise. */
function start({ own = [] as string[], withFile = true } = {}) {
  const clock = new FakeClock();
  const log = recordingLog();
  const world = { isSynced: true, isAnyUsable: true, listed: new Set<string>(), changes: 0 };
  const memory = new Remembering({
    clock,
    random: () => 0.5,
    log,
    ...(withFile && { cacheFile }),
    rememberForMs: 7 * dayMs,
    isOwnListener: ({ host }) => own.includes(host),
    isProposed: (one) => world.listed.has(one),
    isSynced: () => world.isSynced,
    isAnyUsable: () => world.isAnyUsable,
    onChange: () => {
      world.changes += 1;
    },
  });
  const list = (...lasts: number[]) => {
    world.listed = new Set(lasts.map(id));
    memory.listed([...world.listed]);
  };
  const hosts = () => memory.entries.map(({ endpoint: { host } }) => host).sort();
  return { clock, log, world, memory, list, hosts };
}
const onDisk = (): readonly RememberedEndpoint[] => {
  const reading = decodeMemory(readFileSync(memoryFile(cacheFile), 'utf8'));
  return reading.ok ? reading.value : [];
};
const hours = async (clock: FakeClock, count: number) => {
  for (let hour = 0; hour < count; hour += 1) await clock.advance(3_600_000);
};

test('an API server is forgotten after a week of a synced watch without it, over restarts', async () => {
  const first = start();
  first.list(1, 2);
  for (const last of [1, 2]) first.memory.verified(endpoint(last));
  first.list(2);
  await hours(first.clock, 100);
  await first.memory.stop();
  expect(onDisk().find(({ endpoint: { host } }) => host === '10.0.0.1')?.unlistedMs).toBeGreaterThan(
    99 * 3_600_000,
  );

  const second = start();
  second.list(2);
  await hours(second.clock, 67);
  expect(second.hosts()).toEqual(['10.0.0.1', '10.0.0.2']);
  await hours(second.clock, 2);
  expect(second.hosts()).toEqual(['10.0.0.2']);
  await second.memory.stop();
  expect(onDisk()).toHaveLength(1);
});

test.each(['isSynced', 'isAnyUsable'] as const)('nothing is forgotten while not %s', async (what) => {
  const { clock, world, memory, list, hosts } = start({ withFile: false });
  list(1, 2);
  for (const last of [1, 2]) memory.verified(endpoint(last));
  list(2);
  world[what] = false;
  await hours(clock, 10 * 24);
  expect(hosts()).toEqual(['10.0.0.1', '10.0.0.2']);
  await memory.stop();
});

test('a node that was off for ten days still has its list', async () => {
  const first = start();
  first.list(1, 2);
  for (const last of [1, 2]) first.memory.verified(endpoint(last));
  first.list(2);
  await first.memory.stop();
  const second = start();
  await second.clock.stall(10 * dayMs);
  expect(second.hosts()).toEqual(['10.0.0.1', '10.0.0.2']);
  await second.memory.stop();
});

test('a process that stood still has watched nothing meanwhile', async () => {
  const { clock, memory, list, hosts } = start({ withFile: false });
  list(1, 2);
  for (const last of [1, 2]) memory.verified(endpoint(last));
  list(2);
  await clock.advance(120_000);
  await clock.stall(10 * dayMs);
  await clock.advance(120_000);
  expect(hosts()).toEqual(['10.0.0.1', '10.0.0.2']);
  await memory.stop();
});

test('a killed agent loses ten minutes of the count at most, and no entry', async () => {
  const { clock, memory, list } = start();
  list(1, 2);
  for (const last of [1, 2]) memory.verified(endpoint(last));
  list(2);
  await clock.advance(5_000);
  // It is never told to stop.
  await eventually('both are on disk', () => existsSync(memoryFile(cacheFile)) && onDisk().length === 2);
  await memory.stop();
});

test('both agents of an update keep what the other remembers', async () => {
  const old = start();
  const next = start();
  old.list(1, 2);
  next.list(1, 2, 3);
  for (const last of [1, 2]) old.memory.verified(endpoint(last));
  for (const last of [1, 3]) next.memory.verified(endpoint(last));
  await next.memory.stop();
  await old.memory.stop();
  expect(
    onDisk()
      .map(({ endpoint: { host } }) => host)
      .sort(),
  ).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3']);
  const after = start();
  expect(after.hosts()).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3']);
  await after.memory.stop();
});

test('what another agent has overwritten is written again', async () => {
  const { memory, list } = start();
  list(1);
  memory.verified(endpoint(1));
  await memory.stop();
  const again = start();
  writeFileSync(memoryFile(cacheFile), encodeMemory([]));
  await again.memory.stop();
  expect(onDisk()).toHaveLength(1);
});

test('an agent of the release before this one, which rewrites the cache, does no harm to it', async () => {
  const { memory, list } = start();
  list(1);
  memory.verified(endpoint(1));
  await memory.stop();
  writeFileSync(cacheFile, encodeCache({ endpoints: [] }));
  expect(onDisk()).toHaveLength(1);
  expect(readdirSync(dirname(cacheFile)).sort()).toEqual(['endpoints.json', 'endpoints.json.remembered']);
});

test('our own listener is never remembered, whatever the file says', async () => {
  writeFileSync(
    memoryFile(cacheFile),
    encodeMemory([{ endpoint: endpoint(1), listing: 'left', unlistedMs: 0 }]),
  );
  const { hosts, memory } = start({ own: ['10.0.0.1'] });
  expect(hosts()).toEqual([]);
  await memory.stop();
});

test('a file that is not JSON is set aside, and the memory begins anew', async () => {
  writeFileSync(memoryFile(cacheFile), 'half of');
  const { log, hosts, memory, list } = start();
  expect(hosts()).toEqual([]);
  expect(log.lines).toMatchObject([{ level: 'warn', fields: { aside: `${memoryFile(cacheFile)}.corrupt` } }]);
  list(1);
  memory.verified(endpoint(1));
  await memory.stop();
  expect(onDisk()).toHaveLength(1);
});

test('without a cache file nothing is written, and nothing is left running', async () => {
  const { memory, list, clock } = start({ withFile: false });
  list(1);
  memory.verified(endpoint(1));
  await memory.stop();
  expect(existsSync(memoryFile(cacheFile))).toBe(false);
  expect(clock.pendingTimers).toBe(0);
});

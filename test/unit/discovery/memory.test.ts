import fc from 'fast-check';
import {
  emptyMemory,
  forgetExpired,
  maxRemembered,
  type Memory,
  mergeEntries,
  newcomerMs,
  noteElapsed,
  noteListed,
  noteVerified,
  type RememberedEndpoint,
} from '../../../src/discovery/memory.ts';
import { decodeMemory, encodeMemory } from '../../../src/discovery/memory-format.ts';
import { endpointSet, emptyState, merge } from '../../../src/discovery/merge.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';

const endpoint = (last: number) => makeEndpoint(`10.0.0.${last}`, 6443);
const ids = (...lasts: number[]) => new Set(lasts.map((last) => endpoint(last).id));
const entry = (last: number, over: Partial<RememberedEndpoint> = {}): RememberedEndpoint => ({
  endpoint: endpoint(last),
  listing: 'listed',
  unlistedMs: 0,
  ...over,
});

/** A cluster whose listed API servers have all been verified. */
function cluster(...lasts: number[]): { memory: Memory; list(...now: number[]): Memory } {
  const world = {
    before: ids(...lasts) as ReadonlySet<string>,
    memory: lasts.reduce((memory, last) => noteVerified(memory, endpoint(last), true), emptyMemory),
    list(...now: number[]): Memory {
      world.memory = noteListed(world.memory, ids(...now), world.before);
      world.before = ids(...now);
      for (const last of now) world.memory = noteVerified(world.memory, endpoint(last), true);
      return world.memory;
    },
  };
  return world;
}
const missing = ({ entries }: Memory) =>
  entries.flatMap(({ endpoint: { host }, listing }) => (listing === 'left' ? [host] : []));

describe('API servers that leave the list', () => {
  test('are missing until they return', () => {
    const world = cluster(1, 2, 3);
    expect(missing(world.list(3))).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(missing(world.list(2, 3))).toEqual(['10.0.0.1']);
    expect(missing(world.list(1, 2, 3))).toEqual([]);
  });

  test('are not missing when another came before them, as Cluster API replaces machines', () => {
    const world = cluster(1, 2, 3);
    world.list(1, 2, 3, 4);
    expect(missing(world.list(2, 3, 4))).toEqual([]);
    world.list(2, 3, 4, 5);
    expect(missing(world.list(3, 4, 5))).toEqual([]);
  });

  test('are not missing once another has come after them', () => {
    const world = cluster(1, 2, 3);
    expect(missing(world.list(2, 3))).toEqual(['10.0.0.1']);
    expect(missing(world.list(2, 3, 4))).toEqual([]);
  });

  test('two of them are not made good by one', () => {
    const world = cluster(1, 2, 3);
    world.list(1, 2, 3, 4);
    expect(missing(world.list(3, 4))).toHaveLength(1);
  });

  test('a cluster that grew long ago has no spare one', () => {
    const world = cluster(1);
    world.list(1, 2, 3);
    world.memory = noteElapsed(world.memory, newcomerMs, () => true);
    expect(missing(world.list(2, 3))).toEqual(['10.0.0.1']);
  });

  test('the first list of an agent that was told of one holds no newcomers', () => {
    const told = noteVerified(emptyMemory, endpoint(3), false);
    const first = noteListed(told, ids(1, 2, 3));
    const verified = [1, 2].reduce((memory, last) => noteVerified(memory, endpoint(last), true), first);
    expect(missing(noteListed(verified, ids(3), ids(1, 2, 3)))).toEqual(['10.0.0.1', '10.0.0.2']);
  });

  test('what left while the agent was off is missing at its first list, unless another came', () => {
    const kept: Memory = { ...emptyMemory, entries: [entry(1), entry(2)] };
    expect(missing(noteListed(kept, ids(2)))).toEqual(['10.0.0.1']);
    expect(missing(noteListed(kept, ids(2, 3)))).toEqual([]);
  });

  test('a load balancer that was never listed is not missing', () => {
    const memory = noteVerified(emptyMemory, endpoint(9), false);
    expect(missing(noteListed(memory, ids(1)))).toEqual([]);
  });
});

describe('forgetting', () => {
  const week = 7 * 86_400_000;

  test('takes a week of a synced watch without the endpoint, over restarts', () => {
    let memory: Memory = { ...emptyMemory, entries: [entry(1, { listing: 'left' })] };
    for (let day = 0; day < 6; day += 1) memory = noteElapsed(memory, 86_400_000, () => false);
    const onDisk = decodeMemory(encodeMemory(memory.entries));
    expect(onDisk).toEqual({ ok: true, value: memory.entries });
    expect(forgetExpired(memory, week).entries).toHaveLength(1);
    expect(
      forgetExpired(
        noteElapsed(memory, 86_400_000, () => false),
        week,
      ).entries,
    ).toEqual([]);
  });

  test('the time starts anew when the endpoint is listed again', () => {
    const memory: Memory = {
      ...emptyMemory,
      entries: [entry(1, { listing: 'left', unlistedMs: 6 * 86_400_000 })],
    };
    expect(noteListed(memory, ids(1), ids(2)).entries).toEqual([entry(1)]);
  });

  test('what is listed or configured does not age', () => {
    const memory: Memory = {
      ...emptyMemory,
      entries: [entry(1), entry(2, { listing: 'left' })],
    };
    const aged = noteElapsed(memory, 1_000, (id) => id === endpoint(1).id);
    expect(aged.entries.map(({ unlistedMs }) => unlistedMs)).toEqual([0, 1_000]);
  });

  test('beyond the bound the longest unlisted goes first', () => {
    const old = entry(200, { listing: 'left', unlistedMs: 5_000 });
    const full = { ...emptyMemory, entries: [old, ...Array.from({ length: 31 }, (_, i) => entry(i + 1))] };
    const more = noteVerified(full, endpoint(100), true);
    expect(more.entries).toHaveLength(maxRemembered);
    expect(more.entries).not.toContain(old);
    expect(more.entries.at(-1)).toEqual(entry(100));
  });
});

describe('two agents with one file', () => {
  test('what the other one has added is kept', () => {
    expect(mergeEntries([entry(1)], [entry(1), entry(2)], [entry(1), entry(3)])).toEqual([
      entry(1),
      entry(2),
      entry(3),
    ]);
  });

  test('what this one has forgotten is not brought back by the file', () => {
    expect(mergeEntries([entry(1), entry(2)], [entry(1)], [entry(1), entry(2)])).toEqual([entry(1)]);
  });

  test("the other one's word on an entry counts where this one has learnt nothing", () => {
    const left = entry(1, { listing: 'left', unlistedMs: 90_000 });
    expect(mergeEntries([entry(1)], [entry(1)], [left])).toEqual([left]);
    expect(mergeEntries([left], [entry(1)], [left])).toEqual([entry(1)]);
  });

  test('an entry is never lost to a file that lacks it', () => {
    const anyEntries = fc
      .uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 8 })
      .map((lasts) => lasts.map((last) => entry(last)));
    fc.assert(
      fc.property(anyEntries, anyEntries, anyEntries, (base, mine, theirs) => {
        const merged = mergeEntries(base, mine, theirs);
        const has = (list: readonly RememberedEndpoint[], one: RememberedEndpoint) =>
          list.some(({ endpoint: { id } }) => id === one.endpoint.id);
        for (const one of mine) expect(has(merged, one)).toBe(true);
        for (const one of theirs) if (!has(base, one)) expect(has(merged, one)).toBe(true);
      }),
    );
  });
});

describe('the file', () => {
  test('a bad entry costs only itself, and unknown members are ignored', () => {
    const good = { host: '10.0.0.1', port: 6443, listing: 'left', unlistedSeconds: 60, colour: 'red' };
    const text = JSON.stringify({ version: 1, remembered: [{ host: 'name', port: 1 }, good, 7], more: 1 });
    expect(decodeMemory(text)).toEqual({
      ok: true,
      value: [entry(1, { listing: 'left', unlistedMs: 60_000 })],
    });
  });

  test.each([null, -5, 'soon', {}])('a time of %p neither expires an entry nor breaks the file', (time) => {
    const text = JSON.stringify({
      version: 1,
      remembered: [{ host: '10.0.0.1', port: 1, unlistedSeconds: time }],
    });
    expect(decodeMemory(text)).toMatchObject({ ok: true, value: [{ unlistedMs: 0 }] });
  });

  test('holds no more than the bound, whatever it says', () => {
    const remembered = Array.from({ length: 200 }, (_, i) => ({ host: `10.0.0.${i}`, port: 6443 }));
    const reading = decodeMemory(JSON.stringify({ version: 1, remembered }));
    expect(reading.ok && reading.value).toHaveLength(maxRemembered);
  });

  test('whatever it holds, reading never throws', () => {
    fc.assert(fc.property(fc.oneof(fc.json(), fc.string()), (text) => void decodeMemory(text)));
  });
});

describe('the endpoint set', () => {
  const watch = (...lasts: number[]) => ({
    source: 'watch' as const,
    endpoints: lasts.map(endpoint),
    syncedAtMs: 1,
  });
  const tiers = (state: Parameters<typeof endpointSet>[0]) =>
    Object.fromEntries(
      endpointSet(state).endpoints.map(({ host, tier, isGone }) => [host, isGone ? `${tier}, gone` : tier]),
    );

  test('what was verified once is a last tier when nothing proposes it any more', () => {
    const remembered = [entry(1, { listing: 'left' }), entry(2, { listing: 'replaced' }), entry(3)];
    const state = merge({ ...emptyState, remembered }, watch(3));
    expect(tiers(state)).toEqual({
      '10.0.0.1': 'remembered, gone',
      '10.0.0.2': 'remembered',
      '10.0.0.3': 'discovered',
    });
  });

  test('a configured endpoint stays a seed, and shows that the cluster has lost it', () => {
    const remembered = [entry(1, { listing: 'left' })];
    const seeds = { source: 'static' as const, endpoints: [endpoint(1)] };
    const state = merge(merge({ ...emptyState, remembered }, seeds), watch(3));
    expect(tiers(state)).toEqual({ '10.0.0.1': 'seed, gone', '10.0.0.3': 'discovered' });
  });

  test('before the watch has synced, what only the memory knows is no more than remembered', () => {
    const remembered = [entry(1, { listing: 'left' }), entry(2)];
    const cached = { source: 'cache' as const, endpoints: [endpoint(2)] };
    expect(tiers(merge({ ...emptyState, remembered }, cached))).toEqual({
      '10.0.0.1': 'remembered, gone',
      '10.0.0.2': 'discovered',
    });
  });
});

// The whole of health and closing against API servers as they behave, over every phase of checks and clients.
import fc from 'fast-check';
import { type Answer, apiServer, type Server, SickWorld } from '../../support/fakes/sick-world.ts';

const provenMs = 30_000;
const well: Answer = { afterMs: 5, failing: [] };

/** A source of chance of its own for each run. */
function chance(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Runs the world for `forMs` after the fault at `provenMs`; clients notice a silence half a second after it begins. */
async function watch(world: SickWorld, forMs: number, waitsMs?: number) {
  const startMs = world.clock.nowMs();
  const faultMs = startMs + provenMs;
  await world.clock.advance(provenMs);
  if (waitsMs !== undefined) {
    await world.clock.advance(waitsMs);
    world.clientWaits();
  }
  await world.clock.advance(faultMs + forMs - world.clock.nowMs());
  world.stop();
  const first = world.closed.find(({ how }) => how === 'drain' || how === 'reset');
  return { closed: world.closed, afterMs: first && first.atMs + (first.windowMs ?? 0) - faultMs };
}

const startMs = 1_000;
const lostMs = startMs + provenMs;
const seed = fc.integer({ min: 1, max: 2 ** 31 });
const servers = fc.integer({ min: 2, max: 5 });
/** Between two questions of other nodes to one API server: a cluster of one node, and one of thousands. */
const everyMs = fc.constantFrom(1e9, 10_000, 100, 20);

test('one that fails among ready others is left within a check interval and 1.5 s, whatever fails', async () => {
  const failing = fc.constantFrom<readonly string[]>(
    ['etcd', 'etcd-readiness'],
    ['unknown'],
    ['poststarthook/x'],
  );
  await fc.assert(
    fc.asyncProperty(seed, servers, failing, async (from, count, names) => {
      const sick: Server = (nowMs) => (nowMs < lostMs ? well : { afterMs: 5, failing: names });
      const all = Array.from({ length: count }, (_, index): Server => (index === 0 ? sick : () => well));
      const { afterMs } = await watch(new SickWorld(all, chance(from)), 8_000);
      expect(afterMs).toBeLessThan(3_500);
    }),
    { numRuns: 60 },
  );
});

test('one that hangs is left as soon when a client waits for it', async () => {
  await fc.assert(
    fc.asyncProperty(seed, servers, fc.integer({ min: 500, max: 600 }), async (from, count, waitsMs) => {
      const sick: Server = (nowMs) => (nowMs < lostMs ? well : { afterMs: 60_000, failing: [] });
      const all = Array.from({ length: count }, (_, index): Server => (index === 0 ? sick : () => well));
      const { afterMs } = await watch(new SickWorld(all, chance(from)), 8_000, waitsMs);
      expect(afterMs).toBeLessThan(3_500);
    }),
    { numRuns: 60 },
  );
});

test('etcd that is lost to all of them, and comes back to one after the other, closes nothing', async () => {
  await fc.assert(
    fc.asyncProperty(
      seed,
      servers,
      everyMs,
      fc.array(fc.integer({ min: 0, max: 10_000 }), { minLength: 5, maxLength: 5 }),
      async (from, count, othersEveryMs, back) => {
        const random = chance(from);
        const all = Array.from({ length: count }, (_, index) =>
          apiServer({
            lostMs,
            backMs: lostMs + 15_000 + (back[index] ?? 0),
            othersEveryMs,
            phaseMs: random() * Math.min(othersEveryMs, 10_000),
          }),
        );
        const { closed } = await watch(new SickWorld(all, random), 40_000, 500 + random() * 200);
        expect(closed).toEqual([]);
      },
    ),
    { numRuns: 60 },
  );
});

test('a failure of all of them at the same moment closes nothing, whatever fails', async () => {
  await fc.assert(
    fc.asyncProperty(
      seed,
      servers,
      fc.constantFrom('etcd', 'unknown', 'poststarthook/x'),
      async (from, count, name) => {
        const all = Array.from(
          { length: count },
          (): Server => (nowMs) => (nowMs < lostMs ? well : { afterMs: 5, failing: [name] }),
        );
        const { closed } = await watch(new SickWorld(all, chance(from)), 40_000);
        expect(closed).toEqual([]);
      },
    ),
    { numRuns: 40 },
  );
});

/** Answers badly once. */
function stumbling(): Server {
  let hasFailed = false;
  return (nowMs) => {
    if (hasFailed || nowMs < lostMs) return well;
    hasFailed = true;
    return { afterMs: 5, failing: ['etcd'] };
  };
}

test.each<[string, () => Server]>([
  ['slow for minutes', () => () => ({ afterMs: 1_300, failing: [] })],
  ['stopping', () => () => ({ afterMs: 5, failing: ['shutdown'] })],
  ['failing for one answer', stumbling],
  ['silent for 1.5 s', () => (nowMs) => ({ afterMs: Math.max(5, lostMs + 1_500 - nowMs), failing: [] })],
])('one that is %s keeps its tunnels', async (_, make) => {
  for (let from = 1; from <= 20; from += 1) {
    const answer = make();
    const one: Server = (nowMs) => (nowMs < lostMs ? well : answer(nowMs));
    const { closed } = await watch(new SickWorld([one, () => well, () => well], chance(from)), 120_000);
    expect(closed).toEqual([]);
  }
});

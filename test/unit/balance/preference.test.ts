import fc from 'fast-check';
import { makePicker } from '../../../src/balance/picker.ts';
import { noneFallen, preferenceOf } from '../../../src/balance/preference.ts';
import { SnapshotPublisher } from '../../../src/balance/snapshot.ts';
import { planMove } from '../../../src/balance/rebalance-policy.ts';
import { makeSnapshot } from '../../../src/balance/snapshot.ts';
import { type HealthState, initialHealth } from '../../../src/health/verdict.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import type { KnownEndpoint, Tier, Verdict } from '../../../src/model/snapshot.ts';

const verdicts: readonly Verdict[] = ['unknown', 'ready', 'suspect', 'unready', 'dead'];
const returnAfterMs = 15_000;

/** Runs one endpoint through verdicts, each held for a time, looking every second. */
function run(history: readonly { verdict: Verdict; seconds: number }[]) {
  let fallen = noneFallen;
  let nowMs = 0;
  let health = initialHealth(0);
  const seen: { nowMs: number; health: HealthState; isFavoured: boolean }[] = [];
  for (const { verdict, seconds } of history) {
    if (health.verdict !== verdict) health = { ...health, verdict, sinceMs: nowMs };
    for (let second = 0; second < seconds; second += 1, nowMs += 1_000) {
      const at = health;
      const next = preferenceOf(fallen, { preferred: ['a'], state: () => at, nowMs, returnAfterMs });
      fallen = next.fallen;
      seen.push({ nowMs, health: at, isFavoured: next.favoured.has('a') });
    }
  }
  return seen;
}

const history = fc.array(
  fc.record({ verdict: fc.constantFrom(...verdicts.slice(1)), seconds: fc.integer({ min: 1, max: 40 }) }),
  { maxLength: 12 },
);

test('only what is ready, or untried, is favoured', () => {
  fc.assert(
    fc.property(history, (steps) => {
      for (const { health, isFavoured } of run(steps)) {
        if (isFavoured) expect(['ready', 'unknown']).toContain(health.verdict);
      }
    }),
  );
});

test('what was lost comes back only after it has been ready for the whole time, and then it does', () => {
  fc.assert(
    fc.property(history, (steps) => {
      let wasLost = false;
      for (const { nowMs, health, isFavoured } of run(steps)) {
        if (health.verdict !== 'ready') wasLost = true;
        const readyMs = nowMs - health.sinceMs;
        if (health.verdict !== 'ready') continue;
        expect(isFavoured).toBe(!wasLost || readyMs >= returnAfterMs);
        if (readyMs >= returnAfterMs) wasLost = false;
      }
    }),
  );
});

test('an endpoint on the brink changes nothing: within the time it is favoured at most once', () => {
  const flaps = Array.from({ length: 30 }, (_, index) => ({
    verdict: index % 2 ? ('ready' as const) : ('unready' as const),
    seconds: 10,
  }));
  expect(run(flaps).some(({ isFavoured }) => isFavoured)).toBe(false);
});

test('after a start nothing has to be waited for', () => {
  expect(
    run([
      { verdict: 'unknown', seconds: 1 },
      { verdict: 'ready', seconds: 1 },
    ]).map((s) => s.isFavoured),
  ).toEqual([true, true]);
});

test('what is not preferred any more is forgotten', () => {
  const state = () => ({ ...initialHealth(0), verdict: 'dead' as const });
  const input = { state, nowMs: 0, returnAfterMs };
  const { fallen } = preferenceOf(noneFallen, { preferred: ['a', 'b'], ...input });
  expect([...fallen]).toEqual(['a', 'b']);
  expect([...preferenceOf(fallen, { preferred: ['b'], ...input }).fallen]).toEqual(['b']);
});

// --- what the snapshot, the picker and rebalancing make of it ---------------------------------------------

const known = (last: number, tier: Tier = 'discovered'): KnownEndpoint => ({
  ...makeEndpoint(`10.0.0.${last}`, 6443),
  tier,
  sources: ['static'],
});
const id = (last: number) => `10.0.0.${last}:6443`;

function snapshotOf(
  states: Record<number, Verdict>,
  favoured: readonly number[],
  seeds: readonly number[] = [],
) {
  const endpoints = Object.keys(states).map((n) =>
    known(Number(n), seeds.includes(Number(n)) ? 'seed' : 'discovered'),
  );
  const state = (endpoint: string) => ({
    ...initialHealth(0),
    verdict: states[Number(endpoint.split(/[.:]/)[3])] ?? ('unknown' as const),
  });
  const input = { nodeName: 'n', nowMs: 60_000, wallMs: 1e12, favoured: new Set(favoured.map(id)) };
  return makeSnapshot({ set: { endpoints }, state, ...input }, 1);
}

test('usable favoured endpoints go before all others; the others keep their order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...verdicts), { minLength: 1, maxLength: 8 }),
      fc.array(fc.nat(7), { maxLength: 8 }),
      (list, favoured) => {
        const states = Object.fromEntries(list.map((verdict, index) => [index, verdict]));
        const plain = snapshotOf(states, []);
        const { endpoints, usableCount } = snapshotOf(states, favoured);
        expect(usableCount).toBe(plain.usableCount);
        const isFirst = ({ isUsable, isFavoured, verdict }: (typeof endpoints)[number]) =>
          isUsable && isFavoured && verdict === 'ready';
        const firsts = endpoints.filter(isFirst).length;
        expect(endpoints.slice(0, firsts).every(isFirst)).toBe(true);
        const rest = endpoints.filter((one) => !one.isFavoured).map(({ endpoint }) => endpoint.id);
        expect(rest).toEqual(
          plain.endpoints.map(({ endpoint }) => endpoint.id).filter((one) => rest.includes(one)),
        );
      },
    ),
  );
});

test('a favoured endpoint that the cluster does not list goes first as well', () => {
  expect(snapshotOf({ 1: 'ready', 2: 'ready', 3: 'ready' }, [2], [2]).candidates[0]?.id).toBe(id(2));
});

test.each(['round-robin', 'least-connections'] as const)(
  '%s stays among the favoured ones while there are any',
  (policy) => {
    const publisher = new SnapshotPublisher();
    const tunnels: Record<string, number> = { [id(1)]: 9, [id(2)]: 8, [id(3)]: 0, [id(4)]: 0 };
    const traffic = (one: string) => ({
      activeTunnels: tunnels[one] ?? 0,
      totalTunnels: 0,
      bytesUp: 0,
      bytesDown: 0,
    });
    const pick = makePicker(policy, publisher, { traffic });
    const all = { 1: 'ready', 2: 'ready', 3: 'ready', 4: 'ready' } as const;
    const firsts = () => new Set(Array.from({ length: 8 }, () => pick().candidates[0]?.id));
    publisher.publish(() => snapshotOf(all, [1, 2]));
    expect([...firsts()].every((one) => one === id(1) || one === id(2))).toBe(true);
    if (policy === 'round-robin') expect(firsts().size).toBe(2);
    publisher.publish(() => snapshotOf({ ...all, 1: 'dead', 2: 'unready' }, []));
    expect([...firsts()].every((one) => one === id(3) || one === id(4))).toBe(true);
  },
);

test.each(['rendezvous', 'round-robin', 'least-connections'] as const)(
  '%s: old tunnels go back to a favoured endpoint once it has settled, and not away from it',
  (policy) => {
    const snapshot = snapshotOf({ 1: 'ready', 2: 'ready', 3: 'ready' }, [2]);
    const tunnels = (one: string) => (one === id(2) ? 50 : one === id(3) ? 3 : 0);
    const settled = (...n: number[]) => new Set(n.map(id));
    expect(planMove(policy, snapshot, settled(1, 3), tunnels)).toBeUndefined();
    expect(planMove(policy, snapshot, settled(1, 2, 3), tunnels)).toEqual({ from: id(3), misplaced: 3 });
    expect(planMove(policy, snapshot, settled(1, 2, 3), (one) => (one === id(2) ? 50 : 0))).toBeUndefined();
  },
);

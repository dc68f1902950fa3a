import { type Holder, planClosing } from '../../../src/balance/closing.ts';
import { planMove } from '../../../src/balance/rebalance.ts';
import { type HealthState, initialHealth } from '../../../src/health/verdict.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import type { Snapshot, Verdict } from '../../../src/model/snapshot.ts';

const options = {
  unreadyAfterMs: 5_000,
  betterReadyForMs: 20_000,
  windowMs: 10_000,
  shutdownWindowMs: 60_000,
  fall: 3,
};
const nowMs = 100_000;
const keep = { action: 'keep' };

function health(verdict: Verdict, extra: Partial<HealthState> = {}): HealthState {
  return { ...initialHealth(0), verdict, sinceMs: nowMs, badInRow: 5, ...extra };
}
const readyFor = (ms: number, lastGoodMs = nowMs): HealthState =>
  health('ready', { sinceMs: nowMs - ms, lastGoodMs });
const plan = (holder: Holder, others: HealthState[]) => planClosing(holder, others, nowMs, options);

describe('a dead endpoint', () => {
  const dead: Holder = { state: health('dead', { troubleSinceMs: nowMs - 1_000, lastBadMs: nowMs - 100 }) };

  test('loses its tunnels at once when another has answered since the trouble began', () => {
    expect(plan(dead, [readyFor(60_000, nowMs - 900)])).toMatchObject({ action: 'reset' });
  });

  test('keeps its tunnels while nobody else has answered since: our own network may be down', () => {
    expect(plan(dead, [readyFor(60_000, nowMs - 1_100)])).toEqual(keep);
    expect(plan(dead, [health('dead'), health('unready'), health('suspect', { lastGoodMs: nowMs })])).toEqual(
      keep,
    );
    expect(plan(dead, [])).toEqual(keep);
  });
});

test('when our own network returns, the endpoint that is found first takes nothing from the others', () => {
  const dead: Holder = { state: health('dead', { troubleSinceMs: nowMs - 30_000, lastBadMs: nowMs - 900 }) };
  expect(plan(dead, [readyFor(500)])).toEqual(keep);
  expect(plan({ state: { ...dead.state, lastBadMs: nowMs } }, [readyFor(500)])).toEqual({ action: 'reset' });
});

describe('an unready endpoint', () => {
  const unready = (ms: number, extra: Partial<HealthState> = {}): Holder => ({
    state: health('unready', { sinceMs: nowMs - ms, reason: { code: 'L7STS', status: 500 }, ...extra }),
  });

  test('drains after five seconds, while another has been ready for twenty', () => {
    expect(plan(unready(5_000), [readyFor(20_000)])).toEqual({ action: 'drain', windowMs: 10_000 });
    expect(plan(unready(4_900), [readyFor(20_000)])).toEqual(keep);
    expect(plan(unready(5_000), [readyFor(19_900)])).toEqual(keep);
  });

  test('does not drain before fall bad probes, nor when all are unready', () => {
    expect(plan(unready(9_000, { badInRow: 2 }), [readyFor(30_000)])).toEqual(keep);
    expect(plan(unready(9_000), [health('unready', { sinceMs: 0 })])).toEqual(keep);
  });

  test('that is only shutting down gets the long window', () => {
    expect(plan(unready(9_000, { isShuttingDown: true }), [readyFor(30_000)])).toEqual({
      action: 'drain',
      windowMs: 60_000,
    });
  });

  test('that refuses is left to its kernel, but for clients who wait for an answer', () => {
    const refusing: Holder = {
      state: health('unready', { sinceMs: 0, reason: { code: 'L4CON', text: 'refused' } }),
    };
    expect(plan(refusing, [readyFor(60_000)])).toEqual({
      action: 'reset-unanswered',
      olderThanMs: 10_000,
      sinceMs: 0,
    });
  });
});

test('a removed endpoint drains like an unready one; one that refuses politely', () => {
  const removed: Holder = { state: health('ready'), removedAtMs: nowMs - 5_000 };
  expect(plan(removed, [readyFor(20_000)])).toEqual({ action: 'drain', windowMs: 10_000 });
  expect(plan({ ...removed, removedAtMs: nowMs - 4_000 }, [readyFor(20_000)])).toEqual(keep);
  const stopping: Holder = { ...removed, state: health('unready', { reason: { code: 'L4CON' } }) };
  expect(plan(stopping, [readyFor(20_000)])).toEqual({ action: 'drain', windowMs: 60_000 });
});

test('ready, suspect and unknown endpoints keep their tunnels', () => {
  for (const verdict of ['ready', 'suspect', 'unknown'] as const) {
    expect(plan({ state: health(verdict, { sinceMs: 0 }) }, [readyFor(60_000)])).toEqual(keep);
  }
});

describe('rebalancing', () => {
  const ids = ['10.0.0.1:6443', '10.0.0.2:6443', '10.0.0.3:6443'];
  const snapshot: Snapshot = {
    version: 1,
    atMs: 0,
    usableCount: 3,
    candidates: [],
    endpoints: [1, 2, 3].map((last) => ({
      endpoint: { ...makeEndpoint(`10.0.0.${last}`, 6443), tier: 'discovered', sources: ['watch'] },
      verdict: 'ready',
      reason: { code: 'L7OK', status: 200 },
      sinceMs: 0,
      isUsable: true,
      isVerified: true,
    })),
  };
  const settled = new Set(ids);
  const tunnels =
    (...counts: number[]) =>
    (id: string) =>
      counts[ids.indexOf(id)] ?? 0;

  test('by rendezvous takes from the most loaded of those that are not the first choice', () => {
    expect(planMove('rendezvous', snapshot, settled, tunnels(1, 2, 5))).toEqual({
      from: ids[2],
      misplaced: 7,
    });
    expect(planMove('rendezvous', snapshot, settled, tunnels(9, 0, 0))).toBeUndefined();
  });

  test('waits until the place to go to has settled', () => {
    expect(planMove('rendezvous', snapshot, new Set(ids.slice(1)), tunnels(0, 2, 5))).toBeUndefined();
  });

  test('by load moves only what is over the fair share', () => {
    expect(planMove('least-connections', snapshot, settled, tunnels(6, 0, 0))).toEqual({
      from: ids[0],
      misplaced: 4,
    });
    expect(planMove('round-robin', snapshot, settled, tunnels(2, 2, 1))).toBeUndefined();
  });
});

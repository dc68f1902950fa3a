import {
  confirmAfterMs,
  confirmAfterSilenceMs,
  type Holder,
  planClose,
  sickWindowMs,
} from '../../../src/balance/close-policy.ts';
import { planMove } from '../../../src/balance/rebalance-policy.ts';
import { type HealthState, initialHealth } from '../../../src/health/verdict.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import type { Snapshot, Verdict } from '../../../src/model/snapshot.ts';

const options = {
  unreadyAfterMs: 5_000,
  betterReadyForMs: 20_000,
  windowMs: 10_000,
  shutdownWindowMs: 300_000,
  fall: 3,
};
const nowMs = 100_000;
const keep = { action: 'keep' };

function health(verdict: Verdict, extra: Partial<HealthState> = {}): HealthState {
  return { ...initialHealth(0), verdict, sinceMs: nowMs, badInRow: 5, ...extra };
}
const readyFor = (ms: number, lastGoodMs = nowMs, extra: Partial<HealthState> = {}): HealthState =>
  health('ready', {
    sinceMs: nowMs - ms,
    upSinceMs: nowMs - ms,
    lastGoodMs,
    promptAskedMs: lastGoodMs,
    ...extra,
  });
const plan = (holder: Holder, others: HealthState[]) => planClose(holder, others, nowMs, options);

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
    expect(plan(unready(4_900), [readyFor(20_000)])).toEqual({ ...keep, askAtMs: nowMs + 100 });
    expect(plan(unready(5_000), [readyFor(19_900)])).toEqual(keep);
    // What was known of the other before says nothing of now.
    expect(plan(unready(5_000), [readyFor(20_000, nowMs - 1)])).toEqual({ ...keep, askAtMs: nowMs });
  });

  test('does not drain before fall bad probes, nor when all are unready', () => {
    expect(plan(unready(9_000, { badInRow: 2 }), [readyFor(30_000)])).toEqual(keep);
    expect(plan(unready(9_000), [health('unready', { sinceMs: 0 })])).toEqual(keep);
  });

  test('that is stopping keeps its tunnels, which it ends itself, for five minutes', () => {
    const stopping = { isShuttingDown: true, sickness: 'own' } as const;
    expect(plan(unready(60_000, stopping), [readyFor(90_000)])).toEqual(keep);
    expect(plan(unready(300_000, stopping), [readyFor(400_000)])).toEqual({
      action: 'drain',
      windowMs: 10_000,
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

test('a removed endpoint drains like an unready one', () => {
  const removed: Holder = { state: health('ready'), removedAtMs: nowMs - 5_000 };
  expect(plan(removed, [readyFor(20_000)])).toEqual({ action: 'drain', windowMs: 10_000 });
  expect(plan({ ...removed, removedAtMs: nowMs - 4_000 }, [readyFor(20_000)])).toEqual({
    ...keep,
    askAtMs: nowMs + 1_000,
  });
});

test('a removed endpoint that refuses, or whose shutdown check fails, is stopping: it ends its tunnels itself', () => {
  const removedAtMs = nowMs - 30_000;
  const sinceMs = nowMs - 29_000;
  const others = [readyFor(90_000)];
  const refusing = health('unready', { sinceMs, reason: { code: 'L4CON' } });
  expect(plan({ state: refusing, removedAtMs }, others)).toMatchObject({ action: 'reset-unanswered' });
  const failing = health('unready', { sinceMs, isShuttingDown: true, sickness: 'own' });
  expect(plan({ state: failing, removedAtMs }, others)).toEqual(keep);
});

test('ready, suspect and unknown endpoints keep their tunnels', () => {
  for (const verdict of ['ready', 'suspect', 'unknown'] as const) {
    expect(plan({ state: health(verdict, { sinceMs: 0 }) }, [readyFor(60_000)])).toEqual(keep);
  }
});

describe('a sick endpoint that answers', () => {
  const agoMs = confirmAfterMs + 10;
  const sick = (extra: Partial<HealthState> = {}): Holder => ({
    state: health('unready', {
      sinceMs: nowMs - agoMs,
      troubleSinceMs: nowMs - agoMs,
      reason: { code: 'L7STS', status: 500 },
      sickness: 'shared',
      badInRow: 2,
      ...extra,
    }),
  });
  const drain = { action: 'drain', windowMs: sickWindowMs };
  const askAtMs = nowMs - agoMs + confirmAfterMs;
  const well = readyFor(60_000);

  test('loses its tunnels at once when the others were well before and have proved it since', () => {
    expect(plan(sick(), [well, well])).toEqual(drain);
    expect(plan(sick({ sickness: 'own' }), [well, well])).toEqual(drain);
  });

  test('which hangs is asked for a little less long, as its silence has lasted by then', () => {
    const silent = { reason: { code: 'L7TOUT' }, sinceMs: nowMs - confirmAfterSilenceMs - 10 } as const;
    expect(plan(sick(silent), [well])).toEqual(drain);
  });

  test.each<[string, Holder, HealthState[]]>([
    ['is not proved by a second look', sick({ badInRow: 1 }), [well]],
    ['is not checked against the other since', sick(), [readyFor(60_000, nowMs - agoMs)]],
    ['is checked against an answer that was late', sick(), [{ ...well, promptAskedMs: nowMs - agoMs }]],
    [
      'may share its trouble with one who has not answered yet',
      sick(),
      [well, readyFor(60_000, nowMs - agoMs)],
    ],
  ])('keeps them, and the others are asked, while it %s', (_, holder, others) => {
    expect(plan(holder, others)).toEqual({ ...keep, askAtMs });
  });

  test.each<[string, Holder, HealthState[]]>([
    ['it has just answered well', sick({ badInRow: 0, goodInRow: 1 }), [well]],
    ['the other was ready for less than 20 s before', sick(), [readyFor(20_000)]],
    ['the other has come back since', sick(), [readyFor(500)]],
    ['the other is held out for flapping', sick(), [readyFor(60_000, nowMs, { heldUntilMs: nowMs + 1 })]],
    [
      'no other is ready',
      sick(),
      [health('unready', { sickness: 'shared' }), health('suspect'), health('dead')],
    ],
    ['there is no other', sick(), []],
    ['it is stopping', sick({ isShuttingDown: true }), [well]],
    [
      'its certificate is bad, which hurts new connections alone',
      sick({ sickness: undefined as never }),
      [well],
    ],
  ])('keeps them at that moment when %s', (_, holder, others) => {
    expect(plan(holder, others)).toMatchObject(keep);
  });

  test('needs one that is well when the trouble is its own, all of them when it may be shared', () => {
    const unproved = readyFor(60_000, nowMs - agoMs);
    expect(plan(sick({ sickness: 'own' }), [well, unproved])).toEqual(drain);
    expect(plan(sick({ sickness: 'shared' }), [well, unproved])).toMatchObject(keep);
  });

  test.each<[string, Partial<HealthState>]>([
    ['sick in the same way', { verdict: 'unready', sickness: 'shared', sinceMs: nowMs - 3_000 }],
    [
      'sick in the same way a little earlier',
      { verdict: 'unready', sickness: 'shared', sinceMs: nowMs - 9_000 },
    ],
    ['late', { verdict: 'ready', lastLateMs: nowMs - 200 }],
  ])('drains slowly when another is %s: the trouble may be that of all', (_, extra) => {
    const other: HealthState = { ...well, ...extra };
    expect(plan(sick(), [well, other])).toMatchObject(keep);
    const long = { badInRow: 9, sinceMs: nowMs - 30_000, troubleSinceMs: nowMs - 30_000 };
    const settled = { ...other, lastLateMs: nowMs - 25_000, sinceMs: nowMs - 25_000 };
    expect(plan(sick(long), [well, settled])).toEqual({ action: 'drain', windowMs: 10_000 });
  });

  test('leaves at once although another has been dead, or sick, for long', () => {
    const others = [
      well,
      health('dead', { sinceMs: 0 }),
      health('unready', { sinceMs: 0, sickness: 'shared' }),
    ];
    expect(plan(sick(), others)).toEqual(drain);
  });

  test('two of five with troubles of their own leave at once', () => {
    const other = sick({ sickness: 'own' }).state;
    expect(plan(sick({ sickness: 'own' }), [other, well, well, well])).toEqual(drain);
  });
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

import { figuresOf } from '../../../bench/faults/metrics.ts';
import type { EstablishedReport } from '../../support/faults/clients/established.ts';
import type { Call } from '../../support/faults/clients/target.ts';
import type { Observation } from '../../support/faults/trial.ts';

const limitMs = 5_000;
const good = (askedMs: number, doneMs = askedMs + 5): Call => ({ askedMs, doneMs, status: 200 });
const bad = (askedMs: number, doneMs = askedMs + 5): Call => ({ askedMs, doneMs, error: 'ECONNRESET' });

function client(calls: readonly Call[], connections = 1): EstablishedReport {
  return { protocol: 'http1', startedMs: 0, stoppedMs: 10_000, calls, connections };
}

/** One that asks every 200 ms, and had no answer between two moments. */
function asking(silentFrom = 0, silentTo = 0): EstablishedReport {
  const asked = Array.from({ length: 50 }, (_, index) => index * 200);
  return client(asked.filter((at) => at < silentFrom || at >= silentTo).map((at) => good(at)));
}

function seen(change: Partial<Observation>): Observation {
  return {
    marks: { start: 0, fault: 1_000, stop: 10_000 },
    victim: 'cp-1',
    newConnections: [],
    established: [],
    watches: { ends: [], openAtStop: 3, events: 0 },
    log: [],
    stalls: { between: () => 0, worstBetween: () => 0 },
    ...change,
  };
}

describe('figures of a trial', () => {
  const usual = { metrics: ['failedNew', 'slowestNew', 'gap'] } as const;

  test('the slowest new connection is the slowest that was served', () => {
    const figures = figuresOf(seen({ newConnections: [good(0), good(2_000, 2_700)] }), usual, limitMs);
    expect(figures.failedNew).toEqual({ value: 0 });
    expect(figures.slowestNew).toEqual({ value: 700 });
  });

  test('a connection that failed fast was not fast', () => {
    const figures = figuresOf(seen({ newConnections: [good(0), bad(2_000)] }), usual, limitMs);
    expect(figures.failedNew).toEqual({ value: 1 });
    expect(figures.slowestNew).toEqual({ value: limitMs, isAtLeast: true });
  });

  test('an answer that the fault cut through is no new connection that failed', () => {
    const marks = { start: 0, fault: 1_000, struck: 1_100, stop: 10_000 };
    const count = (newConnections: Call[]) =>
      figuresOf(seen({ newConnections, marks }), usual, limitMs).failedNew?.value;
    expect(count([bad(995, 1_050)])).toBe(0);
    expect(count([bad(1_090, 1_150)])).toBe(0);
    expect(count([bad(1_101, 1_150)])).toBe(1);
    expect(count([bad(900, 999)])).toBe(1);
  });

  test('who came before the balancer listened is not counted', () => {
    const refused = (askedMs: number): Call => ({
      askedMs,
      doneMs: askedMs + 1,
      error: 'ECONNREFUSED',
    });
    const marks = { start: 500, stop: 10_000 };
    const newConnections = [refused(100), refused(600)];
    expect(figuresOf(seen({ newConnections, marks }), usual, limitMs).failedNew).toEqual({ value: 1 });
  });

  test('the longest gap is that of the client that fared worst', () => {
    const established = [asking(), asking(3_000, 6_000)];
    expect(figuresOf(seen({ established }), usual, limitMs).gap).toEqual({ value: 3_200 });
  });

  test('a gap that lasts to the end is at least that long; a pause between questions is none', () => {
    const gap = (established: EstablishedReport[]) => figuresOf(seen({ established }), usual, limitMs).gap;
    expect(gap([asking(3_000, 99_000)])).toEqual({ value: 7_195, isAtLeast: true });
    const last = client([good(0), good(9_400)]);
    expect(gap([{ ...last, startedMs: 9_300, calls: [good(9_400)] }])).toEqual({ value: 595 });
  });

  test('after an outage only what follows the return counts, and the gap begins there', () => {
    const marks = { start: 0, fault: 1_000, back: 5_000, stop: 10_000 };
    const judged = { metrics: ['failedNew', 'gap', 'firstAnswer', 'held'], since: 'back' } as const;
    const newConnections = [bad(1_500, 3_500), bad(2_000, 5_400), bad(5_100), good(5_900, 5_910)];
    const established = [asking(1_000, 7_000)];
    expect(figuresOf(seen({ newConnections, established, marks }), judged, limitMs)).toEqual({
      failedNew: { value: 1 },
      gap: { value: 2_005 },
      firstAnswer: { value: 910 },
      held: { value: 2_000 },
    });
  });

  test('nobody served after the return: at least the rest of the time', () => {
    const marks = { start: 0, fault: 1_000, back: 5_000, stop: 10_000 };
    const judged = { metrics: ['firstAnswer'], since: 'back' } as const;
    const figures = figuresOf(seen({ newConnections: [good(0), bad(6_000)], marks }), judged, limitMs);
    expect(figures.firstAnswer).toEqual({ value: 5_000, isAtLeast: true });
  });

  test('cut are connections that clients had to open again, and watches; early those before their server left', () => {
    const end = (endedMs: number) => ({ openedMs: 0, endedMs, server: 'cp-1', how: 'ECONNRESET' });
    const change = {
      marks: { start: 0, fault: 1_000, watchesMayEnd: 4_000, stop: 10_000 },
      established: [client([good(0)], 3), client([good(0)])],
      watches: { ends: [end(2_000), end(3_950)], openAtStop: 3, events: 0 },
    };
    const figures = figuresOf(seen(change), { metrics: ['cut', 'watchesCut'] }, limitMs);
    expect(figures).toEqual({ cut: { value: 4 }, watchesCut: { value: 1 } });
  });
});

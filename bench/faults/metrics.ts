// From what the clients of one trial saw to the figures of its row. Pure.
import type { EstablishedReport } from '../../test/support/faults/clients/established.ts';
import { type Call, isGood } from '../../test/support/faults/clients/target.ts';
import { durationMs, failed, longestGap } from '../../test/support/faults/measures.ts';
import type { Observation } from '../../test/support/faults/trial.ts';
import type { Figure, Unit } from './verdicts.ts';

export const metrics = {
  failedNew: { title: 'failed new connections', unit: 'count' },
  slowestNew: { title: 'slowest new connection', unit: 'ms' },
  gap: { title: 'longest established gap', unit: 'ms' },
  failedAsked: { title: 'failed questions on established connections', unit: 'count' },
  cut: { title: 'connections and watches cut', unit: 'count' },
  watchesCut: { title: 'watches cut early', unit: 'count' },
  firstAnswer: { title: 'first new connection served', unit: 'ms' },
  held: { title: 'longest wait for the reset during the outage', unit: 'ms' },
  handshakes: { title: 'check handshakes per API server and node', unit: 'per minute' },
  requests: { title: 'check requests per API server and node', unit: 'per minute' },
  cpu: { title: 'CPU of one API server for the checks of a node, of 10', unit: 'CPU s/node/h' },
  cpuFleet: { title: 'the same, of 1,000', unit: 'CPU s/node/h' },
} as const satisfies Record<string, { title: string; unit: Unit }>;

export type MetricId = keyof typeof metrics;
export type Figures = Partial<Record<MetricId, Figure>>;

export interface Judged {
  /** The row's metrics. */
  readonly metrics: readonly MetricId[];
  /** Only what was asked after this mark counts: before it no client could have been served. */
  readonly since?: string;
}

/** Without an answer for less than this at the end: the next question was not due yet, or just under way. */
const pauseMs = 1_000;

const rounded = (value: number, isAtLeast: boolean): Figure => ({
  value: Math.round(value),
  ...(isAtLeast && { isAtLeast: true }),
});

/**
 * New connections that count. Left out are those that came before the balancer listened, and those that were being
 * answered while the fault struck: the keys of their TLS sessions were with the lost API server.
 */
function judgedCalls({ newConnections, marks }: Observation, sinceMs: number): readonly Call[] {
  const { fault = 0, struck = fault } = marks;
  return newConnections.filter((call) => {
    const wasUnderWay = call.askedMs <= struck && call.doneMs >= fault;
    const wasEarly = call.error === 'ECONNREFUSED' && call.askedMs < (marks.start ?? 0);
    return call.askedMs >= sinceMs && !wasEarly && (isGood(call) || !wasUnderWay);
  });
}

/** A connection that failed was never served, however fast it failed: it took at least the time limit. */
function slowestNew(calls: readonly Call[], limitMs: number): Figure {
  const slowest = Math.max(
    0,
    ...calls.map((call) => (isGood(call) ? durationMs(call) : Math.max(limitMs, durationMs(call)))),
  );
  return rounded(slowest, failed(calls).length > 0);
}

function gapSince(report: EstablishedReport, sinceMs: number): Figure {
  const startedMs = Math.max(report.startedMs, sinceMs);
  const calls = report.calls.filter(({ doneMs }) => doneMs >= startedMs);
  // From the moment itself: whoever was without an answer at that time is so still.
  const begin: Call = { askedMs: startedMs, doneMs: startedMs, status: 200 };
  const gap = longestGap({
    ...report,
    startedMs,
    calls: sinceMs > report.startedMs ? [begin, ...calls] : calls,
  });
  return rounded(gap.lengthMs, gap.toMs === report.stoppedMs && gap.lengthMs > pauseMs);
}

/** The worst one; of equal ones the unfinished. */
function worst(figures: readonly Figure[]): Figure {
  return figures.reduce(
    (a, b) => (b.value > a.value || (b.value === a.value && b.isAtLeast) ? b : a),
    rounded(0, false),
  );
}

export function figuresOf(seen: Observation, judged: Judged, limitMs: number): Figures {
  const { marks, established, watches, newConnections } = seen;
  const { fault = 0, start = 0, stop = 0, watchesMayEnd = Number.POSITIVE_INFINITY } = marks;
  const sinceMs = judged.since === undefined ? 0 : (marks[judged.since] ?? 0);
  const calls = judgedCalls(seen, sinceMs);
  const lost = established.reduce((sum, { connections }) => sum + Math.max(0, connections - 1), 0);
  const measure: Partial<Record<MetricId, () => Figure>> = {
    failedNew: () => rounded(failed(calls).length, false),
    slowestNew: () => slowestNew(calls, limitMs),
    gap: () => worst(established.map((report) => gapSince(report, sinceMs))),
    failedAsked: () => rounded(established.flatMap((report) => failed(report.calls)).length, false),
    cut: () => rounded(lost + watches.ends.length, false),
    watchesCut: () =>
      rounded(watches.ends.filter(({ endedMs }) => endedMs < watchesMayEnd - 100).length, false),
    firstAnswer: () => {
      const from = Math.max(sinceMs, start);
      const served = newConnections.filter((call) => isGood(call) && call.doneMs > from);
      const first = Math.min(...served.map(({ doneMs }) => doneMs));
      return Number.isFinite(first) ? rounded(first - from, false) : rounded(stop - from, true);
    },
    held: () => {
      const during = newConnections.filter(({ askedMs, doneMs }) => askedMs > fault && doneMs < sinceMs);
      return rounded(Math.max(0, ...during.map(durationMs)), false);
    },
  };
  return Object.fromEntries(
    judged.metrics.flatMap((id) => {
      const figure = measure[id]?.();
      return figure ? [[id, figure]] : [];
    }),
  );
}

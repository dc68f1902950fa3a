// Numbers out of an observation. Pure.
import type { EstablishedReport } from './clients/established.ts';
import { type Call, isFailed, isGood } from './clients/target.ts';
import type { Observation } from './trial.ts';

export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
  readonly lengthMs: number;
}

/** The longest time between two good answers of a client, or after the last one. */
export function longestGap({ calls, startedMs, stoppedMs }: EstablishedReport): Gap {
  let longest: Gap = { fromMs: startedMs, toMs: startedMs, lengthMs: 0 };
  let fromMs = calls.find(isGood)?.doneMs ?? startedMs;
  const moments = [...calls.filter(isGood).map(({ doneMs }) => doneMs), stoppedMs];
  for (const toMs of moments) {
    if (toMs - fromMs > longest.lengthMs) longest = { fromMs, toMs, lengthMs: Math.round(toMs - fromMs) };
    fromMs = toMs;
  }
  return longest;
}

export function failed(calls: readonly Call[]): Call[] {
  return calls.filter(isFailed);
}

export function durationMs({ askedMs, doneMs }: Call): number {
  return doneMs - askedMs;
}

/** What a trial comes to, for reports. */
export interface Summary {
  readonly newConnections: number;
  readonly failedNew: number;
  readonly slowestNewMs: number;
  readonly longestGapMs: Readonly<Record<string, number>>;
  readonly failedEstablished: number;
  readonly reconnects: number;
  readonly watchesEnded: number;
  readonly stalledMs: number;
}

export function summarize(seen: Observation): Summary {
  const { newConnections, established, watches, marks, stalls } = seen;
  return {
    newConnections: newConnections.length,
    failedNew: failed(newConnections).length,
    slowestNewMs: Math.round(Math.max(0, ...newConnections.map(durationMs))),
    longestGapMs: Object.fromEntries(
      established.map((report, index) => [`${report.protocol}-${index}`, longestGap(report).lengthMs]),
    ),
    failedEstablished: established.reduce((sum, { calls }) => sum + failed(calls).length, 0),
    reconnects: established.reduce((sum, { connections }) => sum + connections - 1, 0),
    watchesEnded: watches.ends.length,
    stalledMs: stalls.between(marks.start ?? 0, marks.stop ?? 0),
  };
}

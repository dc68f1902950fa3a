// What a trial must have met, and the only excuse: the machine gave our processes no CPU. A time that is missed by less
// than the stall measured beside it (stalls.ts), or a count while the machine stood still, is measured again, twice at
// most; any other miss fails at once.
import { durationMs, failed, longestGap, summarize } from './measures.ts';
import { type Call, isGood } from './clients/target.ts';
import type { Observation } from './trial.ts';

export interface Bound {
  readonly what: string;
  readonly value: number;
  readonly atMost: number;
  /** When it happened, for the control. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Not milliseconds: only a standstill of the machine is an excuse. */
  readonly isCount?: true;
  readonly detail?: string;
}

/** Stall within half a second, over all processes, that is a standstill. */
const standstillMs = 1_000;
const maxTries = 3;

/** None of the calls failed. */
export function noneFailed(what: string, calls: readonly Call[]): Bound {
  const bad = failed(calls);
  return {
    what,
    value: bad.length,
    atMost: 0,
    fromMs: Math.min(...bad.map(({ askedMs }) => askedMs)),
    toMs: Math.max(...bad.map(({ doneMs }) => doneMs)),
    isCount: true,
    detail: `of ${calls.length}; ${JSON.stringify(bad.slice(0, 5))}`,
  };
}

/**
 * No new connection failed. One that was being answered while the fault struck is an established one: the first
 * bytes of its TLS session are the client's already, and its keys are with the lost API server.
 */
export function noNewFailed(seen: Observation): Bound {
  const { fault = 0, struck = fault } = seen.marks;
  const calls = seen.newConnections.filter((call) => {
    const wasUnderWay = call.askedMs <= struck && call.doneMs >= fault;
    return isGood(call) || !wasUnderWay;
  });
  return noneFailed('failed new connections', calls);
}

/** No established client was without an answer for longer. */
export function gapsWithin(seen: Observation, atMost: number): Bound[] {
  return seen.established.map((report) => {
    const { lengthMs, fromMs, toMs } = longestGap(report);
    return {
      what: `longest gap of the ${report.protocol} client (ms)`,
      value: lengthMs,
      atMost,
      fromMs,
      toMs,
    };
  });
}

/** Every new connection had its answer within that time. */
export function slowestWithin(calls: readonly Call[], atMost: number): Bound {
  const slowest = calls.reduce((slow, call) => (durationMs(call) > durationMs(slow) ? call : slow));
  const { askedMs, doneMs } = slowest;
  return {
    what: 'slowest new connection (ms)',
    value: Math.round(doneMs - askedMs),
    atMost,
    fromMs: askedMs,
    toMs: doneMs,
    detail: JSON.stringify(slowest),
  };
}

/** No connection of an established client was ended, and no watch. */
export function nothingClosed(seen: Observation): Bound[] {
  const lost = seen.established.reduce((sum, { connections }) => sum + connections - 1, 0);
  const { ends } = seen.watches;
  return [
    counted(seen, 'lost connections of established clients', lost, 0),
    counted(seen, 'watches ended', ends.length, 0, JSON.stringify(ends)),
  ];
}

/** From the moment until the first good new connection. */
export function firstSuccessWithin(seen: Observation, sinceMs: number, atMost: number): Bound {
  const first = seen.newConnections.filter((call) => isGood(call) && call.doneMs > sinceMs);
  const toMs = Math.min(...first.map(({ doneMs }) => doneMs));
  const value = Math.round(toMs - sinceMs);
  return { what: 'first success (ms)', value, atMost, fromMs: sinceMs, toMs };
}

/** No question on a connection that an established client keeps failed. */
export function noQuestionFailed(seen: Observation): Bound {
  const questions = seen.established.flatMap(({ calls }) => failed(calls));
  const detail = JSON.stringify(questions);
  return counted(seen, 'failed questions of established clients', questions.length, 0, detail);
}

/** No watch ended before its API server may end it (mark `watchesMayEnd`); without the mark, none at all. */
export function noWatchCutEarly(seen: Observation): Bound {
  const { watchesMayEnd = Number.POSITIVE_INFINITY } = seen.marks;
  const early = seen.watches.ends.filter(({ endedMs }) => endedMs < watchesMayEnd - 100);
  return counted(seen, 'watches cut early', early.length, 0, JSON.stringify(early));
}

/** Something counted over the whole trial. */
export function counted(seen: Observation, what: string, value: number, atMost: number, detail = ''): Bound {
  const { start = 0, stop = 0 } = seen.marks;
  return { what, value, atMost, fromMs: start, toMs: stop, isCount: true, detail };
}

/** Runs the trial until its bounds are met or a miss has no excuse. */
export async function holds(
  name: string,
  run: () => Promise<Observation>,
  bounds: (seen: Observation) => readonly Bound[],
): Promise<Observation> {
  for (let attempt = 1; ; attempt += 1) {
    const seen = await run();
    const all = bounds(seen);
    const missed = all.filter(({ value, atMost }) => !(value <= atMost));
    report(name, seen, all);
    if (missed.length === 0) return seen;
    const isExcused = missed.every(({ value, atMost, fromMs, toMs, isCount }) =>
      isCount
        ? seen.stalls.worstBetween(fromMs, toMs) >= standstillMs
        : seen.stalls.between(fromMs, toMs) >= value - atMost,
    );
    const text = missed.map((miss) => describe(seen, miss)).join('\n');
    if (!isExcused || attempt === maxTries) throw new Error(`${name}:\n${text}\n${tail(seen)}`);
    process.stdout.write(`  ${name}: once more, the machine stalled\n${text}\n`);
  }
}

function describe(seen: Observation, { what, value, atMost, fromMs, toMs, detail = '' }: Bound): string {
  const { start = 0 } = seen.marks;
  const moment = Number.isFinite(fromMs)
    ? `from ${Math.round(fromMs - start)} to ${Math.round(toMs - start)} ms after the start; stalled ${seen.stalls.between(fromMs, toMs)} ms, at worst ${seen.stalls.worstBetween(fromMs, toMs)} in 500`
    : '';
  return `  ${what}: ${value}, at most ${atMost} (${moment}) ${detail}`;
}

function tail(seen: Observation): string {
  const { start = 0, ...others } = seen.marks;
  const marks = Object.entries(others).map(([name, at]) => `${name} ${Math.round(at - start)}`);
  return `  victim ${seen.victim}; marks: ${marks.join(', ')} ms\n  log:\n${seen.log.slice(-40).join('\n')}`;
}

function report(name: string, seen: Observation, bounds: readonly Bound[]): void {
  const {
    newConnections,
    failedNew,
    slowestNewMs,
    longestGapMs,
    failedEstablished,
    watchesEnded,
    stalledMs,
  } = summarize(seen);
  const gaps = Object.entries(longestGapMs).map(([client, ms]) => `${client} ${ms}`);
  const more = bounds.map(({ what, value, atMost }) => `${what} ${value}/${atMost}`);
  process.stdout.write(
    `  ${name}: new ${newConnections}, failed ${failedNew}, slowest ${slowestNewMs} ms; gaps ${gaps.join(', ')} ms; ` +
      `failed questions ${failedEstablished}; watches ended ${watchesEnded}; stalled ${stalledMs} ms\n` +
      `    ${more.join('; ')}\n`,
  );
}

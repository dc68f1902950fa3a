// When established tunnels are closed by judgement. Pure: looks at one endpoint with tunnels among all the
// others and says what is due. Nothing is closed unless there is somewhere better to go. The rules and the
// measurements behind them: docs/health.md, "When tunnels are closed".
import type { HealthState } from '../health/verdict.ts';

export interface ClosePolicyOptions {
  /** How long an endpoint is `unready`, or absent from discovery, before its tunnels drain. */
  readonly unreadyAfterMs: number;
  /**
   * How long another endpoint must have been ready without a break before anything drains: after an etcd
   * outage API servers come back one after the other, and not all clients may land on the first. For a sick one it
   * is the time before its trouble that counts.
   */
  readonly betterReadyForMs: number;
  /** Tunnels that do not fall quiet are closed at jittered moments within this time. */
  readonly windowMs: number;
  /** How long a stopping endpoint may keep its tunnels, because it ends them itself. */
  readonly shutdownWindowMs: number;
  /** Bad probes in a row before a drain. */
  readonly fall: number;
}

/** How long a client's bytes may stay unanswered by an endpoint that refuses new connections. */
export const unansweredLimitMs = 10_000;
/** From the verdict on a sick endpoint to the question to the others that decides. */
export const confirmAfterMs = 800;
/** The same after a silence, which has lasted for 1.6 s by then. */
export const confirmAfterSilenceMs = 600;
/** Tunnels of a sick endpoint are closed at jittered moments within this time. */
export const sickWindowMs = 400;
/** What went wrong elsewhere within this time before the trouble may be the same trouble. */
export const sharedWithinMs = 10_000;

export type CloseDecision =
  /** `askAtMs`: more is due when the other endpoints have answered a question asked from then on. */
  | { readonly action: 'keep'; readonly askAtMs?: number }
  /** Both sides of every tunnel, now: the endpoint is dead. */
  | { readonly action: 'reset' }
  | { readonly action: 'drain'; readonly windowMs: number }
  /** Those whose client's bytes, sent after `sinceMs`, have been unanswered for that long. */
  | { readonly action: 'reset-unanswered'; readonly olderThanMs: number; readonly sinceMs: number };

export interface Holder {
  readonly state: HealthState;
  /** When discovery dropped it; undefined while it is listed. */
  readonly removedAtMs?: number;
}

interface Situation extends Holder {
  readonly others: readonly HealthState[];
  readonly nowMs: number;
  readonly options: ClosePolicyOptions;
}

const keep: CloseDecision = { action: 'keep' };
const never = Number.NEGATIVE_INFINITY;

/**
 * When our own network is down everything looks dead, and when it returns the endpoints come back in turn. So
 * `other` must have answered since the trouble began, and `dead` must have failed once more since `other` is ready.
 */
function isProvenBetter(other: HealthState, dead: HealthState): boolean {
  const troubleSinceMs = dead.troubleSinceMs ?? dead.sinceMs;
  const hasAnswered = other.verdict === 'ready' && (other.lastGoodMs ?? never) >= troubleSinceMs;
  return hasAnswered && (dead.lastBadMs ?? dead.sinceMs) >= other.sinceMs;
}

function beganMs({ sinceMs, troubleSinceMs = sinceMs }: HealthState): number {
  return Math.min(sinceMs, troubleSinceMs);
}

/** Tunnels could go there, and it has been up since `sinceMs` at the latest. */
function isUpSince(other: HealthState, sinceMs: number, nowMs: number): boolean {
  const { verdict, upSinceMs = Number.POSITIVE_INFINITY, heldUntilMs } = other;
  return verdict === 'ready' && heldUntilMs <= nowMs && upSinceMs <= sinceMs;
}

/** When another endpoint was last in a trouble that may be that of `state`; undefined: it is alone. */
function sharedTroubleMs(state: HealthState, others: readonly HealthState[]): number | undefined {
  if (state.sickness !== 'shared') return undefined;
  const moments = others.map((other) =>
    Math.max(other.lastLateMs ?? never, other.sickness === 'shared' ? beganMs(other) : never),
  );
  const latestMs = Math.max(never, ...moments);
  return latestMs >= beganMs(state) - sharedWithinMs ? latestMs : undefined;
}

/**
 * One API server is sick and answers, others were well before: its tunnels leave at once, when the others have proved
 * that they are well still. Undefined: that case is not given.
 */
function planSick({ state, others, nowMs, options }: Situation): CloseDecision | undefined {
  const { sickness, badInRow, suspicion, sinceMs } = state;
  if (state.verdict !== 'unready' || sickness === undefined || badInRow === 0) return undefined;
  if (sharedTroubleMs(state, others) !== undefined) return undefined;
  const better = others.filter((o) => isUpSince(o, beganMs(state) - options.betterReadyForMs, nowMs));
  if (better.length === 0) return undefined;
  const isSilent = state.reason.code === 'L7TOUT';
  const askAtMs = sinceMs + (isSilent ? confirmAfterSilenceMs : confirmAfterMs);
  const proven = better.filter(({ promptAskedMs = never }) => promptAskedMs >= askAtMs);
  // Of one etcd that is lost to all, one API server may still answer from memory; hardly all of them.
  const isProven = sickness === 'shared' ? proven.length === better.length : proven.length > 0;
  const isStillSick = badInRow >= 2 || suspicion !== undefined;
  return isProven && isStillSick ? { action: 'drain', windowMs: sickWindowMs } : { action: 'keep', askAtMs };
}

/** Unready, or dropped by discovery, for a while: it drains slowly. */
function planSlow({ state, removedAtMs, others, nowMs, options }: Situation): CloseDecision {
  const isUnready = state.verdict === 'unready' && state.badInRow >= options.fall;
  const sinceMs = Math.min(isUnready ? state.sinceMs : Infinity, removedAtMs ?? Infinity);
  if (sinceMs === Infinity) return keep;
  const askAtMs = Math.max(sinceMs, sharedTroubleMs(state, others) ?? never) + options.unreadyAfterMs;
  const better = others.filter((other) => isUpSince(other, nowMs - options.betterReadyForMs, nowMs));
  if (better.length === 0) return keep;
  const isProven = nowMs >= askAtMs && better.some(({ lastGoodMs = never }) => lastGoodMs >= askAtMs);
  return isProven ? { action: 'drain', windowMs: options.windowMs } : { action: 'keep', askAtMs };
}

/** What is due for the tunnels of `holder`, given all other listed endpoints. */
export function planClose(
  holder: Holder,
  others: readonly HealthState[],
  nowMs: number,
  options: ClosePolicyOptions,
): CloseDecision {
  const { state, removedAtMs } = holder;
  if (state.verdict === 'dead') {
    return others.some((other) => isProvenBetter(other, state)) ? { action: 'reset' } : keep;
  }
  // Its watches live on for up to a minute after it stopped listening, and end with its process.
  const isRefusing = state.verdict === 'unready' && state.reason.code === 'L4CON';
  const isStopping = state.verdict === 'unready' && (isRefusing || state.isShuttingDown);
  const stoppingMs = nowMs - Math.min(state.sinceMs, removedAtMs ?? Infinity);
  if (isStopping && (stoppingMs < options.shutdownWindowMs || (isRefusing && removedAtMs === undefined))) {
    if (!isRefusing) return keep;
    return { action: 'reset-unanswered', olderThanMs: unansweredLimitMs, sinceMs: state.sinceMs };
  }
  const situation = { ...holder, others, nowMs, options };
  return (isStopping ? undefined : planSick(situation)) ?? planSlow(situation);
}

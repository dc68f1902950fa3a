// When established tunnels are closed by judgement. Pure: looks at one endpoint with tunnels among all the
// others and says what is due. Nothing is closed unless there is somewhere better to go.
import type { HealthState } from '../health/verdict.ts';

export interface ClosingOptions {
  /** How long an endpoint is `unready`, or absent from discovery, before its tunnels drain. */
  readonly unreadyAfterMs: number;
  /**
   * How long another endpoint must have been ready without a break before anything drains: after an etcd
   * outage API servers come back one after the other, and not everybody may land on the first.
   */
  readonly betterReadyForMs: number;
  /** Tunnels that do not fall quiet are closed at jittered moments within this time. */
  readonly windowMs: number;
  /** The same for an endpoint that is stopping politely: only its `shutdown` check fails, or it left and refuses. */
  readonly shutdownWindowMs: number;
  /** Bad probes in a row before a drain. */
  readonly fall: number;
}

/** How long a client's bytes may stay unanswered by an endpoint that refuses new connections. */
export const unansweredLimitMs = 10_000;

export type Closing =
  | { readonly action: 'keep' }
  /** Both sides of every tunnel, now: nobody lives there. */
  | { readonly action: 'reset' }
  | { readonly action: 'drain'; readonly windowMs: number }
  /** Those whose client's bytes, sent after `sinceMs`, have been unanswered for that long. */
  | { readonly action: 'reset-unanswered'; readonly olderThanMs: number; readonly sinceMs: number };

export interface Holder {
  readonly state: HealthState;
  /** When discovery dropped it; undefined while it is listed. */
  readonly removedAtMs?: number;
}

const keep: Closing = { action: 'keep' };

/**
 * When our own network is down everything looks dead, and when it returns the endpoints come back in turn. So
 * `other` must have answered since the trouble began, and `dead` must have failed once more since `other` is ready.
 */
function isProvenBetter(other: HealthState, dead: HealthState): boolean {
  const troubleSinceMs = dead.troubleSinceMs ?? dead.sinceMs;
  const hasAnswered =
    other.verdict === 'ready' && (other.lastGoodMs ?? Number.NEGATIVE_INFINITY) >= troubleSinceMs;
  return hasAnswered && (dead.lastBadMs ?? dead.sinceMs) >= other.sinceMs;
}

/** What is due for the tunnels of `holder`, given all other listed endpoints. */
export function planClosing(
  holder: Holder,
  others: readonly HealthState[],
  nowMs: number,
  options: ClosingOptions,
): Closing {
  const { state, removedAtMs } = holder;
  if (state.verdict === 'dead') {
    return others.some((other) => isProvenBetter(other, state)) ? { action: 'reset' } : keep;
  }
  const isRefusing = state.verdict === 'unready' && state.reason.code === 'L4CON';
  // Its watches live on for up to a minute after it stopped listening, and end with its process.
  if (isRefusing && removedAtMs === undefined) {
    return { action: 'reset-unanswered', olderThanMs: unansweredLimitMs, sinceMs: state.sinceMs };
  }
  const isUnready = state.verdict === 'unready' && state.badInRow >= options.fall;
  const sinceMs = Math.min(isUnready ? state.sinceMs : Infinity, removedAtMs ?? Infinity);
  if (nowMs - sinceMs < options.unreadyAfterMs || sinceMs === Infinity) return keep;
  const isBetter = others.some((o) => o.verdict === 'ready' && nowMs - o.sinceMs >= options.betterReadyForMs);
  if (!isBetter) return keep;
  const isPolite = state.isShuttingDown || isRefusing;
  return { action: 'drain', windowMs: isPolite ? options.shutdownWindowMs : options.windowMs };
}

// The verdict state machine: what one endpoint's probes and signals mean. Pure: a state and an event
// give the next state; time comes with the event. The rules and their measurements: docs/health.md.
import type { CertificateFault } from '../model/certificate-fault.ts';
import type { Reason, ReasonCode, Verdict } from '../model/snapshot.ts';
import { isStopping, type Sickness, sicknessOf } from './sickness.ts';
import { type Backoff, grownMs } from '../lib/backoff.ts';

export interface VerdictOptions {
  /** Good probes in a row that make an `unready` or `dead` endpoint `ready` again. */
  readonly rise: number;
  /**
   * How long an endpoint must have answered without a break before a 401 or 403 counts as "alive,
   * readiness not visible": a starting kube-apiserver answers 403 for a moment, then 500.
   */
  readonly startupGraceMs: number;
}

/** What one probe found. */
export type ProbeResult =
  /** An HTTP answer (or, for a TCP check, a connection). */
  | {
      readonly kind: 'answered';
      readonly isExpected: boolean;
      /** The answer came over TLS whose certificate was verified: its chain, and the endpoint's name. */
      readonly isVerified?: boolean;
      /** Why it could not be verified, where the configuration asks for it. */
      readonly unverified?: string;
      readonly status?: number;
      /** Failing checks by name, from Kubernetes' `[-]name` lines. */
      readonly failing?: readonly string[];
      /** What the answer says is wrong, in its own words. */
      readonly text?: string;
    }
  /** The host's kernel reported that no process listens. */
  | { readonly kind: 'refused' }
  /** Something answered, but not as an API server does: a bad certificate, not TLS, not HTTP, a reset. */
  | {
      readonly kind: 'broken';
      readonly layer: 4 | 6 | 7;
      readonly text: string;
      /** What is wrong is the certificate. */
      readonly fault?: CertificateFault;
    }
  /**
   * No answer in time, at this layer: 4 no TCP connection, 6 no TLS handshake, 7 TLS works and no answer.
   * Reported only when fresh connections have failed so.
   */
  | { readonly kind: 'silent'; readonly layer: 4 | 6 | 7; readonly text?: string };

export type HealthEvent =
  | {
      readonly type: 'probed';
      readonly nowMs: number;
      readonly bytesDown: number;
      readonly result: ProbeResult;
      /** It came over a connection that was opened for it, with a full handshake. */
      readonly isFresh?: boolean;
      /** When the probe began; absent: just now. */
      readonly askedMs?: number;
    }
  /** Something is late (a probe, a dial, a client's first flight): no proof, but others are preferred now. */
  | {
      readonly type: 'suspected';
      readonly nowMs: number;
      readonly bytesDown: number;
      readonly reason: Reason;
    }
  /** A client's dial was refused: as good as a refused probe. */
  | { readonly type: 'dial-refused'; readonly nowMs: number };

export interface HealthState {
  readonly verdict: Verdict;
  readonly reason: Reason;
  /** Since when the verdict holds (clock milliseconds, like all times here). */
  readonly sinceMs: number;
  readonly goodInRow: number;
  readonly badInRow: number;
  /** Answers of any kind without a break since then; undefined while there are none. */
  readonly answeringSinceMs?: number;
  /** When the current suspicion began, and what the endpoint had sent by then. */
  readonly suspicion?: { readonly sinceMs: number; readonly bytesDown: number };
  /** The last good probe. */
  readonly lastGoodMs?: number;
  /** The last probe or dial that was not good. */
  readonly lastBadMs?: number;
  /** The first bad sign since the last good probe; undefined while there is none. */
  readonly troubleSinceMs?: number;
  /** The latest answer came over verified TLS; false before the first answer. */
  readonly isVerified: boolean;
  /** The latest answer could not be verified, though the configuration asks for it. */
  readonly isUnverified: boolean;
  /** The latest answer over a connection that was opened for it: its certificate was good then, too. */
  readonly provedMs?: number;
  /** Why the latest handshake failed, where that was the certificate. Established tunnels are not touched by it. */
  readonly fault?: CertificateFault;
  /** When an answer last came over verified TLS. */
  readonly verifiedMs?: number;
  /** Ready since then, but for passing suspicions; undefined while it is not. */
  readonly upSinceMs?: number;
  /** When the last good answer that was not late was asked for. */
  readonly promptAskedMs?: number;
  /** The last time that something was late. */
  readonly lastLateMs?: number;
  /** Good answers in a row before which something was late; kept until `promptNeeded` good ones in a row were not. */
  readonly lateInRow: number;
  readonly promptInRow: number;
  /** What the last probe says an endpoint that answers suffers from. */
  readonly sickness?: Sickness;
  /** The `shutdown` check fails: it is stopping, and ends its streams itself. */
  readonly isShuttingDown: boolean;
  /** When it went from usable to not usable, latest last; at most `maxFlips`, none older than `flipMemoryMs`. */
  readonly flipsMs: readonly number[];
  /** An endpoint that flips often takes no new tunnels before then, unless it is the only one. */
  readonly heldUntilMs: number;
}

/** The second late answer in a row says that it is slow; one alone may be a garbage collection. */
const lateNeeded = 2;
/** As many prompt answers in a row say that it no longer is. */
const promptNeeded = 2;
const slowText = 'slow: answers late';

const maxFlips = 10;
const flipMemoryMs = 600_000;
const hold: Backoff = { firstMs: 5_000, capMs: 60_000 };
/** Flips within `flipMemoryMs` that cost nothing: a restart, and one more. */
const freeFlips = 2;

export function initialHealth(nowMs: number): HealthState {
  return {
    verdict: 'unknown',
    reason: { code: 'INI', text: 'not checked yet' },
    sinceMs: nowMs,
    goodInRow: 0,
    badInRow: 0,
    isVerified: false,
    isUnverified: false,
    isShuttingDown: false,
    lateInRow: 0,
    promptInRow: 0,
    flipsMs: [],
    heldUntilMs: 0,
  };
}

const layerCodes: Record<'broken' | 'silent', Record<4 | 6 | 7, ReasonCode>> = {
  broken: { 4: 'L4CON', 6: 'L6RSP', 7: 'L7RSP' },
  silent: { 4: 'L4TOUT', 6: 'L6TOUT', 7: 'L7TOUT' },
};

/** 401 and 403 say that someone answers and nothing of readiness. */
function isNotVisible(status: number | undefined): boolean {
  return status === 401 || status === 403;
}

/** The reason that a result is shown with. */
export function reasonOf(result: ProbeResult): Reason {
  switch (result.kind) {
    case 'answered': {
      if (result.status === undefined) return { code: 'L4OK' };
      const { status, unverified } = result;
      const doubt = unverified === undefined ? [] : [`unverified: ${unverified}`];
      if (result.isExpected || isNotVisible(status)) {
        const text = [...(result.isExpected ? [] : ['readiness not visible']), ...doubt].join(', ');
        return { code: 'L7OK', status, ...(text !== '' && { text }) };
      }
      const { failing = [] } = result;
      const text = result.text ?? (failing.length > 0 ? `${failing.join(', ')} failed` : undefined);
      return { code: 'L7STS', status, ...(text !== undefined && { text }) };
    }
    case 'refused':
      return { code: 'L4CON', text: 'refused' };
    case 'broken':
    case 'silent':
      return {
        code: layerCodes[result.kind][result.layer],
        ...(result.text !== undefined && { text: result.text }),
      };
  }
}

/** The state without its suspicion: a byte has come, or the end is certain. */
function cleared({ suspicion: _, ...rest }: HealthState): HealthState {
  return rest;
}

/** The state of an endpoint that has stopped answering. */
function unanswering({ answeringSinceMs: _, ...rest }: HealthState): HealthState {
  return rest;
}

/** The state with the moments of its first and its latest bad sign. */
function troubled(state: HealthState, nowMs: number): HealthState {
  return { ...state, troubleSinceMs: state.troubleSinceMs ?? nowMs, lastBadMs: nowMs };
}

function moveTo(state: HealthState, verdict: Verdict, reason: Reason, nowMs: number): HealthState {
  if (state.verdict === verdict) return { ...state, reason };
  const wasGood = state.verdict === 'ready' || state.verdict === 'suspect';
  const isFlip = wasGood && (verdict === 'unready' || verdict === 'dead');
  const flipsMs = isFlip
    ? [...state.flipsMs.filter((at) => nowMs - at < flipMemoryMs), nowMs].slice(-maxFlips)
    : state.flipsMs;
  const { upSinceMs, ...rest } = state;
  const sinceMs = verdict === 'ready' ? (upSinceMs ?? nowMs) : verdict === 'suspect' ? upSinceMs : undefined;
  const up = sinceMs !== undefined && { upSinceMs: sinceMs };
  return { ...rest, verdict, reason, sinceMs: nowMs, flipsMs, ...up };
}

function holdMs(flips: readonly number[], nowMs: number): number {
  const recent = flips.filter((at) => nowMs - at < flipMemoryMs).length;
  return recent <= freeFlips ? 0 : grownMs(recent - freeFlips, hold);
}

/**
 * It answers well and late, one time after the other: it stays `suspect`, so that others are preferred, in place of a
 * verdict that changes with every check.
 */
export function isSlow({ lateInRow }: Pick<HealthState, 'lateInRow'>): boolean {
  return lateInRow >= lateNeeded;
}

/** Counts a good answer as late or prompt. */
function countedLateness(state: HealthState): Pick<HealthState, 'lateInRow' | 'promptInRow'> {
  if (state.suspicion !== undefined) return { lateInRow: state.lateInRow + 1, promptInRow: 0 };
  const promptInRow = state.promptInRow + 1;
  return { lateInRow: promptInRow >= promptNeeded ? 0 : state.lateInRow, promptInRow };
}

function good(
  state: HealthState,
  reason: Reason,
  { nowMs, askedMs }: { nowMs: number; askedMs: number },
  { rise }: VerdictOptions,
): HealthState {
  const { troubleSinceMs: _, sickness: _sickness, ...untroubled } = cleared(state);
  const counted: HealthState = {
    ...untroubled,
    ...(state.suspicion === undefined && { promptAskedMs: askedMs }),
    ...countedLateness(state),
    goodInRow: state.goodInRow + 1,
    badInRow: 0,
    lastGoodMs: nowMs,
    isShuttingDown: false,
  };
  const isReturning = state.verdict === 'unready' || state.verdict === 'dead';
  if (!isReturning && isSlow(counted)) {
    const text = reason.text === undefined ? slowText : `${slowText}, ${reason.text}`;
    return moveTo(counted, 'suspect', { ...reason, text }, nowMs);
  }
  if (!isReturning) return moveTo(counted, 'ready', reason, nowMs);
  if (counted.goodInRow < rise) {
    return { ...counted, reason: { ...reason, text: `${counted.goodInRow} of ${rise} successful checks` } };
  }
  return { ...moveTo(counted, 'ready', reason, nowMs), heldUntilMs: nowMs + holdMs(state.flipsMs, nowMs) };
}

function bad(
  state: HealthState,
  verdict: Verdict,
  reason: Reason,
  nowMs: number,
  sickness?: Sickness,
): HealthState {
  const { sickness: _, ...rest } = troubled(cleared(state), nowMs);
  const counted = {
    ...rest,
    goodInRow: 0,
    badInRow: state.badInRow + 1,
    lateInRow: 0,
    promptInRow: 0,
    ...(sickness !== undefined && { sickness }),
  };
  return moveTo(counted, verdict, reason, nowMs);
}

function answered(
  state: HealthState,
  result: Extract<ProbeResult, { kind: 'answered' }>,
  { nowMs, askedMs = nowMs }: { nowMs: number; askedMs?: number },
  options: VerdictOptions,
): HealthState {
  const reason = reasonOf(result);
  const times = { nowMs, askedMs };
  const answeringSinceMs = state.answeringSinceMs ?? nowMs;
  const isVerified = result.isVerified === true;
  const isUnverified = result.unverified !== undefined;
  const known = {
    ...state,
    answeringSinceMs,
    isVerified,
    isUnverified,
    ...(isVerified && { verifiedMs: nowMs }),
  };
  if (result.isExpected) return good(known, reason, times, options);
  if (isNotVisible(result.status)) {
    if (nowMs - answeringSinceMs >= options.startupGraceMs) return good(known, reason, times, options);
    // Starting, or of a cluster that hides readiness: time will tell. Meanwhile nothing gets worse, and
    // an endpoint that was ready stays so (credentials may be rotating).
    const verdict = state.verdict === 'suspect' ? 'ready' : state.verdict;
    const shown = verdict === 'ready' ? reason : { ...reason, text: 'starting, or readiness not visible' };
    return moveTo(cleared(known), verdict, shown, nowMs);
  }
  const isShuttingDown = isStopping(result.failing ?? []);
  return bad({ ...known, isShuttingDown }, 'unready', reason, nowMs, sicknessOf(result));
}

function silent(
  state: HealthState,
  result: Extract<ProbeResult, { kind: 'silent' }>,
  { nowMs, bytesDown }: { nowMs: number; bytesDown: number },
): HealthState {
  const reason = reasonOf(result);
  // TLS works: someone lives there, however slow /readyz is (with etcd down it takes 2 to 4 s).
  if (result.layer === 7) return bad(state, 'unready', reason, nowMs, sicknessOf(result));
  const isProven = state.verdict === 'dead' || bytesDown === state.suspicion?.bytesDown;
  if (isProven) return bad(unanswering(state), 'dead', reason, nowMs);
  // It has said something since, or it was not suspected yet: check again before closing anything.
  const verdict = state.verdict === 'unready' ? 'unready' : 'suspect';
  const counted = { ...troubled(state, nowMs), goodInRow: 0, badInRow: state.badInRow + 1 };
  return { ...moveTo(counted, verdict, reason, nowMs), suspicion: { sinceMs: nowMs, bytesDown } };
}

/** It was unready or dead, and has not been proved since: only the connection from before says that it is back. */
export function isUnproven({ provedMs, flipsMs }: HealthState): boolean {
  return provedMs === undefined || (flipsMs.at(-1) ?? provedMs) > provedMs;
}

/** The next state. Never throws. */
export function judge(state: HealthState, event: HealthEvent, options: VerdictOptions): HealthState {
  const { nowMs } = event;
  switch (event.type) {
    case 'dial-refused':
      return bad(unanswering(state), 'unready', reasonOf({ kind: 'refused' }), nowMs);
    case 'suspected': {
      if (state.verdict === 'dead') return state;
      const suspicion = state.suspicion ?? { sinceMs: nowMs, bytesDown: event.bytesDown };
      const late = { ...state, lastLateMs: nowMs };
      if (state.verdict === 'unready') return { ...late, suspicion };
      const isKnown = state.verdict === 'suspect' && isSlow(state);
      const reason = isKnown ? state.reason : event.reason;
      return { ...moveTo(troubled(late, nowMs), 'suspect', reason, nowMs), suspicion };
    }
    case 'probed': {
      const { result, isFresh } = event;
      const { fault: _, ...faultless } = state;
      if (result.kind === 'answered') {
        const proven = isFresh ? { ...faultless, provedMs: nowMs } : faultless;
        return answered(proven, result, event, options);
      }
      if (result.kind === 'silent') return silent(faultless, result, event);
      const found = result.kind === 'broken' && result.fault ? { fault: result.fault } : {};
      return bad({ ...unanswering(faultless), ...found }, 'unready', reasonOf(result), nowMs);
    }
  }
}

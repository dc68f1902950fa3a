// Time and chance as things that are passed in, so that the state machines run in tests
// without sockets and without waiting.

/** A pending timer; `cancel` is idempotent and nothing fires after it. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds; only differences mean something. */
  nowMs(): number;
  /** Milliseconds since the epoch, for people and for files. */
  wallMs(): number;
  /** Calls `fn` once after `delayMs`. Never keeps the process alive by itself. */
  schedule(delayMs: number, fn: () => void): Timer;
  /** Calls `fn` after the next poll phase: whatever has arrived by now has been read by then. */
  afterPoll(fn: () => void): void;
}

/** A number in [0, 1). */
export type Random = () => number;

/** `baseMs` plus or minus up to `fraction` of it. */
export function jittered(baseMs: number, fraction: number, random: Random): number {
  return baseMs * (1 + fraction * (2 * random() - 1));
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  schedule(delayMs, fn) {
    const handle = setTimeout(fn, delayMs);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
  afterPoll(fn) {
    // A timer callback runs before the poll phase of its loop turn, an immediate after it; the second
    // immediate is one full poll later even when the first was queued from within the poll phase.
    setImmediate(() => setImmediate(fn));
  },
};

/** Longest lateness of a timer (ms) with which its deadline still says something about the peer. */
export const maxJudgingLagMs = 100;

/**
 * A deadline that judges the peer and not ourselves. When it is due, one more poll phase runs, so that
 * an answer that has arrived is read first; then `onExpired` is called, or `onVoid` when our own event
 * loop (or a stopped process) made the timer late by more than `maxJudgingLagMs`.
 */
export function judgeAfter(
  clock: Clock,
  delayMs: number,
  { onExpired, onVoid }: { onExpired: () => void; onVoid: () => void },
): Timer {
  const dueMs = clock.nowMs() + delayMs;
  let isCancelled = false;
  const timer = clock.schedule(delayMs, () => {
    const lagMs = clock.nowMs() - dueMs;
    clock.afterPoll(() => {
      if (isCancelled) return;
      isCancelled = true;
      if (lagMs > maxJudgingLagMs) onVoid();
      else onExpired();
    });
  });
  return {
    cancel() {
      isCancelled = true;
      timer.cancel();
    },
  };
}

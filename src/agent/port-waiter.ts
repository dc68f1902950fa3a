// Binds addresses that another process may still hold: tries once and, where waiting is allowed, continues in the
// background, so that everything else of the agent is up when the port comes free. Owns the list of what is
// waited for.
import type { Logger } from 'pino';
import type { Clock, Timer } from '../model/clock.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import { codeOf, messageOf } from '../model/error-text.ts';

export interface PortWaiterDeps {
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** 0: a port in use is an error at once; Infinity: waits without end. */
  readonly limitMs: number;
  /** A port did not come free in time, or could not be taken for another reason. */
  readonly failed: (error: unknown) => void;
}

/**
 * Between two tries: soon in the first minute, when a take-over is expected, then seldom. As long may clients be refused
 * when the holder goes, so seldom is not long: kubelet tries again after a second.
 */
const soonMs = [10, 20, 50] as const;
const takeOverMs = 60_000;
const laterMs = 250;
/** An address of an optional listener: most hosts that lack it never get it (no IPv6). */
const leftOutMs = 5_000;
/** How often the log says that it still waits. */
const remindMs = 60_000;

export interface TakeOptions {
  /** The host may lack the address now, and get it later (a VIP): then it is waited for without end. */
  readonly mayLackAddress?: boolean;
}

/** What `bind` rejects with to be retried later: the address could be shared, but must not be yet. */
export class HeldBack extends Error {}

/** What `bind` rejects with where the host lacks the address of an optional listener: it may get it later. */
export class LeftOut extends Error {}

const isAbsent = (error: unknown) =>
  error instanceof FairleadError && codeOf(error.cause) === 'EADDRNOTAVAIL';
const isInUse = (error: unknown) => error instanceof FairleadError && error.code === 'LISTEN_IN_USE';

export class PortWaiter {
  readonly #deps: PortWaiterDeps;
  readonly #timers = new Map<string, Timer>();
  /** Those of them that the host does not have. */
  readonly #absent = new Set<string>();
  /** Those of them that could be shared, and are not to be yet. */
  readonly #heldBack = new Set<string>();
  /** Those of them that an optional listener is to have: waiting for them is not logged. */
  readonly #leftOut = new Set<string>();
  #isStopped = false;
  /** The clock's timers let the process end; while it has no address yet, nothing else may hold it. */
  #hold: NodeJS.Timeout | undefined;

  constructor(deps: PortWaiterDeps) {
    this.#deps = deps;
  }

  /** Addresses that another process holds. */
  get waitingFor(): readonly string[] {
    return [...this.#timers.keys()].filter(
      (where) => !this.#absent.has(where) && !this.#heldBack.has(where) && !this.#leftOut.has(where),
    );
  }

  /** Addresses that the host does not have. */
  get absent(): readonly string[] {
    return [...this.#absent];
  }

  /** Addresses that are not taken yet, though they could be shared. */
  get heldBack(): readonly string[] {
    return [...this.#heldBack];
  }

  /** Resolves when `bind` has worked, or is tried again in the background; rejects when it failed for good. */
  async take(
    address: HostPort,
    bind: () => Promise<void>,
    { mayLackAddress = false }: TakeOptions = {},
  ): Promise<void> {
    try {
      await bind();
    } catch (error) {
      const { limitMs, clock, log } = this.#deps;
      const where = formatHostPort(address);
      if (error instanceof LeftOut) {
        this.#leftOut.add(where);
        log.info({ address: where }, 'address not available: listener left out until it is');
      } else if (error instanceof HeldBack) {
        this.#heldBack.add(where);
        log.info(
          { address: where },
          'another agent uses the address: it is not shared until an endpoint has passed a check',
        );
      } else if (mayLackAddress && isAbsent(error)) {
        this.#absent.add(where);
        log.info({ address: where }, 'this host does not have the address: waiting for it');
      } else {
        if (limitMs === 0 || !isInUse(error)) throw error;
        log.warn({ address: where }, 'address is in use: waiting for it');
      }
      if (this.#timers.size === 0) this.#hold = setInterval(() => {}, remindMs);
      this.#plan(where, bind, {
        sinceMs: clock.nowMs(),
        remindedMs: clock.nowMs(),
        tries: 0,
        mayLackAddress,
      });
    }
  }

  /** Waits for nothing any more. Idempotent. */
  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    this.#absent.clear();
    this.#heldBack.clear();
    this.#leftOut.clear();
    clearInterval(this.#hold);
  }

  #plan(where: string, bind: () => Promise<void>, wait: Wait): void {
    const { clock } = this.#deps;
    const waitedMs = clock.nowMs() - wait.sinceMs;
    const soonOrLaterMs = waitedMs < takeOverMs ? (soonMs[wait.tries] ?? soonMs[2]) : laterMs;
    const delayMs = this.#leftOut.has(where) ? leftOutMs : soonOrLaterMs;
    this.#timers.set(
      where,
      clock.schedule(delayMs, () => void this.#try(where, bind, { ...wait, tries: wait.tries + 1 })),
    );
  }

  async #try(where: string, bind: () => Promise<void>, wait: Wait): Promise<void> {
    const { clock, log, limitMs, failed } = this.#deps;
    try {
      await bind();
      this.#timers.delete(where);
      this.#absent.delete(where);
      this.#heldBack.delete(where);
      this.#leftOut.delete(where);
      if (this.#timers.size === 0) clearInterval(this.#hold);
      log.info({ address: where, waitedMs: Math.round(clock.nowMs() - wait.sinceMs) }, 'address acquired');
    } catch (error) {
      if (this.#isStopped) return;
      if (this.#leftOut.has(where)) return this.#afterLeftOut(where, bind, wait, error);
      // Without end: meanwhile another process is serving there.
      if (error instanceof HeldBack) return this.#plan(where, bind, wait);
      const wasHeldBack = this.#heldBack.delete(where);
      const nowMs = clock.nowMs();
      if (wait.mayLackAddress && isAbsent(error)) {
        this.#absent.add(where);
        this.#plan(where, bind, wait);
        return;
      }
      // It has come to this host, or is not shared after all, and another process listens on it: from here on the waiter waits for that.
      if ((this.#absent.delete(where) || wasHeldBack) && isInUse(error) && limitMs > 0) {
        this.#plan(where, bind, { ...wait, sinceMs: nowMs, remindedMs: nowMs, tries: 0 });
        return;
      }
      if (!isInUse(error) || nowMs - wait.sinceMs >= limitMs) {
        this.stop();
        failed(error);
        return;
      }
      const isReminder = nowMs - wait.remindedMs >= remindMs;
      if (isReminder) log.warn({ address: where }, 'address is still in use: waiting for it');
      this.#plan(where, bind, isReminder ? { ...wait, remindedMs: nowMs } : wait);
    }
  }

  /** The agent has served without it so far and continues: whatever is wrong with the address is logged once. */
  #afterLeftOut(where: string, bind: () => Promise<void>, wait: Wait, error: unknown): void {
    const message = error instanceof LeftOut ? undefined : messageOf(error);
    if (message !== undefined && message !== wait.toldProblem)
      this.#deps.log.warn(
        { address: where, reason: message },
        'optional listener cannot be bound: trying again',
      );
    const { toldProblem: _, ...rest } = wait;
    this.#plan(where, bind, { ...rest, ...(message !== undefined && { toldProblem: message }) });
  }
}

interface Wait {
  readonly sinceMs: number;
  readonly remindedMs: number;
  readonly tries: number;
  readonly mayLackAddress: boolean;
  /** Of an optional listener: what the log has said. */
  readonly toldProblem?: string;
}

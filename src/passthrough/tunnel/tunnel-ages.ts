// What time does to tunnels: keepalive after a while, an end for half-closed ones on which nothing moves, and for
// idle ones where a limit is set. Coarse timers over sets; none runs while it is not needed.
import { type Clock, judgeAfter, type Timer } from '../../model/clock.ts';
import type { PassthroughOptions } from './options.ts';
import type { Tunnel } from './tunnel.ts';

/** Keepalive takes eight system calls a tunnel: too much for one that lives for milliseconds. */
const keepAliveAfterMs = 1000;

/** A limit is looked at this often within its length. */
const looksPerLimit = 10;

export class TunnelAges {
  readonly #clock: Clock;
  readonly #options: PassthroughOptions;
  /** Every tunnel, oldest first; owned by the table. */
  readonly #tunnels: ReadonlySet<Tunnel>;
  /** Tunnels that have no keepalive yet, oldest first. */
  readonly #young = new Set<Tunnel>();
  readonly #halfClosed = new Set<Tunnel>();
  #keepAliveTimer: Timer | undefined;
  #halfClosedTimer: Timer | undefined;
  #idleTimer: Timer | undefined;
  #isStopped = false;

  constructor(clock: Clock, options: PassthroughOptions, tunnels: ReadonlySet<Tunnel>) {
    this.#clock = clock;
    this.#options = options;
    this.#tunnels = tunnels;
  }

  add(tunnel: Tunnel): void {
    this.#young.add(tunnel);
    if (this.#keepAliveTimer === undefined) this.#armKeepAlive();
    if (this.#idleTimer === undefined) this.#armIdle();
  }

  halfClosed(tunnel: Tunnel): void {
    this.#halfClosed.add(tunnel);
    if (this.#halfClosedTimer === undefined) this.#armHalfClosed();
  }

  forget(tunnel: Tunnel): void {
    this.#young.delete(tunnel);
    this.#halfClosed.delete(tunnel);
  }

  stop(): void {
    this.#isStopped = true;
    this.#keepAliveTimer?.cancel();
    this.#halfClosedTimer?.cancel();
    this.#idleTimer?.cancel();
  }

  #armKeepAlive(): void {
    if (this.#isStopped) return;
    this.#keepAliveTimer = this.#clock.schedule(keepAliveAfterMs, () => {
      this.#keepAliveTimer = undefined;
      const untilMs = this.#clock.nowMs() - keepAliveAfterMs;
      for (const tunnel of this.#young) {
        if (tunnel.startedMs > untilMs) break;
        this.#young.delete(tunnel);
        tunnel.startKeepAlive();
      }
      if (this.#young.size > 0) this.#armKeepAlive();
    });
  }

  #armHalfClosed(): void {
    const limitMs = this.#options.halfCloseTimeoutMs;
    if (this.#isStopped || limitMs === 0) return;
    this.#halfClosedTimer = this.#judge(limitMs, (isVoid) => {
      this.#halfClosedTimer = undefined;
      if (!isVoid) this.#endHalfClosed(limitMs);
      if (this.#halfClosed.size > 0) this.#armHalfClosed();
    });
  }

  #endHalfClosed(limitMs: number): void {
    const nowMs = this.#clock.nowMs();
    for (const tunnel of this.#halfClosed) {
      if (nowMs - tunnel.lastByteMs < limitMs) continue;
      if (tunnel.isClosing) tunnel.abandon();
      else tunnel.reset('half-closed');
    }
  }

  #armIdle(): void {
    const limitMs = this.#options.idleTimeoutMs;
    if (this.#isStopped || limitMs === 0) return;
    this.#idleTimer = this.#judge(limitMs, (isVoid) => {
      this.#idleTimer = undefined;
      if (!isVoid) this.#endIdle(limitMs);
      if (this.#tunnels.size > 0) this.#armIdle();
    });
  }

  #endIdle(limitMs: number): void {
    const nowMs = this.#clock.nowMs();
    for (const tunnel of this.#tunnels) {
      if (nowMs - tunnel.lastByteMs >= limitMs && !tunnel.isClosing) tunnel.close('idle');
    }
  }

  /** Calls back after a part of the limit; `isVoid` when our own loop stood still and what waits is unread. */
  #judge(limitMs: number, fn: (isVoid: boolean) => void): Timer {
    return judgeAfter(this.#clock, limitMs / looksPerLimit, {
      onExpired: () => fn(false),
      onVoid: () => fn(true),
    });
  }
}

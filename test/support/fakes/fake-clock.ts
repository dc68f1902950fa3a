// A clock that stands still until a test moves it. Timers fire in order of their due time.
import type { Clock, Timer } from '../../../src/model/clock.ts';

interface Pending {
  dueMs: number;
  order: number;
  fn: () => void;
}

export class FakeClock implements Clock {
  #nowMs = 1_000;
  #order = 0;
  #pending = new Set<Pending>();
  #afterPoll: (() => void)[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  schedule(delayMs: number, fn: () => void): Timer {
    this.#order += 1;
    const pending = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order, fn };
    this.#pending.add(pending);
    return { cancel: () => this.#pending.delete(pending) };
  }

  afterPoll(fn: () => void): void {
    this.#afterPoll.push(fn);
  }

  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** Moves time on by `ms`, firing what falls due on the way; microtasks run in between. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      await this.#settle();
      const next = [...this.#pending].sort((a, b) => a.dueMs - b.dueMs || a.order - b.order)[0];
      if (!next || next.dueMs > untilMs) break;
      this.#pending.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.fn();
    }
    this.#nowMs = untilMs;
    await this.#settle();
  }

  /** Time passes while nothing runs, as when the process is stopped: timers are late afterwards. */
  async stall(ms: number): Promise<void> {
    this.#nowMs += ms;
    await this.advance(0);
  }

  async #settle(): Promise<void> {
    for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
    while (this.#afterPoll.length > 0) {
      const due = this.#afterPoll.splice(0);
      for (const fn of due) fn();
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
    }
  }
}

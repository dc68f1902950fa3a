// The etcd checks of /readyz and /livez: asked seldom, answered from the last result in between, slow to
// fail, and slow to come back. The measured behaviour: 500 within 2 to 5 s, about one answer in 5 s takes 2 to
// 4 s while etcd is away, and 11 to 16 s of further 500 after it is back.
import type { StoreApi } from './store.ts';
import type { Timers } from './timers.ts';

export interface StoreCheckTimings {
  /** How long one check waits for the store. */
  readonly timeoutMs: readonly [number, number];
  /** Shortest time between checks while all is well, and while the store is away. */
  readonly intervalMs: number;
  readonly failingIntervalMs: number;
  /** How long readiness goes on failing after the store is back. */
  readonly recoveryMs: readonly [number, number];
}

export class StoreCheck {
  readonly #store: StoreApi;
  readonly #timers: Timers;
  readonly #timings: StoreCheckTimings;
  #isWell = true;
  #checkedAtMs = Number.NEGATIVE_INFINITY;
  #failsUntilMs = 0;

  constructor(store: StoreApi, timers: Timers, timings: StoreCheckTimings) {
    this.#store = store;
    this.#timers = timers;
    this.#timings = timings;
  }

  async passes(): Promise<boolean> {
    const { timeoutMs, intervalMs, failingIntervalMs, recoveryMs } = this.#timings;
    const nowMs = performance.now();
    if (nowMs - this.#checkedAtMs >= (this.#isWell ? intervalMs : failingIntervalMs)) {
      this.#checkedAtMs = nowMs;
      const answered = this.#store.revision().then(
        () => true,
        () => false,
      );
      const isWell = await this.#timers.within(between(timeoutMs), answered, false);
      if (isWell && !this.#isWell) this.#failsUntilMs = performance.now() + between(recoveryMs);
      this.#isWell = isWell;
    }
    return this.#isWell && performance.now() >= this.#failsUntilMs;
  }
}

/** A random number of the range. */
export function between([low, high]: readonly [number, number]): number {
  return low + (high - low) * Math.random();
}

// One etcd check of /readyz and /livez (newETCD3Check in k8s.io/apiserver, pkg/storage/storagebackend/factory/etcd3.go):
// it asks etcd at most once in half its time-out; whoever comes in between gets the last result at once. So a
// client that asks alone waits for the time-out each time, and only several at once see a quick 500.
import type { StoreApi } from './store.ts';
import type { Timers } from './timers.ts';

export interface StoreCheckTimings {
  /** How long one check waits for the store. /readyz has two, one after the other; /livez has one. */
  readonly timeoutMs: number;
  /** How long checks go on failing after the store is back. */
  readonly recoveryMs: readonly [number, number];
}

export class StoreCheck {
  readonly #store: StoreApi;
  readonly #timers: Timers;
  readonly #timings: StoreCheckTimings;
  #lastResult = true;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  /** Infinite while the store is away. */
  #failsUntilMs = 0;

  constructor(store: StoreApi, timers: Timers, timings: StoreCheckTimings) {
    this.#store = store;
    this.#timers = timers;
    this.#timings = timings;
  }

  async passes(): Promise<boolean> {
    const nowMs = performance.now();
    if (nowMs - this.#askedAtMs < this.#timings.timeoutMs / 2) return this.#lastResult;
    this.#askedAtMs = nowMs;
    this.#lastResult = await this.#ask();
    return this.#lastResult;
  }

  /** Takes the whole time-out while the store is away, and until the API server has connected to it again. */
  async #ask(): Promise<boolean> {
    const { timeoutMs, recoveryMs } = this.#timings;
    const answered = this.#store.revision().then(
      () => true,
      () => false,
    );
    if (!(await this.#timers.within(timeoutMs, answered, false))) {
      this.#failsUntilMs = Number.POSITIVE_INFINITY;
      return false;
    }
    if (this.#failsUntilMs === Number.POSITIVE_INFINITY) {
      this.#failsUntilMs = performance.now() + between(recoveryMs);
    }
    const leftMs = this.#failsUntilMs - performance.now();
    if (leftMs > 0) await this.#timers.sleep(Math.min(leftMs, timeoutMs));
    return performance.now() >= this.#failsUntilMs;
  }
}

/** A random number of the range. */
export function between([low, high]: readonly [number, number]): number {
  return low + (high - low) * Math.random();
}

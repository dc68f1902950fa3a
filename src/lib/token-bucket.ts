// So many at once, and from then on one per interval.
import type { Clock } from '../model/clock.ts';

export interface TokenBucketOptions {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly burst: number;
  readonly everyMs: number;
}

export class TokenBucket {
  readonly #options: TokenBucketOptions;
  #tokens: number;
  #countedMs: number;

  constructor(options: TokenBucketOptions) {
    this.#options = options;
    this.#tokens = options.burst;
    this.#countedMs = options.clock.nowMs();
  }

  /** False: none is left now. */
  take(): boolean {
    const { clock, burst, everyMs } = this.#options;
    const nowMs = clock.nowMs();
    this.#tokens = Math.min(burst, this.#tokens + (nowMs - this.#countedMs) / everyMs);
    this.#countedMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

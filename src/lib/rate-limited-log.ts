// Lets a log line through so many times at once and then once per interval, with the number of lines left out in between.
import type { Clock } from '../model/clock.ts';

export class RateLimitedLog {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #everyMs: number;
  readonly #burst: number;
  /** Lines that may be written now. */
  #allowed: number;
  #countedMs: number;
  #repeats = 0;

  constructor(clock: Pick<Clock, 'nowMs'>, everyMs = 10_000, burst = 1) {
    this.#clock = clock;
    this.#everyMs = everyMs;
    this.#burst = burst;
    this.#allowed = burst;
    this.#countedMs = clock.nowMs();
  }

  /** Calls `line` with the number of lines left out since the last one, or counts this one as left out: then false. */
  write(line: (repeats: number) => void): boolean {
    const nowMs = this.#clock.nowMs();
    this.#allowed = Math.min(this.#burst, this.#allowed + (nowMs - this.#countedMs) / this.#everyMs);
    this.#countedMs = nowMs;
    if (this.#allowed < 1) {
      this.#repeats += 1;
      return false;
    }
    this.#allowed -= 1;
    line(this.#repeats);
    this.#repeats = 0;
    return true;
  }
}

// Lets a repeated log line through once per interval, with the number of repeats in between.
import type { Clock } from '../model/clock.ts';

export class RateLimitedLog {
  readonly #clock: Clock;
  readonly #everyMs: number;
  #writtenMs = Number.NEGATIVE_INFINITY;
  #repeats = 0;

  constructor(clock: Clock, everyMs = 10_000) {
    this.#clock = clock;
    this.#everyMs = everyMs;
  }

  /** Calls `line` with the number of lines left out since the last one, or counts this one as left out. */
  write(line: (repeats: number) => void): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#writtenMs < this.#everyMs) {
      this.#repeats += 1;
      return;
    }
    this.#writtenMs = nowMs;
    line(this.#repeats);
    this.#repeats = 0;
  }
}

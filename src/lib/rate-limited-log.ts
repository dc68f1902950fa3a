// Lets a log line through so many times at once and then once per interval, with the number of lines left out in between.
import type { Clock } from '../model/clock.ts';
import { TokenBucket } from './token-bucket.ts';

export class RateLimitedLog {
  readonly #bucket: TokenBucket;
  #repeats = 0;

  constructor(clock: Pick<Clock, 'nowMs'>, everyMs = 10_000, burst = 1) {
    this.#bucket = new TokenBucket({ clock, everyMs, burst });
  }

  /** Calls `line` with the number of lines left out since the last one, or counts this one as left out: then false. */
  write(line: (repeats: number) => void): boolean {
    if (!this.#bucket.take()) {
      this.#repeats += 1;
      return false;
    }
    line(this.#repeats);
    this.#repeats = 0;
    return true;
  }
}

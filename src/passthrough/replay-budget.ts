// How many first flights may be sent a second time: a token bucket that new tunnels and time fill, so that
// slow API servers are not hit twice by every node at once. Pure.

/** Time's share is saved up for this long, so that a burst at the moment of a failure is covered. */
const savedSeconds = 2;

export class ReplayBudget {
  readonly #ratio: number;
  readonly #perSecond: number;
  readonly #maxTokens: number;
  #tokens: number;
  #filledAtMs: number;

  constructor({ ratio, perSecond, nowMs }: { ratio: number; perSecond: number; nowMs: number }) {
    this.#ratio = ratio;
    this.#perSecond = perSecond;
    this.#maxTokens = Math.max(1, perSecond * savedSeconds);
    this.#tokens = this.#maxTokens;
    this.#filledAtMs = nowMs;
  }

  /** A new client has come. */
  addTunnel(): void {
    this.#tokens = Math.min(this.#maxTokens, this.#tokens + this.#ratio);
  }

  /** Takes one replay, or says that there is none now. */
  tryTake(nowMs: number): boolean {
    const earned = ((nowMs - this.#filledAtMs) / 1000) * this.#perSecond;
    this.#tokens = Math.min(this.#maxTokens, this.#tokens + earned);
    this.#filledAtMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

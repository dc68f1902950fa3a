// How many first flights may be sent a second time: a token bucket that new tunnels and time fill, so that
// slow API servers are not hit twice by every node at once. Pure.

/** Time's share is saved up for this long, so that a burst at the moment of a failure is covered. */
const savedSeconds = 2;

export interface ReplayRates {
  /** Replays, percent of new tunnels, on top of `replayMinPerSecond`. */
  readonly replayBudgetPercent: number;
  readonly replayMinPerSecond: number;
}

export class ReplayBudget {
  /** Read anew each time: a reload may change them. */
  readonly #rates: ReplayRates;
  #tokens: number;
  #filledAtMs: number;

  constructor(rates: ReplayRates, nowMs: number) {
    this.#rates = rates;
    this.#tokens = this.#maxTokens;
    this.#filledAtMs = nowMs;
  }

  get #maxTokens(): number {
    return Math.max(1, this.#rates.replayMinPerSecond * savedSeconds);
  }

  /** A new client has come. */
  addTunnel(): void {
    this.#tokens = Math.min(this.#maxTokens, this.#tokens + this.#rates.replayBudgetPercent / 100);
  }

  /** Takes one replay, or says that there is none now. */
  tryTake(nowMs: number): boolean {
    const earned = ((nowMs - this.#filledAtMs) / 1000) * this.#rates.replayMinPerSecond;
    this.#tokens = Math.min(this.#maxTokens, this.#tokens + earned);
    this.#filledAtMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

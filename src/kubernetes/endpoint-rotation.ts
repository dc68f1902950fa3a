// Which endpoint to try next, and how long to wait when all have failed. State without I/O.
import { jittered, type Random } from '../model/clock.ts';
import type { Endpoint, EndpointId } from '../model/endpoint.ts';
import { backoffMs, type Backoff } from '../lib/backoff.ts';

/**
 * A round tries every endpoint once, in the order of the moment, without a wait between them; after a round
 * of failures there is a wait that grows from round to round.
 */
export class EndpointRotation {
  readonly #random: Random;
  readonly #backoff: Backoff;
  #tried = new Set<EndpointId>();
  #failed = 0;
  /** The least wait that every failure of this round asked for. */
  #floorMs: number | undefined;

  constructor(random: Random, backoff: Backoff) {
    this.#random = random;
    this.#backoff = backoff;
  }

  /** Rounds that have failed in a row. */
  get failedRounds(): number {
    return this.#failed;
  }

  next(order: readonly Endpoint[]): Endpoint | undefined {
    return order.find(({ id }) => !this.#tried.has(id));
  }

  /** `id` is not tried again in this round. `floorMs`: what its answer asked us to wait. */
  skip(id: EndpointId, floorMs = 0): void {
    this.#tried.add(id);
    // One endpoint that asks for patience does not slow down the others.
    this.#floorMs = Math.min(this.#floorMs ?? Number.POSITIVE_INFINITY, floorMs);
  }

  /** Ends the round: how long to wait before the next one. */
  end(): number {
    this.#failed += 1;
    const delayMs = backoffMs(this.#failed, this.#random, this.#backoff);
    const floorMs = jittered((this.#floorMs ?? 0) * 1.25, 0.2, this.#random);
    this.#tried.clear();
    this.#floorMs = undefined;
    return Math.max(delayMs, floorMs);
  }

  /** Something went well: the next failure starts from the shortest wait. */
  reset(): void {
    this.#tried.clear();
    this.#failed = 0;
    this.#floorMs = undefined;
  }
}

// The names that clients have sent as SNI: bounded, and forgotten when they have not been seen for a day. Owns the list.
import type { Clock } from '../model/clock.ts';

export const maxClientNames = 16;
export const clientNameMs = 86_400_000;

export class SeenClientNames {
  readonly #clock: Pick<Clock, 'nowMs'>;
  /** By name, the latest last. */
  readonly #seenMs = new Map<string, number>();

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  /** A client that sent this name has met a certificate; true when the name is new. */
  see(name: string): boolean {
    const isNew = !this.#seenMs.delete(name);
    this.#seenMs.set(name, this.#clock.nowMs());
    const [oldest] = this.#seenMs.keys();
    if (this.#seenMs.size > maxClientNames && oldest !== undefined) this.#seenMs.delete(oldest);
    return isNew;
  }

  current(): string[] {
    const sinceMs = this.#clock.nowMs() - clientNameMs;
    for (const [name, seenMs] of this.#seenMs) if (seenMs < sinceMs) this.#seenMs.delete(name);
    return [...this.#seenMs.keys()];
  }
}

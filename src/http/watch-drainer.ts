// Watches have no end of their own. On an endpoint that is not fit any more they are ended as an API server ends
// them when their time is over, by a plain end of the answer: the client continues elsewhere from its last event.
import type { Clock, Random, Timer } from '../model/clock.ts';
import type { EndpointId } from '../model/endpoint.ts';

export interface EndableWatch {
  readonly endpoint: EndpointId;
  lastEventMs: number;
  end(): void;
}

/** Without an event for this long a watch is not in the middle of one. */
const quietMs = 1_000;
const lookMs = 250;

export class WatchDrainer {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #watches = new Set<EndableWatch>();
  /** When each watch of a draining endpoint is to end, from then on at its first quiet moment. */
  readonly #due = new Map<EndableWatch, { readonly dueMs: number; readonly latestMs: number }>();
  #timer: Timer | undefined;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  add(watch: EndableWatch): void {
    this.#watches.add(watch);
  }

  remove(watch: EndableWatch): void {
    this.#watches.delete(watch);
    this.#due.delete(watch);
  }

  /** Those that the endpoint has now, spread over the window, so that not all clients come at once. */
  drain(id: EndpointId, windowMs: number): void {
    const nowMs = this.#clock.nowMs();
    for (const watch of this.#watches) {
      if (watch.endpoint !== id || this.#due.has(watch)) continue;
      this.#due.set(watch, {
        dueMs: nowMs + this.#random() * windowMs,
        latestMs: nowMs + windowMs + quietMs,
      });
    }
    if (this.#due.size > 0) this.#timer ??= this.#plan();
  }

  cancelDrain(id: EndpointId): void {
    for (const watch of [...this.#due.keys()]) if (watch.endpoint === id) this.#due.delete(watch);
  }

  endOneQuiet(id: EndpointId): boolean {
    const nowMs = this.#clock.nowMs();
    for (const watch of this.#watches) {
      if (watch.endpoint !== id || nowMs - watch.lastEventMs < quietMs) continue;
      this.#end(watch);
      return true;
    }
    return false;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#due.clear();
  }

  #end(watch: EndableWatch): void {
    this.remove(watch);
    watch.end();
  }

  #plan(): Timer {
    return this.#clock.schedule(lookMs, () => {
      const nowMs = this.#clock.nowMs();
      for (const [watch, { dueMs, latestMs }] of [...this.#due]) {
        const isQuiet = nowMs - watch.lastEventMs >= quietMs;
        if ((nowMs >= dueMs && isQuiet) || nowMs >= latestMs) this.#end(watch);
      }
      this.#timer = this.#due.size > 0 ? this.#plan() : undefined;
    });
  }
}

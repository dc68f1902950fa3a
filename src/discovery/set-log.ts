// What the log says of changes of the endpoint set: each at once while there are few, and a summary every ten seconds while
// there are many, so that an EndpointSlice that changes without end does not fill the node's disk. Owns one timer.
import type { Logger } from 'pino';
import { RateLimitedLog } from '../lib/rate-limited-log.ts';
import type { Clock, Timer } from '../model/clock.ts';
import type { EndpointId } from '../model/endpoint.ts';
import type { EndpointSet } from '../model/snapshot.ts';

const everyMs = 10_000;
const atOnce = 6;
/** Of each list of ids in a line. */
const maxShown = 10;

export class SetLog {
  readonly #clock: Pick<Clock, 'nowMs' | 'schedule'>;
  readonly #log: Pick<Logger, 'info'>;
  readonly #limit: RateLimitedLog;
  #told: EndpointSet;
  #now: EndpointSet;
  #timer: Timer | undefined;

  constructor(clock: Pick<Clock, 'nowMs' | 'schedule'>, log: Pick<Logger, 'info'>, first: EndpointSet) {
    this.#clock = clock;
    this.#log = log;
    this.#limit = new RateLimitedLog(clock, everyMs, atOnce);
    this.#told = first;
    this.#now = first;
  }

  changed(next: EndpointSet): void {
    this.#now = next;
    const fields = difference(this.#told, next);
    if (!fields) return;
    const isTold = this.#limit.write((leftOut) => {
      const more = leftOut > 0 ? { changesLeftOut: leftOut } : {};
      this.#log.info({ ...fields, ...more, endpoints: next.endpoints.length }, 'endpoints changed');
    });
    if (isTold) this.#told = next;
    else
      this.#timer ??= this.#clock.schedule(everyMs, () => {
        this.#timer = undefined;
        this.changed(this.#now);
      });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}

function shown(ids: readonly EndpointId[]): string[] {
  const more = ids.length - maxShown;
  return more > 0 ? [...ids.slice(0, maxShown), `and ${more} more`] : [...ids];
}

/** Undefined: nothing that the log tells of. */
function difference(previous: EndpointSet, next: EndpointSet): Record<string, string[]> | undefined {
  const before = new Map(previous.endpoints.map(({ id, tier }) => [id, tier]));
  const after = new Map(next.endpoints.map(({ id, tier }) => [id, tier]));
  const added = [...after.keys()].filter((id) => !before.has(id));
  const removed = [...before.keys()].filter((id) => !after.has(id));
  // No longer listed or configured, and kept as a last resort; or back from there.
  const remembered = [...after].flatMap(([id, tier]) => {
    const was = before.get(id);
    return tier === 'remembered' && was !== undefined && was !== tier ? [id] : [];
  });
  const listedAgain = [...after].flatMap(([id, tier]) =>
    before.get(id) === 'remembered' && tier !== 'remembered' ? [id] : [],
  );
  if ([added, removed, remembered, listedAgain].every((ids) => ids.length === 0)) return undefined;
  return {
    added: shown(added),
    removed: shown(removed),
    ...(remembered.length > 0 && { remembered: shown(remembered) }),
    ...(listedAgain.length > 0 && { listedAgain: shown(listedAgain) }),
  };
}

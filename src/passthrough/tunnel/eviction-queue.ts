// Which tunnel of a listener goes first when there are too many: the oldest on which neither side has sent a byte, then the
// oldest with an endpoint that has never answered. One that has had an answer never goes. Two lists in order of age; every
// operation costs the same however many tunnels there are.

import { type Linked, LinkedList } from '../../lib/linked-list.ts';

/** What making room needs of a tunnel, whose file needs this one. */
export interface Evictable {
  readonly place: EvictionPlace;
  /** It is a part of the counts of the process and of its listener. */
  isCounted: boolean;
  readonly policy: { tunnels: number } | undefined;
  evict(): void;
}

/** A tunnel's place. */
export class EvictionPlace implements Linked<EvictionPlace> {
  readonly tunnel: Evictable;
  readonly startedMs: number;
  hasSpoken = false;
  /** The queue that it stands in, until the endpoint answers. */
  queue: EvictionQueue | undefined = undefined;
  isListed = false;
  previous: EvictionPlace | undefined = undefined;
  next: EvictionPlace | undefined = undefined;

  constructor(tunnel: Evictable, startedMs: number) {
    this.tunnel = tunnel;
    this.startedMs = startedMs;
  }
}

export class EvictionQueue {
  readonly #silent = new LinkedList<EvictionPlace>();
  readonly #unanswered = new LinkedList<EvictionPlace>();

  add(place: EvictionPlace): void {
    place.queue = this;
    this.#listOf(place).append(place);
  }

  #listOf({ hasSpoken }: EvictionPlace): LinkedList<EvictionPlace> {
    return hasSpoken ? this.#unanswered : this.#silent;
  }

  /** The client has sent its first byte. */
  spoke(place: EvictionPlace): void {
    if (place.hasSpoken) return;
    this.#silent.remove(place);
    place.hasSpoken = true;
    this.#unanswered.append(place);
  }

  /** The endpoint has answered, or the tunnel is gone. */
  remove(place: EvictionPlace): void {
    place.queue = undefined;
    this.#listOf(place).remove(place);
  }

  get oldestSilent(): EvictionPlace | undefined {
    return this.#silent.first;
  }

  get oldestUnanswered(): EvictionPlace | undefined {
    return this.#unanswered.first;
  }
}

type MaybePlace = EvictionPlace | undefined;

/** Of several queues the tunnel to go first. */
export function firstToGo(queues: Iterable<EvictionQueue>): Evictable | undefined {
  let silent: MaybePlace;
  let unanswered: MaybePlace;
  for (const { oldestSilent, oldestUnanswered } of queues) {
    silent = older(silent, oldestSilent);
    unanswered = older(unanswered, oldestUnanswered);
  }
  return (silent ?? unanswered)?.tunnel;
}

function older(one: MaybePlace, other: MaybePlace): MaybePlace {
  if (one === undefined || other === undefined) return one ?? other;
  return one.startedMs <= other.startedMs ? one : other;
}

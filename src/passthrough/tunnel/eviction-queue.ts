// Which tunnel of a listener goes first when there are too many: the oldest on which neither side has sent a byte, then the
// oldest with an endpoint that has never answered. One that has had an answer never goes. Two lists in order of age; every
// operation costs the same however many tunnels there are.

/** A tunnel's place. It is in one list at most. */
export interface Evictable {
  readonly startedMs: number;
  hasSpoken: boolean;
  /** The queue that it stands in, until its endpoint answers. */
  queue: EvictionQueue | undefined;
  previousInQueue: Evictable | undefined;
  nextInQueue: Evictable | undefined;
}

interface List {
  first: Evictable | undefined;
  last: Evictable | undefined;
}

function append(list: List, item: Evictable): void {
  item.previousInQueue = list.last;
  item.nextInQueue = undefined;
  if (list.last) list.last.nextInQueue = item;
  else list.first = item;
  list.last = item;
}

function unlink(list: List, item: Evictable): void {
  const { previousInQueue, nextInQueue } = item;
  if (previousInQueue) previousInQueue.nextInQueue = nextInQueue;
  else list.first = nextInQueue;
  if (nextInQueue) nextInQueue.previousInQueue = previousInQueue;
  else list.last = previousInQueue;
  item.previousInQueue = item.nextInQueue = undefined;
}

export class EvictionQueue {
  readonly #silent: List = { first: undefined, last: undefined };
  readonly #unanswered: List = { first: undefined, last: undefined };

  add(item: Evictable): void {
    item.queue = this;
    append(item.hasSpoken ? this.#unanswered : this.#silent, item);
  }

  /** The client has sent its first byte. */
  spoke(item: Evictable): void {
    if (item.hasSpoken) return;
    const isQueued = item.queue === this;
    if (isQueued) unlink(this.#silent, item);
    item.hasSpoken = true;
    if (isQueued) append(this.#unanswered, item);
  }

  /** The endpoint has answered, or the tunnel is gone. */
  remove(item: Evictable): void {
    if (item.queue !== this) return;
    item.queue = undefined;
    unlink(item.hasSpoken ? this.#unanswered : this.#silent, item);
  }

  get oldestSilent(): Evictable | undefined {
    return this.#silent.first;
  }

  get oldestUnanswered(): Evictable | undefined {
    return this.#unanswered.first;
  }
}

/** Of several queues the one to go first. */
export function firstToGo(queues: Iterable<EvictionQueue>): Evictable | undefined {
  let silent: Evictable | undefined;
  let unanswered: Evictable | undefined;
  for (const { oldestSilent, oldestUnanswered } of queues) {
    silent = older(silent, oldestSilent);
    unanswered = older(unanswered, oldestUnanswered);
  }
  return silent ?? unanswered;
}

function older(one: Evictable | undefined, other: Evictable | undefined): Evictable | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one.startedMs <= other.startedMs ? one : other;
}

// Which API servers have once been verified and ready, and what has become of them on the list of the cluster. Pure.
//
// kube-apiserver takes a dead peer off the EndpointSlice after 15 s. What was verified once is kept anyway, so that a
// node is not cut off when the last listed one dies while the others come back: docs/discovery.md.
import type { Endpoint, EndpointId } from '../model/endpoint.ts';

/** Entries of the memory, listed ones among them. */
export const maxRemembered = 32;
/** How long an API server that is new on the list can take the place of one that leaves it. */
export const newcomerMs = 3_600_000;

/**
 * `unlisted`: never on the list of the cluster (a load balancer, say). `listed`: the list held it when it was last
 * read. `left`: it went, and no other came in its place. `replaced`: it went, and another came.
 */
export type Listing = 'unlisted' | 'listed' | 'left' | 'replaced';

export interface RememberedEndpoint {
  readonly endpoint: Endpoint;
  readonly listing: Listing;
  /** For how long a synced watch has not listed it while no other source proposed it either; restarts do not reset it. */
  readonly unlistedMs: number;
}

/** Immutable. */
export interface Memory {
  readonly entries: readonly RememberedEndpoint[];
  /** On the list for less than `newcomerMs`, and in the place of no other so far; oldest first. */
  readonly newcomers: readonly { readonly id: EndpointId; readonly listedMs: number }[];
}

export const emptyMemory: Memory = { entries: [], newcomers: [] };

/** Health has found it ready over verified TLS. Returns the same object when that is known. */
export function noteVerified(memory: Memory, endpoint: Endpoint, isListed: boolean): Memory {
  if (memory.entries.some((entry) => entry.endpoint.id === endpoint.id)) return memory;
  const { id, host, port, name, zone } = endpoint;
  const kept = { id, host, port, ...(name !== undefined && { name }), ...(zone !== undefined && { zone }) };
  const entry = { endpoint: kept, listing: isListed ? 'listed' : 'unlisted', unlistedMs: 0 } as const;
  return { ...memory, entries: bounded([...memory.entries, entry]) };
}

/**
 * The synced watch lists these now. `before`: what it listed until now; undefined at the first list of this process,
 * for which the entries that were listed when they were written stand in.
 */
export function noteListed(
  memory: Memory,
  listed: ReadonlySet<EndpointId>,
  before?: ReadonlySet<EndpointId>,
): Memory {
  const { entries } = memory;
  const known = new Set(
    entries.flatMap(({ endpoint: { id }, listing }) => (listing === 'unlisted' ? [] : [id])),
  );
  const earlier = before ?? new Set(known);
  // On the first list ever everything is new, and comes in the place of nothing.
  const joined = earlier.size === 0 ? [] : [...listed].filter((id) => !earlier.has(id) && !known.has(id));
  const waiting = [
    ...memory.newcomers.filter(({ id }) => listed.has(id)),
    ...joined.map((id) => ({ id, listedMs: 0 })),
  ];
  const next = entries.map((entry): RememberedEndpoint => {
    if (listed.has(entry.endpoint.id)) {
      return entry.listing === 'listed' && entry.unlistedMs === 0
        ? entry
        : { ...entry, listing: 'listed', unlistedMs: 0 };
    }
    const isMissing = entry.listing === 'listed' || entry.listing === 'left';
    if (!isMissing) return entry;
    const listing = waiting.shift() ? 'replaced' : 'left';
    return listing === entry.listing ? entry : { ...entry, listing };
  });
  const isSame =
    next.every((entry, index) => entry === entries[index]) &&
    waiting.length === memory.newcomers.length &&
    waiting.every(({ id }, index) => id === memory.newcomers[index]?.id);
  return isSame ? memory : { entries: next, newcomers: waiting.slice(0, maxRemembered) };
}

/** Time in which the watch was synced and `isProposed` held or did not. Counts, and forgets nothing. */
export function noteElapsed(
  memory: Memory,
  elapsedMs: number,
  isProposed: (endpoint: EndpointId) => boolean,
): Memory {
  if (memory.newcomers.length === 0 && memory.entries.every(({ endpoint }) => isProposed(endpoint.id))) {
    return memory;
  }
  const entries = memory.entries.map((entry) =>
    isProposed(entry.endpoint.id) ? entry : { ...entry, unlistedMs: entry.unlistedMs + elapsedMs },
  );
  const newcomers = memory.newcomers
    .map(({ id, listedMs }) => ({ id, listedMs: listedMs + elapsedMs }))
    .filter(({ listedMs }) => listedMs < newcomerMs);
  return { entries, newcomers };
}

/** Without what a synced watch has not listed for `limitMs`. */
export function forgetExpired(memory: Memory, limitMs: number): Memory {
  const entries = memory.entries.filter(({ unlistedMs }) => unlistedMs < limitMs);
  return entries.length === memory.entries.length ? memory : { ...memory, entries };
}

/** The longest unlisted ones go first; among equals the latest. */
function bounded(entries: readonly RememberedEndpoint[]): readonly RememberedEndpoint[] {
  if (entries.length <= maxRemembered) return entries;
  const keep = new Set([...entries].sort((a, b) => a.unlistedMs - b.unlistedMs).slice(0, maxRemembered));
  return entries.filter((entry) => keep.has(entry));
}

/**
 * What two agents of one node remember, put together at writing. `base` is what the writer last read or wrote, `mine`
 * what it knows now, `theirs` what is on disk: what the other one has added is kept, and so is its word on an entry
 * of which the writer has learnt nothing new.
 */
export function mergeEntries(
  base: readonly RememberedEndpoint[],
  mine: readonly RememberedEndpoint[],
  theirs: readonly RememberedEndpoint[],
): readonly RememberedEndpoint[] {
  const byId = (entries: readonly RememberedEndpoint[]) =>
    new Map(entries.map((entry) => [entry.endpoint.id, entry]));
  const [old, other, own] = [byId(base), byId(theirs), byId(mine)];
  const merged = mine.map((entry) => {
    const [before, there] = [old.get(entry.endpoint.id), other.get(entry.endpoint.id)];
    const isUnchanged = before && before.listing === entry.listing && before.unlistedMs === entry.unlistedMs;
    return there && isUnchanged ? { ...there, endpoint: entry.endpoint } : entry;
  });
  const added = theirs.filter(({ endpoint: { id } }) => !own.has(id) && !old.has(id));
  return bounded([...merged, ...added]);
}

// Merges what the sources say into one endpoint set. Pure: state in, state out.
//
// The rules, in order of importance:
//  - nothing ever empties the set: an empty proposal changes nothing;
//  - removal is taken from the synced watch only. A DNS answer that lacks an earlier address does not
//    remove it while the watch has not synced (resolvers hand out rotating subsets), within a bound;
//  - before the watch has synced, every proposed endpoint is `discovered`;
//  - once it has synced, what the slices list is `discovered`, configured seeds that they lack are `seed`,
//    and what only the cache knew goes;
//  - what was verified and ready once, and is proposed by nothing now, is `remembered` (memory.ts).
import type { Endpoint, EndpointId, SourceName } from '../model/endpoint.ts';
import type { EndpointSet, KnownEndpoint, Tier } from '../model/snapshot.ts';
import type { RememberedEndpoint } from './memory.ts';
import type { Proposal } from './source.ts';

/** Most trusted first: whose zone and name an endpoint carries, and the order of its `sources`. */
const precedence: readonly SourceName[] = ['watch', 'static', 'dns', 'kubeconfig', 'cache'];

/** Sources that answer from resolvers, whose answers may be partial. */
const accumulating: ReadonlySet<SourceName> = new Set<SourceName>(['dns', 'kubeconfig']);

/** How many addresses that a resolver no longer gives are kept, newest first, while the watch is silent. */
export const maxFormerAddresses = 16;

/** Immutable; what each source last said that was good. */
export interface MergeState {
  readonly proposed: Readonly<Partial<Record<SourceName, readonly Endpoint[]>>>;
  /** What resolvers said earlier and do not say now; newest first. */
  readonly former: Readonly<Partial<Record<SourceName, readonly Endpoint[]>>>;
  readonly remembered: readonly RememberedEndpoint[];
  readonly syncedAtMs?: number;
}

export const emptyState: MergeState = { proposed: {}, former: {}, remembered: [] };

/** Takes one proposal in. Returns the same object when it changes nothing. */
export function merge(state: MergeState, { source, endpoints, syncedAtMs }: Proposal): MergeState {
  const isComplete = source === 'watch' && syncedAtMs !== undefined;
  if (endpoints.length === 0) {
    // The last API server leaves `endpoints: null`: the watch is well, but its last good word stands.
    if (!isComplete || state.syncedAtMs === undefined) return state;
    return state.syncedAtMs === syncedAtMs ? state : { ...state, syncedAtMs };
  }
  const before = state.proposed[source] ?? [];
  if (source === 'watch') {
    const next = isComplete ? unique(endpoints) : unique([...endpoints, ...before]);
    const proposed = { ...state.proposed, watch: next };
    return isComplete ? { ...state, proposed, syncedAtMs } : { ...state, proposed };
  }
  const next = unique(endpoints);
  const proposed = { ...state.proposed, [source]: next };
  if (!accumulating.has(source)) return { ...state, proposed };
  const kept = new Set(next.map((endpoint) => endpoint.id));
  const former = unique([...before, ...(state.former[source] ?? [])])
    .filter((endpoint) => !kept.has(endpoint.id))
    .slice(0, maxFormerAddresses);
  return { ...state, proposed, former: { ...state.former, [source]: former } };
}

/** What is published: every known endpoint once, by id, so that equal states give equal sets. */
export function endpointSet(state: MergeState): EndpointSet {
  const hasSynced = state.syncedAtMs !== undefined;
  const found = new Map<EndpointId, { endpoint: Endpoint; sources: SourceName[] }>();
  for (const source of precedence) {
    if (hasSynced && source === 'cache') continue;
    const said = state.proposed[source] ?? [];
    const all = hasSynced ? said : [...said, ...(state.former[source] ?? [])];
    for (const endpoint of all) {
      const known = found.get(endpoint.id);
      if (!known) found.set(endpoint.id, { endpoint, sources: [source] });
      else {
        known.endpoint = { ...endpoint, ...known.endpoint };
        known.sources.push(source);
      }
    }
  }
  const gone = new Set<EndpointId>();
  for (const { endpoint, listing } of state.remembered) {
    if (listing === 'left') gone.add(endpoint.id);
    if (!found.has(endpoint.id)) found.set(endpoint.id, { endpoint, sources: ['memory'] });
  }
  const endpoints = [...found.values()]
    .map(({ endpoint, sources }): KnownEndpoint => {
      const tier = tierOf(sources, hasSynced);
      const isGone = gone.has(endpoint.id) && { isGone: true };
      return Object.freeze({ ...endpoint, tier, sources: Object.freeze(sources), ...isGone });
    })
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const set = { endpoints: Object.freeze(endpoints) };
  return Object.freeze(state.syncedAtMs === undefined ? set : { ...set, syncedAtMs: state.syncedAtMs });
}

function tierOf(sources: readonly SourceName[], hasSynced: boolean): Tier {
  if (sources.includes('memory')) return 'remembered';
  return !hasSynced || sources.includes('watch') ? 'discovered' : 'seed';
}

/** Whether a subscriber would see a difference; the age of an unchanged set is none, the first sync is one. */
export function isSameSet(a: EndpointSet, b: EndpointSet): boolean {
  return (
    (a.syncedAtMs === undefined) === (b.syncedAtMs === undefined) &&
    a.endpoints.length === b.endpoints.length &&
    a.endpoints.every((endpoint, index) => {
      const other = b.endpoints[index];
      return (
        endpoint.id === other?.id &&
        endpoint.tier === other.tier &&
        endpoint.name === other.name &&
        endpoint.zone === other.zone &&
        endpoint.isGone === other.isGone &&
        endpoint.sources.join() === other.sources.join()
      );
    })
  );
}

function unique(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const byId = new Map<EndpointId, Endpoint>();
  for (const endpoint of endpoints) if (!byId.has(endpoint.id)) byId.set(endpoint.id, endpoint);
  return [...byId.values()];
}

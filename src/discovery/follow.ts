// Endpoints that are the hosts of another pool's endpoints, with a port of their own: konnectivity or an RKE2
// supervisor beside the API servers. What the other pool knows is what this one knows, at once and no longer; what it
// remembers this pool remembers too, and uses by its own checks, as everywhere only over verified TLS.
import type { Logger } from 'pino';
import { type Endpoint, type EndpointId, makeEndpoint } from '../model/endpoint.ts';
import type { EndpointSet, KnownEndpoint, Tier } from '../model/snapshot.ts';
import type { Discovery, SetListener } from './discovery.ts';
import { isSameSet } from './merge.ts';

/** The pool that is followed. */
export interface FollowedSet {
  readonly current: EndpointSet;
  /** Calls back after each change; returns the unsubscribe function. */
  subscribe(listener: () => void): () => void;
}

export interface FollowOptions {
  readonly leader: FollowedSet;
  readonly port: number;
  readonly isOwnListener: (endpoint: Endpoint) => boolean;
  readonly log: Pick<Logger, 'warn'>;
}

/** Best first. */
const tiers: readonly Tier[] = ['discovered', 'seed', 'remembered'];

/** The hosts of `set` with `port`; each host once. Pure. */
export function withPort({ endpoints, syncedAtMs }: EndpointSet, port: number): EndpointSet {
  const byId = new Map<EndpointId, KnownEndpoint>();
  for (const { host, name, zone, tier, sources, isGone } of endpoints) {
    const extra = { ...(name !== undefined && { name }), ...(zone !== undefined && { zone }) };
    const endpoint: KnownEndpoint = Object.freeze({
      ...makeEndpoint(host, port, extra),
      tier,
      sources,
      ...(isGone && { isGone }),
    });
    // Two ports of one host become one endpoint, of the better tier.
    const known = byId.get(endpoint.id);
    if (!known || tiers.indexOf(tier) < tiers.indexOf(known.tier)) byId.set(endpoint.id, endpoint);
  }
  const list = Object.freeze([...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1)));
  return Object.freeze(syncedAtMs === undefined ? { endpoints: list } : { endpoints: list, syncedAtMs });
}

export function followEndpoints({ leader, port, isOwnListener, log }: FollowOptions): Discovery {
  const listeners = new Set<SetListener>();
  const refused = new Set<EndpointId>();
  const read = (): EndpointSet => {
    const { endpoints, ...rest } = withPort(leader.current, port);
    const own = endpoints.filter((endpoint) => {
      if (!isOwnListener(endpoint)) return true;
      if (!refused.has(endpoint.id)) {
        refused.add(endpoint.id);
        log.warn({ endpoint: endpoint.id }, "ignoring an endpoint that is this agent's own listener");
      }
      return false;
    });
    return { ...rest, endpoints: own };
  };
  let current = read();
  const unsubscribe = leader.subscribe(() => {
    const next = read();
    // A leader that reloads has nothing for a moment; what was good stays.
    if (next.endpoints.length === 0 || isSameSet(next, current)) return;
    const previous = current;
    current = next;
    for (const listener of [...listeners]) listener(next, previous);
  });
  return {
    get current() {
      return current;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    watchState: { state: 'off', message: 'follows another pool', failures: 0 },
    lastPick: undefined,
    isCacheFailing: false,
    rememberPick() {},
    verified() {},
    usability() {},
    kick() {},
    stop() {
      unsubscribe();
      listeners.clear();
      return Promise.resolve();
    },
  };
}

// Which tunnel moves next after an endpoint has come back. Pure. Moves are slow and one at a time, so that
// no client notices: a whole fleet rebalances over `overMs`.
import type { EndpointId } from '../model/endpoint.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { BalancePolicy } from './picker.ts';

export interface Move {
  /** The endpoint that gives up one tunnel. */
  readonly from: EndpointId;
  /** How many tunnels are out of place in all, this one among them. */
  readonly misplaced: number;
}

/**
 * The next move, or undefined when every tunnel is where a new one would go. `settled` are the usable
 * endpoints that have been ready for a while; nothing moves towards any other.
 */
export function planMove(
  policy: BalancePolicy,
  snapshot: Snapshot,
  settled: ReadonlySet<EndpointId>,
  tunnels: (endpoint: EndpointId) => number,
): Move | undefined {
  const usable = snapshot.endpoints.filter(({ isUsable }) => isUsable);
  const first = usable[0]?.endpoint;
  if (!first || usable.length < 2) return undefined;
  const counts = usable.map(({ endpoint }) => ({ id: endpoint.id, count: tunnels(endpoint.id) }));
  if (policy === 'rendezvous') {
    if (!settled.has(first.id)) return undefined;
    const others = counts.filter(({ id }) => id !== first.id);
    return mostLoaded(
      others,
      others.reduce((sum, { count }) => sum + count, 0),
    );
  }
  const favoured = usable.flatMap(({ endpoint, isFavoured }) => (isFavoured ? [endpoint.id] : []));
  if (favoured.length > 0) {
    // New clients go to these alone, and so do old ones, once one of them has settled.
    if (!favoured.some((id) => settled.has(id))) return undefined;
    const others = counts.filter(({ id }) => !favoured.includes(id));
    const misplaced = others.reduce((sum, { count }) => sum + count, 0);
    if (misplaced > 0) return mostLoaded(others, misplaced);
  }
  const places = counts.filter(
    ({ id }) => settled.has(id) && (favoured.length === 0 || favoured.includes(id)),
  );
  if (places.length < 2) return undefined;
  const fairShare = Math.ceil(places.reduce((sum, { count }) => sum + count, 0) / places.length);
  const excess = places.map(({ id, count }) => ({ id, count: Math.max(0, count - fairShare) }));
  return mostLoaded(
    excess,
    excess.reduce((sum, { count }) => sum + count, 0),
  );
}

function mostLoaded(
  places: readonly { id: EndpointId; count: number }[],
  misplaced: number,
): Move | undefined {
  const [most] = [...places].sort((a, b) => b.count - a.count);
  return most && most.count > 0 ? { from: most.id, misplaced } : undefined;
}

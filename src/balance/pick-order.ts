// In which order this node tries the endpoints. Pure.
import { createHash } from 'node:crypto';
import type { EndpointId } from '../model/endpoint.ts';

/**
 * Rendezvous (highest random weight) hashing, Thaler and Ravishankar 1998: every node gets its own
 * order, the fleet spreads evenly, and an endpoint that goes moves only the nodes that had it first.
 */
export function rendezvousScore(nodeName: string, endpoint: EndpointId): bigint {
  return createHash('sha256').update(nodeName).update('\0').update(endpoint).digest().readBigUInt64BE(0);
}

/** Endpoint ids, highest score first; ties (none in practice) by id. */
export function rendezvousOrder(nodeName: string, endpoints: readonly EndpointId[]): EndpointId[] {
  return endpoints
    .map((id) => ({ id, score: rendezvousScore(nodeName, id) }))
    .sort((a, b) => (a.score === b.score ? (a.id < b.id ? -1 : 1) : a.score > b.score ? -1 : 1))
    .map(({ id }) => id);
}

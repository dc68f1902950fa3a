// Judges and orders the known endpoints: what discovery and health know becomes a Snapshot. Pure.
import type { HealthState } from '../health/verdict.ts';
import type { EndpointId } from '../model/endpoint.ts';
import type {
  EndpointSet,
  JudgedEndpoint,
  KnownEndpoint,
  Snapshot,
  SnapshotSource,
  Tier,
  Verdict,
} from '../model/snapshot.ts';
import { rendezvousOrder } from './pick-order.ts';
import type { Demotion } from './demotion.ts';
import type { BalancePolicy } from './picker.ts';

export interface SnapshotInput {
  readonly set: EndpointSet;
  state(endpoint: EndpointId): HealthState | undefined;
  readonly nodeName: string;
  /** Clock time, and the wall time of the same moment. */
  readonly nowMs: number;
  readonly wallMs: number;
  /** What worked before a restart: goes first among those that are not checked yet. */
  readonly lastPick?: EndpointId;
  /** Endpoints that go before all others of their kind: see preference.ts. */
  readonly favoured?: ReadonlySet<EndpointId>;
  /** Endpoints that go after all other usable ones: see demotion.ts. */
  readonly demotions?: ReadonlyMap<EndpointId, Demotion>;
  /** Since when no listed and no configured endpoint is usable; undefined while one is. See `isOnMemory`. */
  readonly onMemorySinceMs?: number;
}

interface Judged extends JudgedEndpoint {
  readonly isHeld: boolean;
  /** A new tunnel may be tried there at all. */
  readonly mayBeTried: boolean;
}

/**
 * No listed and no configured endpoint is usable: only what is remembered is left. One that is held out for flapping
 * is still better than that.
 */
export function isOnMemory(set: EndpointSet, state: SnapshotInput['state']): boolean {
  return set.endpoints.every(({ id, tier }) => {
    const verdict = state(id)?.verdict ?? 'unknown';
    return tier === 'remembered' || (verdict !== 'ready' && verdict !== 'unknown');
  });
}

/**
 * What is remembered may be the address of another host by now. So it is tried only when nothing else is usable, and
 * once a check has verified its certificate after that moment.
 */
function isProven(
  { verdict, reason, isVerified, verifiedMs }: HealthState,
  sinceMs: number | undefined,
): boolean {
  if (sinceMs === undefined || !isVerified || verifiedMs === undefined || verifiedMs < sinceMs) return false;
  return verdict !== 'dead' && reason.code !== 'L4CON' && reason.code !== 'L6RSP' && reason.code !== 'L7RSP';
}

/**
 * The last resort, best first: something late, something that answers, something not yet known to be
 * back, nothing at all. Within a class the pick order holds.
 */
const lastResort: Record<Verdict, number> = { ready: 0, unknown: 0, suspect: 1, unready: 2, dead: 4 };

function resortRank({ verdict, reason }: JudgedEndpoint): number {
  return verdict === 'unready' && reason.code === 'L4CON' ? 3 : lastResort[verdict];
}

function judged(
  endpoint: KnownEndpoint,
  { state, nowMs, wallMs, favoured, demotions, onMemorySinceMs }: SnapshotInput,
): Judged {
  const health = state(endpoint.id);
  const isRemembered = endpoint.tier === 'remembered';
  const demotion = demotions?.get(endpoint.id);
  const mark = demotion ? { demotedFor: demotion.text } : favoured?.has(endpoint.id) && { isFavoured: true };
  if (!health) {
    const reason = { code: 'INI', text: 'not checked yet' } as const;
    const fresh = { verdict: 'unknown', reason, sinceMs: wallMs, isVerified: false, isHeld: false } as const;
    return { endpoint, ...fresh, isUsable: !isRemembered, mayBeTried: !isRemembered, ...mark };
  }
  const { verdict, reason, sinceMs, heldUntilMs, isVerified, isUnverified } = health;
  const mayBeTried = !isRemembered || isProven(health, onMemorySinceMs);
  const isGood = mayBeTried && (verdict === 'ready' || (verdict === 'unknown' && !isRemembered));
  const isHeld = isGood && heldUntilMs > nowMs;
  return {
    endpoint,
    verdict,
    reason,
    sinceMs: wallMs - (nowMs - sinceMs),
    isUsable: isGood && !isHeld,
    isVerified,
    ...(isUnverified && isGood && { isUnverified }),
    isHeld,
    mayBeTried,
    ...mark,
  };
}

const tierRanks: Readonly<Record<Tier, number>> = { discovered: 0, seed: 1, remembered: 2 };

/**
 * Orders by: usable discovered endpoints, usable seeds, those that should be verified and could not be while another
 * is, usable ones with a doubtful certificate, usable remembered ones, those held out for flapping, then everything else
 * as a last resort. `ready` goes before `unknown`, and the last pick before other unknown ones (after a power cut most of
 * the cached endpoints may be gone); within a class the node's rendezvous order holds.
 */
export function makeSnapshot(input: SnapshotInput, version: number): Snapshot {
  const known = new Map(input.set.endpoints.map((endpoint) => [endpoint.id, endpoint]));
  const inOrder = rendezvousOrder(input.nodeName, [...known.keys()]).flatMap((id) => {
    const endpoint = known.get(id);
    return endpoint ? [judged(endpoint, input)] : [];
  });
  // An endpoint that flaps is still better than none.
  const isAnyUsable = inOrder.some(({ isUsable }) => isUsable);
  // Clients verify the certificate themselves: one that could not be verified is better than none.
  const isAnyVerified = inOrder.some(
    ({ isUsable, isVerified, verdict }) => isUsable && isVerified && verdict === 'ready',
  );
  const rank = (item: Judged): number => {
    const tier = tierRanks[item.endpoint.tier];
    if (!item.mayBeTried) return 1_000;
    if (item.isUsable && item.isUnverified && isAnyVerified) return 18 + tier / 2;
    // A favoured endpoint goes before all that the cluster lists, if it is only configured as well.
    if (item.isUsable && item.demotedFor !== undefined)
      return 19 + (input.demotions?.get(item.endpoint.id)?.rank ?? 0) / 4 + tier / 8;
    if (item.isUsable && item.isFavoured) return item.verdict === 'ready' ? -2 : 10 * tier + 0.5;
    if (item.isUsable && item.verdict === 'ready') return 10 * tier;
    if (item.isUsable) return 10 * tier + (item.endpoint.id === input.lastPick ? 1 : 2);
    if (item.isHeld) return 30 + tier;
    return 40 + 3 * resortRank(item) + tier;
  };
  const endpoints = inOrder
    .map((item) => ({ item, rank: rank(item) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
  const candidates = endpoints.flatMap(({ endpoint, mayBeTried }) => (mayBeTried ? [endpoint] : []));
  const shown = endpoints.map(({ isHeld, mayBeTried: _, ...item }) =>
    isHeld && !isAnyUsable ? { ...item, isUsable: true } : item,
  );
  return {
    version,
    atMs: input.wallMs,
    endpoints: shown,
    candidates,
    usableCount: shown.filter(({ isUsable }) => isUsable).length,
  };
}

/** Whether two snapshots show the same, but for their version and moment. */
function isSameSnapshot(a: Snapshot, b: Snapshot): boolean {
  if (a.endpoints.length !== b.endpoints.length || a.candidates.length !== b.candidates.length) return false;
  return a.endpoints.every((left, index) => {
    const right = b.endpoints[index];
    return (
      right !== undefined &&
      left.endpoint === right.endpoint &&
      left.verdict === right.verdict &&
      left.isUsable === right.isUsable &&
      left.isVerified === right.isVerified &&
      left.isUnverified === right.isUnverified &&
      left.isFavoured === right.isFavoured &&
      left.demotedFor === right.demotedFor &&
      left.reason.code === right.reason.code &&
      left.reason.status === right.reason.status &&
      left.reason.text === right.reason.text
    );
  });
}

/** New tunnels may go there. */
export function isUsable({ candidates, usableCount }: Snapshot, id: EndpointId): boolean {
  return candidates.slice(0, usableCount).some((candidate) => candidate.id === id);
}

/** The next new tunnel would go there, or might by a policy that changes its mind. */
export function isNext(snapshot: Snapshot, policy: BalancePolicy, id: EndpointId): boolean {
  const { candidates, usableCount } = snapshot;
  if (policy === 'rendezvous') return candidates[0]?.id === id;
  return candidates.slice(0, Math.max(1, usableCount)).some((candidate) => candidate.id === id);
}

type Listener = (next: Snapshot, previous: Snapshot) => void;

/** Holds the current snapshot and tells its subscribers. Publishing is one assignment. */
export class SnapshotPublisher implements SnapshotSource {
  #current: Snapshot = { version: 0, atMs: 0, endpoints: [], candidates: [], usableCount: 0 };
  readonly #listeners = new Set<Listener>();

  get current(): Snapshot {
    return this.#current;
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Makes the next snapshot and publishes it if it shows anything new. */
  publish(make: (version: number) => Snapshot): void {
    const previous = this.#current;
    const next = make(previous.version + 1);
    if (isSameSnapshot(previous, next)) return;
    this.#current = next;
    for (const listener of this.#listeners) listener(next, previous);
  }
}

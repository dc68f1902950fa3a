// The immutable picture that discovery and health publish and that everything else reads.
import type { Endpoint, EndpointId, SourceName } from './endpoint.ts';

/** What health says of an endpoint; see docs/health.md for the meaning and the transitions. */
export type Verdict = 'unknown' | 'ready' | 'suspect' | 'unready' | 'dead';

/** HAProxy's check status codes: the layer that answered and how. `INI` means not yet checked. */
export type ReasonCode =
  | 'INI'
  | 'L4OK'
  | 'L4CON'
  | 'L4TOUT'
  | 'L6OK'
  | 'L6RSP'
  | 'L6TOUT'
  | 'L7OK'
  | 'L7STS'
  | 'L7RSP'
  | 'L7TOUT';

export interface Reason {
  readonly code: ReasonCode;
  /** HTTP status, for L7 codes that have one. */
  readonly status?: number;
  /** A few words for people: `etcd failed`, `refused`, `readiness not visible`. */
  readonly text?: string;
}

/** HAProxy style: `L7OK/200`, `L7STS/500 etcd failed`, `L4CON refused`. */
export function formatReason({ code, status, text }: Reason): string {
  const head = status === undefined ? code : `${code}/${status}`;
  return text ? `${head} ${text}` : head;
}

/**
 * `discovered`: the watch lists it, or the watch has not synced yet and any source proposes it.
 * `seed`: configured, but absent from the synced watch; used only when no discovered one is usable.
 * `remembered`: verified and ready once, and no longer listed or configured; used only when nothing else is usable,
 * and only over verified TLS.
 */
export type Tier = 'discovered' | 'seed' | 'remembered';

/** An endpoint with where it came from. */
export interface KnownEndpoint extends Endpoint {
  readonly tier: Tier;
  readonly sources: readonly SourceName[];
  /** The cluster listed it once, no longer does, and lists no other in its place. */
  readonly isGone?: boolean;
}

/** What discovery publishes: the merged set; never empty once it has been filled. */
export interface EndpointSet {
  readonly endpoints: readonly KnownEndpoint[];
  /** Wall time of the last complete list or watch event; undefined while the watch has not synced. */
  readonly syncedAtMs?: number;
}

/** An endpoint with its verdict. */
export interface JudgedEndpoint {
  readonly endpoint: KnownEndpoint;
  readonly verdict: Verdict;
  readonly reason: Reason;
  /** Wall time since when the verdict holds. */
  readonly sinceMs: number;
  /** Takes new tunnels: `ready`, or `unknown`, or held by fail-open rules elsewhere. */
  readonly isUsable: boolean;
  /** The latest answer came over verified TLS. */
  readonly isVerified: boolean;
  /** Its latest answer could not be verified, though the configuration asks for it: used after those that are. */
  readonly isUnverified?: boolean;
  /** Goes before all others by preference: on this host, or in this node's zone. */
  readonly isFavoured?: boolean;
  /** Usable, and used after the others: what is wrong with its certificate. */
  readonly demotedFor?: string;
}

/** The judged list at a moment, in this node's pick order. */
export interface Snapshot {
  /** Grows by one with each publication. */
  readonly version: number;
  readonly atMs: number;
  /** Every known endpoint, best first. */
  readonly endpoints: readonly JudgedEndpoint[];
  /**
   * What the data path dials, in this order: usable ones first, then the rest as a last resort. When
   * nothing is usable this is everything (fail open), but for remembered endpoints whose certificate has not been
   * verified since they were needed. Same objects as in `endpoints`.
   */
  readonly candidates: readonly Endpoint[];
  /** How many of `candidates`, from the front, are usable. */
  readonly usableCount: number;
}

/** The candidates for one client or request, best first. A snapshot is one. */
export interface EndpointPick {
  readonly candidates: readonly Endpoint[];
  /** How many, from the front, are fit for new tunnels; the rest is a last resort. */
  readonly usableCount: number;
}

/** Synchronous and cheap: called for each client, and once more for each new round when all have failed. */
export type Picker = () => EndpointPick;

/** Where the current snapshot is read. */
export interface SnapshotSource {
  readonly current: Snapshot;
  /** Calls back after each publication; returns the unsubscribe function. */
  subscribe(listener: (next: Snapshot, previous: Snapshot) => void): () => void;
}

export type { EndpointId };

// What the admin server answers on /status and `fairlead status` prints: a public JSON format. New
// members may be added; the meaning of those that exist stays.
import type { EndpointId, SourceName } from './endpoint.ts';
import type { ProblemCode } from './problems.ts';
import type { Tier, Verdict } from './snapshot.ts';

/** Where the EndpointSlice watch stands. */
export type WatchState = 'synced' | 'connecting' | 'off' | 'no-credentials';

/** The kind of credentials in use; never anything of their content. */
export type CredentialsKind = 'client certificate' | 'token' | 'exec' | 'none';

export interface StatusListener {
  /** The bound address, `HOST:PORT`. */
  readonly address: string;
  readonly type: 'passthrough' | 'http';
  /** The pool that its clients go to; absent: the API servers. */
  readonly pool?: string;
}

export interface StatusEndpoint {
  readonly id: EndpointId;
  readonly verdict: Verdict;
  /** HAProxy style: `L7OK/200`, `L7STS/500 etcd failed`. */
  readonly reason: string;
  /** ISO 8601: since when the verdict holds. */
  readonly since: string;
  /** Takes new tunnels. */
  readonly usable: boolean;
  /** Not usable, and tried for new tunnels, as nothing is. */
  readonly lastResort?: true;
  /** Its latest answer came over verified TLS. */
  readonly verified: boolean;
  /** It takes new tunnels although the configuration asks for verification, and its latest answer had none. */
  readonly unverified?: true;
  /** `removed`: discovery no longer lists it, and it still carries tunnels. */
  readonly tier: Tier | 'removed';
  readonly sources: readonly SourceName[];
  /** The cluster listed it once, no longer does, and lists no other in its place. */
  readonly gone?: true;
  readonly zone?: string;
  /** 1 is this node's first choice. */
  readonly rank: number;
  readonly tunnels: number;
  readonly totalTunnels: number;
  /** From clients to the endpoint. */
  readonly bytesUp: number;
  /** From the endpoint to clients. */
  readonly bytesDown: number;
  /** Usable, and used after the others: what is wrong with its certificate. */
  readonly demotedFor?: string;
  /** ISO 8601: when the certificate that it showed last expires. */
  readonly certificateNotAfter?: string;
  /** How to fix what the reason says, where there is something to fix (readiness not visible). */
  readonly hint?: string;
}

/** Something that the configuration asks for and the agent does not have. */
export interface StatusProblem {
  readonly code: ProblemCode;
  readonly message: string;
  readonly fix: string;
  /** The agent has never had it since it started: an update to it does not count as serving. */
  readonly isSinceStart: boolean;
  /** Absent: the API servers. */
  readonly pool?: string;
}

/** The CA that verifies because the configured one cannot be read; times in ISO 8601. */
export interface StatusKeptCa {
  readonly file: string;
  readonly writtenAt: string;
  readonly since: string;
}

export interface StatusDiscovery {
  readonly watch: WatchState;
  /** ISO 8601: the last complete list or watch event. */
  readonly syncedAt?: string;
  /** Seconds since `syncedAt`. */
  readonly ageSeconds?: number;
  /** Why the watch is not synced. */
  readonly message?: string;
}

/** A pool beside that of the API servers, which the status itself describes. */
export interface StatusPool {
  readonly name: string;
  /** At least one of its endpoints is usable. */
  readonly isReady: boolean;
  readonly policy: Status['policy'];
  readonly credentials: CredentialsKind;
  readonly keptCa?: StatusKeptCa;
  /** Names that clients verify, and that no endpoint's certificate has; absent when there are none. */
  readonly missingClientNames?: readonly string[];
  /** Every serving certificate looks expired or not yet valid: the clock of this node may be wrong. */
  readonly clockSuspect?: boolean;
  readonly snapshotVersion: number;
  /** In this node's pick order. */
  readonly endpoints: readonly StatusEndpoint[];
}

export interface StatusHeld {
  readonly kind: string;
  readonly bytes: number;
  readonly maxBytes: number;
}

export interface Status {
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  /**
   * Every pool that a listener leads to has a usable endpoint, every listener has its address, and the agent is not
   * stopping: what the admin server's /readyz says.
   */
  readonly isReady: boolean;
  /** It takes no new clients (SIGTERM): since when, and when the last tunnels are reset; ISO 8601. */
  readonly stopping?: { readonly since: string; readonly until: string };
  /** `daemonset`: a node that has lost all API servers cannot start it; not for kubelet. */
  readonly deployment: 'host' | 'daemonset';
  readonly policy: 'rendezvous' | 'least-connections' | 'round-robin';
  /** Empty while it is stopping. */
  readonly listeners: readonly StatusListener[];
  /** Addresses that another process still holds (`waitForPort`). */
  readonly waitingFor?: readonly string[];
  /** Addresses that another agent serves, and this one not before an endpoint has passed a check (`reusePort`). */
  readonly heldBack?: readonly string[];
  /** Addresses that this host does not have now (`waitForAddress`); the agent is ready without them. */
  readonly absentAddresses?: readonly string[];
  /** Names that clients verify, and that no endpoint's certificate has; absent when there are none. */
  readonly missingClientNames?: readonly string[];
  /** Every serving certificate looks expired or not yet valid: the clock of this node may be wrong. */
  readonly clockSuspect?: boolean;
  readonly snapshotVersion: number;
  /** In this node's pick order. */
  readonly endpoints: readonly StatusEndpoint[];
  readonly discovery: StatusDiscovery;
  readonly credentials: CredentialsKind;
  readonly keptCa?: StatusKeptCa;
  /** Of all pools; empty when nothing is missing. */
  readonly problems: readonly StatusProblem[];
  readonly tunnels: { readonly active: number; readonly max: number };
  /** Bytes of buffers that clients make the process hold, by kind. */
  readonly held: readonly StatusHeld[];
  /** Absent when there are none. */
  readonly pools?: readonly StatusPool[];
}

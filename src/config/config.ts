// The resolved configuration: what the rest of Fairlead is given. Complete (every default filled in),
// immutable, checked, and without a trace of where a value came from. Durations are milliseconds.
// The schema (schema.ts) says what users write; docs/config.md lists it.
import type { HostPort } from '../model/endpoint.ts';

export interface ListenerConfig extends HostPort {
  readonly type: 'passthrough';
  /** A first flight that is not TLS may be sent to a second endpoint too. Off: it may be a request with effects. */
  readonly replayNonTls: boolean;
  /** Left out with a log line, not an error, where the address family does not exist (the default `[::1]`). */
  readonly optional: boolean;
}

/** HTTP statuses, both ends included. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

/** One request of a health check; all steps must answer as expected. */
export interface HealthStep {
  readonly path: string;
  readonly expectStatus: readonly StatusRange[];
}

export interface CredentialsConfig {
  readonly kubeconfig?: string;
  readonly caFile?: string;
  readonly clientCertFile?: string;
  readonly clientKeyFile?: string;
  readonly tokenFile?: string;
  /** The name that an endpoint's certificate must carry; undefined: as the kubeconfig says, else the endpoint's address. */
  readonly serverName?: string;
  /** The pod's service account: `auto` uses it when it is there and nothing else is configured. */
  readonly inCluster: 'auto' | boolean;
}

export interface DiscoveryConfig {
  readonly watch: boolean;
  readonly namespace: string;
  readonly service: string;
  readonly portName: string;
  readonly dnsIntervalMs: number;
  readonly cacheFile?: string;
}

export interface HealthConfig {
  readonly check: 'https' | 'tcp';
  /** Never empty; with `check: tcp` not used. */
  readonly steps: readonly HealthStep[];
  readonly intervalMs: number;
  readonly standbyIntervalMs: number;
  readonly timeoutMs: number;
  readonly fastIntervalMs: number;
  readonly rise: number;
  readonly fall: number;
  readonly reconnectMs: number;
  readonly startupGraceMs: number;
}

export type BalancePolicy = 'rendezvous' | 'least-connections' | 'round-robin';

export interface BalanceConfig {
  readonly policy: BalancePolicy;
  readonly rebalance: { readonly enabled: boolean; readonly overMs: number };
}

export interface DialConfig {
  readonly raceDelayMs: number;
  readonly firstFlightTimeoutMs: number;
  readonly lastCandidateTimeoutMs: number;
  readonly replayBudgetPercent: number;
  readonly replayMinPerSecond: number;
  readonly allDownDeadlineMs: number;
  /** Half-open attempts at a time, over all clients. */
  readonly maxConcurrent: number;
}

export interface TunnelsConfig {
  /** Undefined: derived from RLIMIT_NOFILE by the agent. */
  readonly max?: number;
  readonly keepAliveDelayMs: number;
  readonly keepAliveIntervalMs: number;
  readonly keepAliveCount: number;
  readonly halfCloseTimeoutMs: number;
  /** 0: off. */
  readonly idleTimeoutMs: number;
}

export interface DrainConfig {
  readonly unreadyAfterMs: number;
  readonly betterReadyForMs: number;
  readonly windowMs: number;
  readonly shutdownWindowMs: number;
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

export interface LogConfig {
  readonly level: LogLevel;
  /** `auto`: pretty on a terminal, JSON otherwise. */
  readonly format: 'auto' | 'json' | 'pretty';
}

export interface Config {
  readonly nodeName: string;
  readonly listeners: readonly ListenerConfig[];
  /** Listeners and `admin` share their ports with other processes of the same user. */
  readonly reusePort: boolean;
  /** How long a port that somebody else holds is waited for; 0: not at all, Infinity: without end. */
  readonly waitForPortMs: number;
  readonly allowNonLoopback: boolean;
  /** The static list; a host may be a DNS name. */
  readonly endpoints: readonly HostPort[];
  readonly credentials: CredentialsConfig;
  readonly discovery: DiscoveryConfig;
  readonly health: HealthConfig;
  readonly balance: BalanceConfig;
  readonly dial: DialConfig;
  readonly tunnels: TunnelsConfig;
  readonly drain: DrainConfig;
  readonly admin: HostPort | false;
  /** A second address of the admin server, never shared. */
  readonly ownAdmin: HostPort | false;
  readonly log: LogConfig;
  readonly shutdown: { readonly graceMs: number };
}

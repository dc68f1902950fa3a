// The resolved configuration: what the rest of Fairlead is given. Complete (every default filled in),
// immutable, checked, and without a trace of where a value came from. Durations are milliseconds.
// The table of settings (settings.ts) says what users write; docs/config.md lists it.
import type { HostPort } from '../model/endpoint.ts';

/** The pool of the API servers, which the settings at the top level describe. */
export const defaultPoolName = 'apiservers';

/** What an http listener shows, and by what it verifies clients for a front proxy. */
export interface ListenerTls {
  readonly certFile: string;
  readonly keyFile: string;
  readonly clientCaFile?: string;
}

export interface ListenerConfig extends HostPort {
  readonly type: 'passthrough' | 'http';
  /** Present with type http. */
  readonly tls?: ListenerTls;
  /** The pool of endpoints that its clients go to. */
  readonly pool: string;
  /** A first flight that is not TLS may be sent to a second endpoint too. Off: it may be a request with effects. */
  readonly replayNonTls: boolean;
  /** Left out with a log line, not an error, where the address family does not exist (the default `[::1]`). */
  readonly optional: boolean;
  /** Waits until the host has the address (a VIP), instead of failing. */
  readonly waitForAddress: boolean;
  /** Most clients at a time; undefined: only the limit of the process holds. */
  readonly maxTunnels?: number;
  /** Networks whose clients are accepted; undefined: all. */
  readonly allowFrom?: readonly string[];
  /** Every connection to an endpoint begins with a PROXY protocol header, version 2. */
  readonly sendProxy: boolean;
  /** Networks whose clients must begin with such a header; undefined: none does. */
  readonly acceptProxyFrom?: readonly string[];
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

/** `etcd`: the JSON that etcd answers on /health must say so too. */
export type ExpectedBody = 'any' | 'etcd';

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
  /** 0: off. */
  readonly rememberForMs: number;
}

export interface HealthConfig {
  readonly check: 'https' | 'http' | 'tcp';
  /** The port that is asked; undefined: the endpoint's own. */
  readonly port?: number;
  readonly expectBody: ExpectedBody;
  /** Never empty; with `check: tcp` not used. */
  readonly steps: readonly HealthStep[];
  readonly intervalMs: number;
  readonly standbyIntervalMs: number;
  readonly timeoutMs: number;
  readonly fastIntervalMs: number;
  readonly rise: number;
  readonly fall: number;
  readonly reconnectMs: number;
  /** DNS names and IP addresses that clients verify. */
  readonly clientNames: readonly string[];
  readonly startupGraceMs: number;
  readonly logChecks: boolean;
}

export type BalancePolicy = 'rendezvous' | 'least-connections' | 'round-robin';

/** `local`: endpoints on this host; `zone`: endpoints in this node's zone. */
export type Preference = 'none' | 'local' | 'zone';

export interface BalanceConfig {
  readonly policy: BalancePolicy;
  readonly prefer: Preference;
  /** How long a preferred endpoint must have been ready without a break before it takes clients back. */
  readonly returnAfterMs: number;
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
  readonly maxHalfOpenDials: number;
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

/** How http listeners hand the identities in client certificates on, as a front proxy; off without its certificate. */
export interface RequestHeaderConfig {
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly usernameHeader: string;
  readonly groupHeader: string;
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

export interface LogConfig {
  readonly level: LogLevel;
  /** `auto`: pretty on a terminal, JSON otherwise. */
  readonly format: 'auto' | 'json' | 'pretty';
}

/** One pool of endpoints with its own way of finding, checking and choosing them. */
export interface PoolConfig {
  readonly name: string;
  readonly type: PoolType;
  /** Takes the hosts of another pool's endpoints, with this port, in place of endpoints of its own. */
  readonly follow?: { readonly pool: string; readonly port: number };
  readonly endpoints: readonly HostPort[];
  readonly credentials: CredentialsConfig;
  readonly discovery: DiscoveryConfig;
  readonly health: HealthConfig;
  readonly balance: BalanceConfig;
  readonly dial: DialConfig;
  readonly tunnels: TunnelsConfig;
  readonly drain: DrainConfig;
}

export type PoolType = 'apiservers' | 'etcd' | 'tcp';

export interface Config {
  readonly nodeName: string;
  /** The zone of this node; undefined: not configured. */
  readonly zone?: string;
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
  readonly requestHeader: RequestHeaderConfig;
  readonly admin: HostPort | false;
  /** A second address of the admin server, never shared. */
  readonly ownAdmin: HostPort | false;
  /** Serves /metrics alone; may be an address that other hosts reach. */
  readonly metrics: HostPort | false;
  /** `daemonset`: a pod that needs an API server to be started. */
  readonly deployment: 'host' | 'daemonset';
  readonly log: LogConfig;
  readonly shutdown: { readonly graceMs: number };
  /** The pools beside that of the API servers. */
  readonly pools: readonly PoolConfig[];
}

/** The API servers' pool, then the others. */
export function allPools(config: Config): readonly PoolConfig[] {
  const { endpoints, credentials, discovery, health, balance, dial, tunnels, drain, pools } = config;
  const own = { endpoints, credentials, discovery, health, balance, dial, tunnels, drain };
  return [{ name: defaultPoolName, type: 'apiservers', ...own }, ...pools];
}

/** The names of the pools that do something: a listener leads to them, or another such pool follows them. */
export function usedPools({ listeners, pools }: Pick<Config, 'listeners' | 'pools'>): ReadonlySet<string> {
  const used = new Set(listeners.map(({ pool }) => pool));
  for (const { name, follow } of pools) if (follow && used.has(name)) used.add(follow.pool);
  return used;
}

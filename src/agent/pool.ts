// One pool of endpoints with all that belongs to it: where they come from, what health says of them, in which
// order they are tried, the tunnels to them and when these are closed. The API servers are one pool; etcd, or
// another port of the same hosts, is another. It owns its parts; the agent owns the pools and their listeners.
// It only connects its parts: what each of them is told by another one stands here.
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { PoolCredentials } from './pool-credentials.ts';
import { PoolProbes } from './pool-probes.ts';
import { PoolSnapshots } from './pool-snapshots.ts';
import { PoolTraffic } from './pool-traffic.ts';
import type { PoolHttp } from './pool-http.ts';
import { poolMetricSources } from './metrics.ts';
import { PoolCertificates } from './pool-certificates.ts';
import { PoolPreference } from './pool-preference.ts';
import { isNext, isUsable } from '../balance/snapshot.ts';
import { defaultPoolName, type PoolConfig } from '../config/config.ts';
import { type Discovery, startDiscovery } from '../discovery/discovery.ts';
import { followEndpoints, type FollowedSet } from '../discovery/follow.ts';
import { OwnServerName } from '../discovery/own-server-name.ts';
import { Health } from '../health/health.ts';
import { systemClock } from '../model/clock.ts';
import type { HostPort } from '../model/endpoint.ts';
import type { OutcomeReporter } from '../model/outcome.ts';
import type { EndpointPick, EndpointSet, JudgedEndpoint, KnownEndpoint } from '../model/snapshot.ts';
import type { PoolMetricSources } from '../observe/metrics.ts';
import type { PoolStatusInput } from '../observe/status.ts';
import type { ProcessLoad } from '../passthrough/process-load.ts';
import type { TunnelTable } from '../passthrough/tunnel-table.ts';
import type { OwnAddresses } from '../passthrough/own-addresses.ts';
import type { TunnelLimits } from '../passthrough/tunnel/tunnel-limit.ts';

/** What the pools of a process share. */
export interface PoolContext {
  readonly log: Logger;
  readonly version: string;
  readonly nodeName: string;
  /** The zone of this node as configured. */
  zone(): string | undefined;
  /** The addresses of this host. */
  hostAddresses(): ReadonlySet<string>;
  /** KUBERNETES_SERVICE_HOST, in a pod. */
  readonly serviceHost?: string;
  readonly load: ProcessLoad;
  /** The listeners of a pool put a PROXY protocol header in front of every connection. */
  sendsProxy(pool: string): boolean;
  readonly ownAddresses: OwnAddresses;
}

const clock = systemClock;
const random = Math.random;
/** Longest wait for the first reading of credentials before endpoints are probed without any. */
const firstCredentialsMs = 2_000;
const sweepMs = 5_000;

export class EndpointPool {
  readonly name: string;
  readonly #context: PoolContext;
  readonly #log: Logger;
  #config: PoolConfig;
  readonly #snapshots = new PoolSnapshots();
  readonly #probes: PoolProbes;
  readonly #health: Health;
  readonly #traffic: PoolTraffic;
  readonly #preference: PoolPreference;
  readonly #certificates: PoolCertificates;
  readonly #credentials: PoolCredentials;
  #discovery: Discovery | undefined;
  readonly #setListeners = new Set<() => void>();
  #isOwnListener: (endpoint: HostPort) => boolean = () => false;
  readonly #ownServerName = new OwnServerName({ clock, isOwnListener: (at) => this.#isOwnListener(at) });
  #leader: FollowedSet | undefined;
  #sweep: ReturnType<typeof clock.schedule> | undefined;
  #mayProbe = false;
  #isStopping = false;

  constructor(config: PoolConfig, context: PoolContext, limits: TunnelLimits) {
    const { log, load, ownAddresses } = context;
    this.name = config.name;
    this.#config = config;
    this.#context = context;
    this.#log = config.name === defaultPoolName ? log : log.child({ pool: config.name });

    // Bytes flow without health: it is told what happened, and never asked.
    const outcomes: OutcomeReporter = {
      dialed: (id, result, durationMs) => this.#health.dialed(id, result, durationMs),
      firstFlightUnanswered: (id) => this.#health.firstFlightUnanswered(id),
      tunnelSilent: (id) => this.#health.tunnelSilent(id),
      clientTls: (id, outcome, serverName) => {
        this.#certificates.clientTls(outcome, serverName);
        this.#health.clientTls(id, outcome, serverName);
      },
    };
    this.#traffic = new PoolTraffic({
      ...{ clock, random, log: this.#log, load, ownAddresses, limits, outcomes },
      snapshots: this.#snapshots,
      config: () => this.#config,
      trust: () => this.#trust(),
      state: (id) => this.#health.state(id),
      prove: (id) => this.#health.prove(id, { cause: 'move' }),
      ask: () => this.#health.askAll(),
    });
    const { serviceHost } = context;
    this.#credentials = new PoolCredentials({
      ...{ clock, random, log: this.#log },
      ...(serviceHost !== undefined && { serviceHost }),
      changed: (isTokenOnly) => {
        if (isTokenOnly) return this.#health.renewed();
        this.#health.reopen();
        this.http.renew();
      },
    });
    const { nodeName, version } = context;
    const userAgent = `fairlead/${version}`;
    this.#probes = new PoolProbes({
      log: this.#log,
      userAgent,
      credentials: this.#credentials,
      config: () => this.#config,
      sendsProxy: () => context.sendsProxy(this.name),
    });
    this.#health = new Health({
      clock,
      random,
      log: this.#log,
      options: config.health,
      traffic: this.http,
      connect: (endpoint, serverName) => this.#probes.connect(endpoint, serverName),
      isPreferred: (id) => isNext(this.#snapshots.current, this.#config.balance.policy, id),
      memory: (id) => this.#snapshots.memoryUse(id),
      observer: {
        onChange: (id, state, previous) => {
          if (state.verdict === 'ready' && state.isVerified) this.#discovery?.verified(id);
          this.#publish();
          this.#traffic.evaluate();
          if (state.verdict !== previous.verdict) this.#discovery?.kick();
        },
        onProbe: (id, result, durationMs) => this.#probes.observe(id, result, durationMs),
        onCertificate: () => this.#publish(),
        onStaleCredentials: () => this.#credentials.reload(),
      },
    });
    this.#preference = new PoolPreference({
      clock,
      random,
      log: this.#log,
      pool: config.name,
      nodeName,
      userAgent,
      zone: () => context.zone(),
      hostAddresses: () => context.hostAddresses(),
      order: () => this.#snapshots.current.candidates,
      state: (id) => this.#health.state(id),
      options: () => this.#config.balance,
      onChange: () => this.#publish(),
    });
    this.#certificates = new PoolCertificates({
      clock,
      log: this.#log,
      certainNames: () => this.#certainNames(),
      state: (id) => this.#health.state(id),
      certificates: (id) => this.#health.certificates(id),
      prove: (id, request) => this.#health.prove(id, request),
      credentials: () => this.#credentials.current,
    });
    this.#snapshots.subscribe(() => this.#health.reschedule());
  }

  /** What a new client of this pool tries. */
  pick(): EndpointPick {
    return this.#traffic.pick();
  }

  get table(): TunnelTable {
    return this.#traffic.table;
  }

  get http(): PoolHttp {
    return this.#traffic.http;
  }

  get config(): PoolConfig {
    return this.#config;
  }

  /** The endpoints as discovery knows them; for pools that follow this one. */
  get current(): EndpointSet {
    return this.#discovery?.current ?? { endpoints: [] };
  }

  subscribe(listener: () => void): () => void {
    this.#setListeners.add(listener);
    return () => void this.#setListeners.delete(listener);
  }

  /** `leader`: the pool whose hosts this one takes, when it follows one. */
  start(isOwnListener: (endpoint: HostPort) => boolean, leader?: FollowedSet): void {
    this.#isOwnListener = isOwnListener;
    this.#leader = leader;
    this.#startDiscovery();
    this.#scheduleSweep();
  }

  async reload(next: PoolConfig, limits: TunnelLimits): Promise<void> {
    const previous = this.#config;
    this.#config = next;
    // A child of a pino logger does not follow its parent.
    this.#log.level = this.#context.log.level;
    const isChanged = (...members: readonly (keyof PoolConfig)[]): boolean =>
      members.some((member) => !isDeepStrictEqual(previous[member], next[member]));
    this.#traffic.configure(isChanged, limits);
    if (isChanged('health')) this.#health.configure(next.health);
    const isPreferChanged = previous.balance.prefer !== next.balance.prefer;
    if (isPreferChanged) this.#preference.reset();
    const isZoneChanged =
      isPreferChanged && [previous, next].some(({ balance }) => balance.prefer === 'zone');
    if (isZoneChanged || isChanged('endpoints', 'follow', 'credentials', 'discovery')) {
      await this.#stopDiscovery();
      this.#startDiscovery();
      this.#health.reopen();
    } else this.#publish();
  }

  /** Clients will stop coming: nothing is started any more. */
  prepareStop(): void {
    this.#isStopping = true;
  }

  /** Lets tunnels finish for `graceMs`, then resets them. A later call without grace ends the wait. */
  async stop(graceMs: number): Promise<void> {
    // Health continues meanwhile: an endpoint may die while the last tunnels finish.
    await this.#traffic.stop(graceMs);
    this.#sweep?.cancel();
    this.#health.stop();
    await this.#stopDiscovery();
  }

  #startDiscovery(): void {
    const { discovery, endpoints, follow } = this.#config;
    const { version } = this.#context;
    const log = this.#log;
    const credentials = this.#credentials.start(this.#config);
    this.#preference.start(credentials);
    // The first probes already show and verify what they can; an exec plugin that hangs delays them, a little.
    void Promise.race([credentials.started, sleep(firstCredentialsMs, undefined, { ref: false })]).then(
      () => {
        if (this.#isStopping) return;
        this.#mayProbe = true;
        this.#watchHealth();
      },
    );
    const isOwnListener = this.#isOwnListener;
    this.#discovery =
      follow && this.#leader
        ? followEndpoints({ leader: this.#leader, port: follow.port, isOwnListener, log })
        : startDiscovery({
            clock,
            random,
            log,
            credentials,
            endpoints,
            options: discovery,
            lastKnown: this.#discovery?.current.endpoints ?? [],
            remembered: this.#discovery?.remembered ?? [],
            order: () => this.#snapshots.current.candidates,
            isUsable: (id) => isUsable(this.#snapshots.current, id),
            userAgent: `fairlead/${version}`,
            isOwnListener,
          });
    this.#discovery.subscribe(() => this.#endpointsChanged());
    this.#endpointsChanged();
  }

  async #stopDiscovery(): Promise<void> {
    await this.#preference.stop();
    await this.#discovery?.stop();
    await this.#credentials.stop();
  }

  #endpointsChanged(): void {
    this.#watchHealth();
    this.#publish();
    this.#traffic.evaluate();
    for (const listener of [...this.#setListeners]) listener();
  }

  /** Watches what is listed, and what has left while it still carries tunnels. */
  #watchHealth(): void {
    if (!this.#mayProbe) return;
    const listed: readonly KnownEndpoint[] = this.current.endpoints;
    this.#health.watch([...listed, ...this.#leaving().map(({ endpoint }) => endpoint)]);
  }

  /** What discovery no longer lists, while it still carries tunnels. */
  #leaving(): JudgedEndpoint[] {
    const listed = new Set(this.current.endpoints.map(({ id }) => id));
    const gone = this.#health.endpoints().filter(({ id }) => !listed.has(id));
    return gone.flatMap((endpoint) => {
      const state = this.#health.state(endpoint.id);
      if (!state || this.http.traffic(endpoint.id).activeTunnels === 0) return [];
      const { verdict, reason, isVerified } = state;
      const sinceMs = clock.wallMs() - (clock.nowMs() - state.sinceMs);
      const known = { ...endpoint, tier: 'discovered', sources: [] } as const;
      return [{ endpoint: known, verdict, reason, sinceMs, isUsable: false, isVerified }];
    });
  }

  #publish(): void {
    this.#snapshots.update({
      set: this.current,
      nodeName: this.#context.nodeName,
      clock,
      health: this.#health,
      preference: this.#preference,
      certificates: this.#certificates,
      discovery: this.#discovery,
    });
  }

  /** Names that clients of this pool verify, as far as configurations say so. */
  #certainNames(): readonly string[] {
    const name = this.#ownServerName.of(this.#credentials.server);
    // A name of its own in the kubeconfig is what every check verifies.
    const isVerified = this.#credentials.current.serverName !== undefined;
    const { clientNames } = this.#config.health;
    return name === undefined || isVerified ? clientNames : [...clientNames, name];
  }

  /** What API servers are verified by; of our own credentials nothing else is for requests of clients. */
  #trust(): { ca?: string; serverName?: string } {
    const { ca, serverName } = this.#credentials.current;
    return { ...(ca !== undefined && { ca }), ...(serverName !== undefined && { serverName }) };
  }

  /** Forgets what has left and carries nothing any more; lets a held-out endpoint back in. */
  #scheduleSweep(): void {
    this.#sweep = clock.schedule(sweepMs, () => {
      if (this.#isStopping) return;
      this.#watchHealth();
      const watched = new Set(this.#health.endpoints().map(({ id }) => id));
      this.http.forget((id) => watched.has(id));
      this.#probes.counters.retain(watched);
      this.#publish();
      this.#scheduleSweep();
    });
  }

  metrics(): PoolMetricSources {
    return poolMetricSources(this.table, {
      probes: this.#probes.counters,
      problems: () => this.problems(),
      isVerificationAsked: () => this.#credentials.isVerificationAsked,
      certificates: () => this.#certificates.numbers(),
      snapshot: () => this.#snapshots.current,
      http: () => this.http.metrics(),
    });
  }

  get watchState(): Discovery['watchState'] {
    return this.#discovery?.watchState ?? { state: 'off', failures: 0 };
  }

  /** One that a check has found usable; before the first verdict every endpoint counts as usable. */
  get hasProvedEndpoint(): boolean {
    return this.#snapshots.hasProvedEndpoint;
  }

  get hasUsableEndpoint(): boolean {
    return this.#snapshots.current.usableCount > 0;
  }

  /** What the configuration asks for and this pool does not have. */
  problems() {
    const { discovery, follow } = this.#config;
    const watch = discovery.watch && !follow ? this.watchState : undefined;
    return this.#credentials.problems(watch, this.#snapshots.current.endpoints);
  }

  status(wallMs: number): PoolStatusInput {
    const { keptCa } = this.#credentials;
    const { missingEverywhere, isClockSuspect } = this.#certificates;
    return {
      ...(keptCa && { keptCa }),
      policy: this.#config.balance.policy,
      credentials: this.#credentials.current.kind,
      snapshot: this.#snapshots.current,
      leaving: this.#leaving(),
      wallMs,
      certificateNotAfterMs: (id) => this.#certificates.notAfterMs(id),
      ...(missingEverywhere.length > 0 && { missingClientNames: missingEverywhere }),
      ...(isClockSuspect && { clockSuspect: true }),
      traffic: (id) => this.http.traffic(id),
    };
  }
}

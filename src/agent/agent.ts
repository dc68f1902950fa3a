// The composition root: the only place that builds things, and the order in which they start and stop.
// Listeners are bound first, so that clients are served from static and cached endpoints before discovery
// or credentials have answered anything. What belongs to one pool of endpoints is in pool.ts.
import type { Logger } from 'pino';
import { EndpointPool } from './pool.ts';
import { startPoolHttpListener } from './pool-http.ts';
import { adminPages } from './admin-pages.ts';
import { agentMetrics } from './metrics.ts';
import { useHandles } from './use-handles.ts';
import {
  allPools,
  type Config,
  defaultPoolName,
  type ListenerConfig,
  type ListenerTls,
  usedPools,
} from '../config/config.ts';
import { reloadConfig } from '../config/resolve.ts';
import { ownListenerCheck } from '../model/own-listener.ts';
import { systemClock } from '../model/clock.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import type { Status, StatusListener } from '../model/status.ts';
import { type AdminPages, type AdminServer, type Readiness, startAdmin } from '../observe/admin.ts';
import type { MetricSources } from '../observe/metrics.ts';
import { type MetricsListener, startMetricsListener } from '../observe/metrics-listener.ts';
import { isAgentReady, makeStatus } from '../observe/status.ts';
import type { HttpListener } from '../http/listener.ts';
import { isHeld } from '../lib/bind.ts';
import { HeldBack, LeftOut, PortWaiter } from './port-waiter.ts';
import { cachedHostAddresses, OwnAddresses } from '../passthrough/own-addresses.ts';
import { AcceptPolicy } from '../passthrough/tunnel/accept-policy.ts';
import { checkNodeHandles } from '../passthrough/socket/handle-check.ts';
import { assignSockets, type InheritedSocket } from '../passthrough/socket/inherited-sockets.ts';
import { type PassthroughListener, startPassthroughListener } from '../passthrough/listener.ts';
import { ProcessLoad } from '../passthrough/process-load.ts';
import { readTunnelLimit, type TunnelLimits } from '../passthrough/tunnel/tunnel-limit.ts';

export interface AgentOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly version: string;
  /** KUBERNETES_SERVICE_HOST, in a pod. */
  readonly serviceHost?: string;
  /** Sockets that whoever started this process has bound for it. */
  readonly inherited?: readonly InheritedSocket[];
}

export interface Agent {
  /** The bound listener addresses, `HOST:PORT`. */
  readonly addresses: readonly string[];
  /** The bound address of the admin server; undefined when there is none. */
  readonly adminAddress: string | undefined;
  /** Applies what can change without dropping tunnels; names the keys that were applied and those that need a restart. */
  reload(next: Config): Promise<{ applied: string[]; needsRestart: string[] }>;
  /** Stops accepting, lets tunnels finish for `graceMs` (default: as configured), then resets them. */
  stop(graceMs?: number): Promise<void>;
  /** Settles when the agent has ended, rejects when it failed. */
  readonly done: Promise<void>;
}

const clock = systemClock;

/** Rejects with LISTEN_IN_USE or LISTEN_FAILED when a listener or the admin address cannot be bound. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const agent = new RunningAgent(options, await readTunnelLimit());
  try {
    await agent.start();
  } catch (error) {
    await agent.stop(0);
    throw error;
  }
  return agent;
}

class RunningAgent implements Agent {
  readonly addresses: string[] = [];
  readonly done: Promise<void>;
  readonly #log: Logger;
  readonly #options: AgentOptions;
  #config: Config;
  readonly #startedAtMs = clock.wallMs();
  /** The API servers' pool first; it is there even when nothing leads to it. */
  readonly #pools: ReadonlyMap<string, EndpointPool>;
  readonly #default: EndpointPool;
  readonly #listeners: Pick<PassthroughListener, 'address' | 'stopAccepting'>[] = [];
  readonly #httpListeners: HttpListener[] = [];
  readonly #stopWaiting: (() => void)[] = [];
  readonly #shown: StatusListener[] = [];
  #admin: AdminServer | undefined;
  #ownAdmin: AdminServer | undefined;
  #metrics: MetricsListener | undefined;
  readonly #pages: AdminPages;
  readonly #ports: PortWaiter;
  #stopCheck = (): void => {};
  readonly #hostAddresses: () => ReadonlySet<string>;
  readonly #load = new ProcessLoad();
  #isStopping = false;
  /** Wall time: since when it stops, and when its grace ends. */
  #stopping: { readonly sinceMs: number; readonly untilMs: number } | undefined;
  #stopped: Promise<void> | undefined;
  #resolveDone: () => void;

  constructor(options: AgentOptions, limits: TunnelLimits) {
    const { config, log, version, serviceHost } = options;
    this.#options = options;
    this.#config = config;
    this.#log = log;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.done = promise;
    this.#resolveDone = resolve;
    const failed = (error: unknown) => {
      // Looked at by whoever started the agent; until then no caller awaits it.
      promise.catch(() => {});
      reject(error as Error);
      void this.stop(0);
    };
    this.#ports = new PortWaiter({ clock, log, limitMs: config.waitForPortMs, failed });
    this.#hostAddresses = cachedHostAddresses(clock, log);
    const context = {
      log,
      version,
      nodeName: config.nodeName,
      zone: () => this.#config.zone,
      hostAddresses: this.#hostAddresses,
      ...(serviceHost !== undefined && { serviceHost }),
      load: this.#load,
      sendsProxy: (name: string) =>
        config.listeners.some(({ pool, sendProxy }) => pool === name && sendProxy),
      ownAddresses: new OwnAddresses(clock, this.#hostAddresses),
    };
    const used = usedPools(config);
    const pools = allPools(config)
      .filter(({ name }) => name === defaultPoolName || used.has(name))
      .map((pool) => new EndpointPool(pool, context, limits));
    this.#pools = new Map(pools.map((pool) => [pool.name, pool]));
    this.#default = this.#pool(defaultPoolName);
    this.#pages = adminPages(clock, () => this.#status(), this.#metricSources());
  }

  get adminAddress(): string | undefined {
    return this.#admin?.address;
  }

  /** The configuration has been checked: listeners name pools that exist. */
  #pool(name: string): EndpointPool {
    const pool = this.#pools.get(name);
    if (!pool) throw new Error(`there is no pool ${name}`);
    return pool;
  }

  async start(): Promise<void> {
    const { listeners, admin, ownAdmin, metrics, deployment, reusePort } = this.#config;
    const passthrough = listeners.filter(({ type }) => type === 'passthrough');
    const sockets = assignSockets(this.#options.inherited ?? [], passthrough);
    for (const listener of listeners) {
      const fd = sockets.get(formatHostPort(listener));
      const bind = async () => {
        // An agent with nothing to offer would take half of the new clients away from one that serves.
        const mayHoldBack = reusePort && fd === undefined && !this.#pool(listener.pool).hasProvedEndpoint;
        if (mayHoldBack && (await isHeld(listener))) throw new HeldBack();
        await this.#startListener(listener, reusePort, fd);
      };
      await this.#ports.take(listener, bind, { mayLackAddress: listener.waitForAddress });
    }
    if (admin) {
      await this.#ports.take(admin, async () => {
        this.#admin = await this.#startAdmin(admin, reusePort);
        if (this.#isStopping) await this.#admin.stop();
      });
    }
    if (ownAdmin) {
      await this.#ports.take(ownAdmin, async () => {
        this.#ownAdmin = await this.#startAdmin(ownAdmin, false);
        if (this.#isStopping) await this.#ownAdmin.stop();
      });
    }
    if (metrics) {
      const deps = { log: this.#log, clock, metrics: this.#pages.metrics, hostNames: this.#hostNames() };
      this.#metrics = await startMetricsListener({ listen: metrics, ...deps });
      if (this.#isStopping) await this.#metrics.stop();
    }
    if (deployment === 'daemonset') {
      this.#log.info(
        'run by a DaemonSet: for clients other than kubelet, which could not start it after a reboot',
      );
    }
    this.#stopCheck = useHandles({
      clock,
      log: this.#log,
      check: checkNodeHandles,
      use: (handles) => {
        for (const { table } of this.#pools.values()) table.useHandles(handles);
      },
    });
    this.#startPools();
  }

  async #startListener(config: ListenerConfig, reusePort: boolean, fd?: number): Promise<void> {
    const { host, port, type, pool: name, optional, replayNonTls, sendProxy, tls } = config;
    const pool = this.#pool(name);
    if (tls) return this.#startHttpListener(config, tls, reusePort);
    const isGuarded = [config.maxTunnels, config.allowFrom, config.acceptProxyFrom].some(
      (option) => option !== undefined,
    );
    const listener = await startPassthroughListener({
      listen: { host, port },
      picker: () => pool.pick(),
      table: pool.table,
      optional,
      reusePort,
      fd,
      replayNonTls,
      sendProxy,
      ...(isGuarded && { policy: new AcceptPolicy(config) }),
    });
    if (!listener) throw new LeftOut();
    if (this.#isStopping) return listener.stopAccepting();
    this.#listeners.push(listener);
    const address = formatHostPort(listener.address);
    this.addresses.push(address);
    this.#shown.push({ address, type, ...(name !== defaultPoolName && { pool: name }) });
  }

  async #startHttpListener(config: ListenerConfig, tls: ListenerTls, reusePort: boolean): Promise<void> {
    const { http } = this.#pool(config.pool);
    const shown = this.#shown;
    const passthroughAddresses = () =>
      shown
        .filter(({ type, pool }) => type === 'passthrough' && pool === undefined)
        .map(({ address }) => address);
    const { requestHeader } = this.#config;
    const deps = { http, config, tls, requestHeader, reusePort, log: this.#log, passthroughAddresses };
    const giveUp = await startPoolHttpListener(deps, (listener) => {
      if (this.#isStopping) return void listener.destroy();
      this.#listeners.push(listener);
      this.#httpListeners.push(listener);
      const address = formatHostPort(listener.address);
      this.#default.table.ownAddresses.add(listener.address);
      this.addresses.push(address);
      shown.push({ address, type: 'http' });
    });
    this.#stopWaiting.push(giveUp);
    if (this.#isStopping) giveUp();
  }

  /** A pool that nothing leads to finds and checks nothing. */
  #startPools(): void {
    // With those that are still waited for: what answers there now is not to become an endpoint.
    const own = [
      ...this.#listeners.map(({ address }) => address),
      ...this.#config.listeners.filter(({ port }) => port !== 0),
    ];
    const isOwnListener = ownListenerCheck(own, this.#hostAddresses);
    const used = usedPools(this.#config);
    for (const pool of this.#pools.values()) {
      if (!used.has(pool.name)) continue;
      const { follow } = pool.config;
      pool.start(isOwnListener, follow && this.#pool(follow.pool));
    }
  }

  async reload(next: Config): Promise<{ applied: string[]; needsRestart: string[] }> {
    const { config, applied, needsRestart } = reloadConfig(this.#config, next);
    this.#config = config;
    const limits = await readTunnelLimit();
    const used = usedPools(config);
    for (const poolConfig of allPools(config)) {
      const pool = this.#pools.get(poolConfig.name);
      if (pool && used.has(poolConfig.name)) await pool.reload(poolConfig, limits);
    }
    return { applied, needsRestart };
  }

  stop(graceMs = this.#config.shutdown.graceMs): Promise<void> {
    this.#isStopping = true;
    const nowMs = clock.wallMs();
    this.#stopping = { sinceMs: this.#stopping?.sinceMs ?? nowMs, untilMs: nowMs + graceMs };
    if (graceMs === 0 && this.#stopped)
      for (const { table, http } of this.#pools.values()) {
        void table.closeAll(0);
        http.abort();
      }
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  async #stop(graceMs: number): Promise<void> {
    this.#ports.stop();
    this.#stopCheck();
    // Clients of a shared address are to get the process that continues. On an address of its own this one answers
    // until the end, and says that it is stopping.
    const left = this.#config.reusePort ? this.#admin?.stop() : undefined;
    for (const pool of this.#pools.values()) pool.prepareStop();
    for (const giveUp of this.#stopWaiting) giveUp();
    await Promise.all([left, ...this.#listeners.map((listener) => listener.stopAccepting())]);
    // This one is never shared: the successor waits for it.
    await this.#metrics?.stop();
    await Promise.all([...this.#pools.values()].map((pool) => pool.stop(graceMs)));
    await Promise.all(this.#httpListeners.map((listener) => listener.destroy()));
    await this.#admin?.stop();
    await this.#ownAdmin?.stop();
    this.#resolveDone();
  }

  #startAdmin(listen: HostPort, reusePort: boolean): Promise<AdminServer> {
    return startAdmin({
      listen,
      log: this.#log,
      readiness: () => this.#readiness(),
      pages: this.#pages,
      hostNames: this.#hostNames(),
      reusePort,
    });
  }

  #hostNames(): readonly string[] {
    return [this.#config.nodeName, ...this.#config.allowedHosts];
  }

  /** What of the status says that the agent is up, or why not. */
  #liveState(): Pick<Status, 'stopping' | 'waitingFor' | 'heldBack'> {
    return {
      ...(this.#stopping && {
        stopping: {
          since: new Date(this.#stopping.sinceMs).toISOString(),
          until: new Date(this.#stopping.untilMs).toISOString(),
        },
      }),
      ...(this.#ports.waitingFor.length > 0 && { waitingFor: this.#ports.waitingFor }),
      ...(this.#ports.heldBack.length > 0 && { heldBack: this.#ports.heldBack }),
    };
  }

  #readiness(): Readiness {
    const live = this.#liveState();
    const used = usedPools(this.#config);
    const isUsable = [...this.#pools.values()].every(
      (pool) => !used.has(pool.name) || pool.hasUsableEndpoint,
    );
    return { ...live, isReady: isAgentReady({ ...live, isUsable }) };
  }

  #metricSources(): MetricSources {
    // A pool that nothing leads to has no usable endpoint, and that would be an alarm for nothing.
    const used = usedPools(this.#config);
    const pools = [...this.#pools.values()].filter(({ name }) => used.has(name));
    return agentMetrics(pools, {
      version: this.#options.version,
      syncedAtMs: () => this.#default.watchState.syncedAtMs,
      watchFailures: () => this.#default.watchState.failures,
      wallMs: () => clock.wallMs(),
      held: () => this.#load.memory.entries(),
    });
  }

  #status(): Status {
    const { nodeName, deployment } = this.#config;
    const { state, syncedAtMs, message } = this.#default.watchState;
    const wallMs = clock.wallMs();
    const used = usedPools(this.#config);
    const pools = [...this.#pools.values()];
    return makeStatus({
      version: this.#options.version,
      node: nodeName,
      pid: process.pid,
      startedAt: new Date(this.#startedAtMs).toISOString(),
      deployment,
      listeners: this.#stopping ? [] : this.#shown,
      ...this.#liveState(),
      ...(this.#ports.absent.length > 0 && { absentAddresses: this.#ports.absent }),
      discovery: {
        watch: state,
        ...(syncedAtMs !== undefined && {
          syncedAt: new Date(syncedAtMs).toISOString(),
          ageSeconds: Math.max(0, Math.round((wallMs - syncedAtMs) / 1000)),
        }),
        ...(message !== undefined && { message }),
      },
      problems: pools
        .filter(({ name }) => used.has(name))
        .flatMap((pool) =>
          pool
            .problems()
            .map((problem) => (pool === this.#default ? problem : { ...problem, pool: pool.name })),
        ),
      tunnels: {
        active: pools.reduce((sum, { table }) => sum + table.tunnelCount, 0),
        max: this.#default.table.options.maxTunnels,
      },
      held: this.#load.memory.entries(),
      ...this.#default.status(wallMs),
      isUsed: used.has(defaultPoolName),
      pools: pools
        .filter((pool) => pool !== this.#default)
        .map((pool) => ({ name: pool.name, ...pool.status(wallMs) })),
    });
  }
}

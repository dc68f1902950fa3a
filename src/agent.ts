// The composition root: the only place that builds things, and the order in which they start and stop.
// Listeners are bound first, so that clients are served from static and cached endpoints before discovery
// or credentials have answered anything.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { metricSources } from './agent-metrics.ts';
import { checkSteps, credentialOptions, healthOptions, passthroughOptions } from './agent-options.ts';
import { Closer } from './balance/closer.ts';
import { makePicker, type Pick } from './balance/picker.ts';
import { SnapshotPublisher } from './balance/publisher.ts';
import { makeSnapshot } from './balance/snapshot.ts';
import type { Config } from './config/config.ts';
import { changedSettings } from './config/resolve.ts';
import { type Discovery, startDiscovery } from './discovery/discovery.ts';
import { ownListenerCheck } from './discovery/own-listener.ts';
import { Health } from './health/health.ts';
import { ProbeConnection } from './health/probe.ts';
import { reasonOf } from './health/verdict.ts';
import { defaultServiceAccountDir } from './kubernetes/load-credentials.ts';
import { checkIdentity } from './kubernetes/server-identity.ts';
import { type CredentialWatch, watchCredentials } from './kubernetes/watch-credentials.ts';
import { systemClock } from './model/clock.ts';
import { type Endpoint, formatHostPort, type HostPort } from './model/endpoint.ts';
import type { OutcomeReporter } from './model/outcome.ts';
import { formatReason, type JudgedEndpoint, type KnownEndpoint } from './model/snapshot.ts';
import type { Status } from './model/status.ts';
import { type AdminServer, startAdmin } from './observe/admin.ts';
import { ProbeCounters } from './observe/metrics.ts';
import { makeStatus } from './observe/status.ts';
import { ConnectionTable } from './passthrough/connection-table.ts';
import { PortWaiter } from './port-waiter.ts';
import { type PassthroughListener, startPassthroughListener } from './passthrough/listener.ts';
import { readTunnelLimit } from './passthrough/tunnel-limit.ts';

export interface AgentOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly version: string;
  /** KUBERNETES_SERVICE_HOST, in a pod. */
  readonly serviceHost?: string;
}

export interface Agent {
  /** The bound listener addresses, `HOST:PORT`. */
  readonly addresses: readonly string[];
  /** The bound address of the admin server; undefined when there is none. */
  readonly adminAddress: string | undefined;
  /** Takes over what can change without dropping tunnels; names the keys that it applied and those that it could not. */
  reload(next: Config): Promise<{ applied: string[]; needsRestart: string[] }>;
  /** Stops accepting, lets tunnels finish for `graceMs` (default: as configured), then resets them. */
  stop(graceMs?: number): Promise<void>;
  /** Settles when the agent has ended, rejects when it failed. */
  readonly done: Promise<void>;
}

const clock = systemClock;
const random = Math.random;
/** Longest wait for the first reading of credentials before endpoints are probed without any. */
const firstCredentialsMs = 2_000;

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
  readonly #snapshots = new SnapshotPublisher();
  readonly #probes = new ProbeCounters();
  readonly #table: ConnectionTable;
  readonly #health: Health;
  readonly #closer: Closer;
  readonly #listeners: PassthroughListener[] = [];
  #pick: () => Pick;
  #credentials: CredentialWatch | undefined;
  #discovery: Discovery | undefined;
  #admin: AdminServer | undefined;
  #ownAdmin: AdminServer | undefined;
  readonly #ports: PortWaiter;
  #sweep: ReturnType<typeof clock.schedule> | undefined;
  #mayProbe = false;
  #isStopping = false;
  #stopped: Promise<void> | undefined;
  #resolveDone: () => void;

  constructor(options: AgentOptions, limits: Awaited<ReturnType<typeof readTunnelLimit>>) {
    const { config, log } = options;
    this.#options = options;
    this.#config = config;
    this.#log = log;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.done = promise;
    this.#resolveDone = resolve;
    const failed = (error: unknown) => {
      // Looked at by whoever started the agent; until then nobody waits for it.
      promise.catch(() => {});
      reject(error as Error);
      void this.stop(0);
    };
    this.#ports = new PortWaiter({ clock, log, limitMs: config.waitForPortMs, failed });

    // Bytes flow without health: it is told what happened, and never asked.
    const outcomes: OutcomeReporter = {
      dialed: (id, result, durationMs) => this.#health.dialed(id, result, durationMs),
      firstFlightUnanswered: (id) => this.#health.firstFlightUnanswered(id),
      tunnelSilent: (id) => this.#health.tunnelSilent(id),
    };
    this.#table = new ConnectionTable({
      clock,
      random,
      log,
      outcomes,
      options: passthroughOptions(config, limits),
    });
    this.#pick = makePicker(config.balance.policy, this.#snapshots, this.#table);
    this.#health = new Health({
      clock,
      random,
      log,
      options: healthOptions(config),
      traffic: this.#table,
      connect: (endpoint) => this.#connectProbe(endpoint),
      isPreferred: (id) => this.#isPreferred(id),
      observer: {
        onChange: (_id, state, previous) => {
          this.#publish();
          this.#closer.look();
          if (state.verdict !== previous.verdict) this.#discovery?.kick();
        },
        onProbe: (id, result, durationMs) => {
          const { code, status } = reasonOf(result);
          this.#probes.observe(
            id,
            formatReason({ code, ...(status !== undefined && { status }) }),
            durationMs,
          );
        },
        onUnauthorized: () => void this.#credentials?.reload(),
      },
    });
    this.#closer = new Closer({
      clock,
      random,
      log,
      snapshots: this.#snapshots,
      table: this.#table,
      state: (id) => this.#health.state(id),
      options: () => ({
        ...this.#config.drain,
        fall: this.#config.health.fall,
        policy: this.#config.balance.policy,
        rebalance: this.#config.balance.rebalance,
      }),
    });
    this.#snapshots.subscribe(() => this.#health.reschedule());
  }

  get adminAddress(): string | undefined {
    return this.#admin?.address;
  }

  async start(): Promise<void> {
    const { listeners, admin, ownAdmin, reusePort } = this.#config;
    for (const { host, port, optional, replayNonTls } of listeners) {
      await this.#ports.take({ host, port }, async () => {
        const listener = await startPassthroughListener({
          listen: { host, port },
          picker: () => this.#pick(),
          table: this.#table,
          log: this.#log,
          optional,
          reusePort,
          replayNonTls,
        });
        if (!listener) return;
        if (this.#isStopping) return listener.stopAccepting();
        this.#listeners.push(listener);
        this.addresses.push(formatHostPort(listener.address));
      });
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
    this.#startDiscovery();
    this.#scheduleSweep();
  }

  async reload(next: Config): Promise<{ applied: string[]; needsRestart: string[] }> {
    const { reload: applied, restart: needsRestart } = changedSettings(this.#config, next);
    const previous = this.#config;
    // What takes a restart keeps its old value, so that the next reload still sees the difference.
    const { nodeName, listeners, reusePort, waitForPortMs, allowNonLoopback, admin, ownAdmin } = previous;
    const log = { ...next.log, format: previous.log.format };
    const kept = { nodeName, listeners, reusePort, waitForPortMs, allowNonLoopback, admin, ownAdmin, log };
    this.#config = { ...next, ...kept };
    const isChanged = (...prefixes: string[]): boolean =>
      applied.some((key) => prefixes.some((prefix) => key.startsWith(prefix)));
    if (isChanged('dial', 'tunnels'))
      this.#table.configure(passthroughOptions(next, await readTunnelLimit()));
    if (isChanged('balance')) this.#pick = makePicker(next.balance.policy, this.#snapshots, this.#table);
    if (isChanged('health')) this.#health.configure(healthOptions(next));
    if (isChanged('endpoints', 'credentials', 'discovery')) {
      await this.#stopDiscovery();
      this.#startDiscovery();
      this.#health.reopen();
    }
    return { applied, needsRestart };
  }

  stop(graceMs = this.#config.shutdown.graceMs): Promise<void> {
    this.#isStopping = true;
    if (graceMs === 0 && this.#stopped) void this.#table.closeAll(0);
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  async #stop(graceMs: number): Promise<void> {
    this.#ports.stop();
    await Promise.all(this.#listeners.map((listener) => listener.stopAccepting()));
    // Who asks at a shared address is to get the process that goes on.
    if (this.#config.reusePort && this.#ownAdmin) await this.#admin?.stop();
    // Health goes on meanwhile: an endpoint may die while the last tunnels finish.
    await this.#table.closeAll(graceMs);
    this.#sweep?.cancel();
    this.#closer.stop();
    this.#health.stop();
    await this.#stopDiscovery();
    await this.#admin?.stop();
    await this.#ownAdmin?.stop();
    this.#resolveDone();
  }

  #startDiscovery(): void {
    const { discovery, endpoints } = this.#config;
    const { serviceHost } = this.#options;
    const log = this.#log;
    const serviceAccount = {
      dir: defaultServiceAccountDir,
      exists: existsSync(join(defaultServiceAccountDir, 'token')),
      ...(serviceHost !== undefined && { host: serviceHost }),
    };
    const credentials = watchCredentials(credentialOptions(this.#config, serviceAccount), {
      clock,
      random,
      log,
    });
    credentials.subscribe(() => this.#health.reopen());
    this.#credentials = credentials;
    // The first probes already show and verify what they can; an exec plugin that hangs delays them, a little.
    void Promise.race([credentials.started, sleep(firstCredentialsMs, undefined, { ref: false })]).then(
      () => {
        if (this.#isStopping) return;
        this.#mayProbe = true;
        this.#watchHealth();
      },
    );
    this.#discovery = startDiscovery({
      clock,
      random,
      log,
      credentials,
      endpoints,
      options: discovery,
      lastKnown: this.#discovery?.current.endpoints ?? [],
      order: () => this.#snapshots.current.candidates,
      isUsable: (id) => this.#isUsable(id),
      userAgent: `fairlead/${this.#options.version}`,
      // With those that are still waited for: what answers there now is not to become an endpoint.
      isOwnListener: ownListenerCheck([
        ...this.#listeners.map(({ address }) => address),
        ...this.#config.listeners.filter(({ port }) => port !== 0),
      ]),
    });
    this.#discovery.subscribe(() => this.#endpointsChanged());
    this.#endpointsChanged();
  }

  async #stopDiscovery(): Promise<void> {
    await this.#discovery?.stop();
    await this.#credentials?.stop();
  }

  #endpointsChanged(): void {
    this.#watchHealth();
    this.#publish();
    this.#closer.look();
  }

  /** Watches what is listed, and what has left while it still carries tunnels. */
  #watchHealth(): void {
    if (!this.#mayProbe) return;
    const listed: readonly KnownEndpoint[] = this.#discovery?.current.endpoints ?? [];
    this.#health.watch([...listed, ...this.#leaving().map(({ endpoint }) => endpoint)]);
  }

  /** What discovery no longer lists, while it still carries tunnels. */
  #leaving(): JudgedEndpoint[] {
    const listed = new Set((this.#discovery?.current.endpoints ?? []).map(({ id }) => id));
    const gone = this.#health.endpoints().filter(({ id }) => !listed.has(id));
    return gone.flatMap((endpoint) => {
      const state = this.#health.state(endpoint.id);
      if (!state || this.#table.traffic(endpoint.id).activeTunnels === 0) return [];
      const { verdict, reason } = state;
      const sinceMs = clock.wallMs() - (clock.nowMs() - state.sinceMs);
      const known = { ...endpoint, tier: 'discovered', sources: [] } as const;
      return [{ endpoint: known, verdict, reason, sinceMs, isUsable: false }];
    });
  }

  #publish(): void {
    const set = this.#discovery?.current ?? { endpoints: [] };
    const { nodeName } = this.#config;
    const nowMs = clock.nowMs();
    const state = (id: string) => this.#health.state(id);
    const pick = this.#discovery?.lastPick;
    const lastPick = pick !== undefined && { lastPick: pick };
    this.#snapshots.publish((version) =>
      makeSnapshot({ set, state, nodeName, nowMs, wallMs: clock.wallMs(), ...lastPick }, version),
    );
    const [first] = this.#snapshots.current.endpoints;
    if (first?.verdict === 'ready') this.#discovery?.rememberPick(first.endpoint.id);
  }

  #isUsable(id: string): boolean {
    const { candidates, usableCount } = this.#snapshots.current;
    return candidates.slice(0, usableCount).some((candidate) => candidate.id === id);
  }

  #isPreferred(id: string): boolean {
    const { candidates, usableCount } = this.#snapshots.current;
    if (this.#config.balance.policy === 'rendezvous') return candidates[0]?.id === id;
    return candidates.slice(0, Math.max(1, usableCount)).some((candidate) => candidate.id === id);
  }

  #connectProbe(endpoint: Endpoint): ProbeConnection {
    const credentials = this.#credentials?.current ?? { kind: 'none' };
    return new ProbeConnection({
      endpoint,
      credentials,
      isVerified: credentials.kind !== 'none' || credentials.ca !== undefined,
      check: this.#config.health.check,
      steps: checkSteps(this.#config),
      userAgent: `fairlead/${this.#options.version}`,
      checkIdentity: (certificate) => checkIdentity(endpoint, certificate, credentials.serverName),
    });
  }

  /** Forgets what has left and carries nothing any more; lets a held-out endpoint back in. */
  #scheduleSweep(): void {
    this.#sweep = clock.schedule(5_000, () => {
      if (this.#isStopping) return;
      this.#watchHealth();
      const watched = new Set(this.#health.endpoints().map(({ id }) => id));
      for (const { id } of [...this.#table.records()]) if (!watched.has(id)) this.#table.forget(id);
      this.#probes.retain(watched);
      this.#publish();
      this.#scheduleSweep();
    });
  }

  #startAdmin(listen: HostPort, reusePort: boolean): Promise<AdminServer> {
    const metrics = metricSources(this.#table, {
      version: this.#options.version,
      probes: this.#probes,
      snapshot: () => this.#snapshots.current,
      syncedAtMs: () => this.#discovery?.watchState.syncedAtMs,
      watchFailures: () => this.#discovery?.watchState.failures ?? 0,
      wallMs: () => clock.wallMs(),
    });
    return startAdmin({ listen, log: this.#log, status: () => this.#status(), metrics, reusePort });
  }

  #status(): Status {
    const { nodeName, balance } = this.#config;
    const { state, syncedAtMs, message } = this.#discovery?.watchState ?? { state: 'off' as const };
    const wallMs = clock.wallMs();
    const kind = this.#credentials?.current.kind ?? 'none';
    return makeStatus({
      version: this.#options.version,
      node: nodeName,
      pid: process.pid,
      startedAt: new Date(this.#startedAtMs).toISOString(),
      policy: balance.policy,
      listeners: this.addresses.map((address) => ({ address, type: 'passthrough' })),
      ...(this.#ports.waitingFor.length > 0 && { waitingFor: this.#ports.waitingFor }),
      discovery: {
        watch: state,
        ...(syncedAtMs !== undefined && {
          syncedAt: new Date(syncedAtMs).toISOString(),
          ageSeconds: Math.max(0, Math.round((wallMs - syncedAtMs) / 1000)),
        }),
        ...(message !== undefined && { message }),
      },
      credentials: kind,
      tunnels: { active: this.#table.tunnelCount, max: this.#table.options.maxTunnels },
      snapshot: this.#snapshots.current,
      leaving: this.#leaving(),
      wallMs,
      traffic: (id) => this.#table.traffic(id),
    });
  }
}

// What the http listeners of one pool add to it. The code behind them, http-proxy-3 included, is loaded with the
// first such listener; a pool without one carries nothing of it.
import { httpOptions } from './options.ts';
import { LeftOut } from './port-waiter.ts';
import type { Logger } from 'pino';
import type { ClosableTunnels } from '../balance/tunnel-closer.ts';
import { makePicker } from '../balance/picker.ts';
import type { PoolConfig, ListenerConfig, ListenerTls, RequestHeaderConfig } from '../config/config.ts';
import type { ProxyCore } from '../http/proxy-core.ts';
import type { HttpListener } from '../http/listener.ts';
import type { HttpSettings } from '../http/options.ts';
import type { FrontProxyPair, UpstreamTrust } from '../http/upstreams.ts';
import { systemClock, type Timer } from '../model/clock.ts';
import { type Endpoint, type EndpointId, formatHostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import type { EndpointTraffic, OutcomeReporter, TrafficReader } from '../model/outcome.ts';
import type { Picker, SnapshotSource } from '../model/snapshot.ts';
import type { HttpRequestNumbers } from '../observe/metrics.ts';
import type { TunnelTable } from '../passthrough/tunnel-table.ts';

export interface PoolHttpDeps {
  readonly log: Logger;
  readonly outcomes: OutcomeReporter;
  readonly snapshots: SnapshotSource;
  readonly table: TunnelTable;
  config(): PoolConfig;
  trust(): UpstreamTrust;
}

export class PoolHttp implements TrafficReader {
  readonly #deps: PoolHttpDeps;
  readonly #draining = new Set<EndpointId>();
  #core: ProxyCore | undefined;
  #loading: Promise<ProxyCore> | undefined;
  #pick: Picker = () => this.#deps.snapshots.current;

  constructor(deps: PoolHttpDeps) {
    this.#deps = deps;
    deps.snapshots.subscribe(() => this.#closeIdle());
  }

  /** For the first listener. */
  load(): Promise<ProxyCore> {
    this.#loading ??= this.#load();
    return this.#loading;
  }

  async #load(): Promise<ProxyCore> {
    const { ProxyCore: Core } = await import('../http/proxy-core.ts');
    const { log, outcomes, snapshots, table, trust } = this.#deps;
    const core = new Core({
      clock: systemClock,
      random: Math.random,
      log,
      outcomes,
      options: this.#options(),
      picker: () => this.#pick(),
      trust,
      isUsable: (id) => isUsable(snapshots, id),
      isOwnAddress: (endpoint: Endpoint) => table.ownAddresses.includes(endpoint),
    });
    this.#core = core;
    this.configure();
    return core;
  }

  /** The pool's configuration has changed. */
  configure(): void {
    const core = this.#core;
    if (!core) return;
    core.configure(this.#options());
    this.#pick = makePicker(this.#deps.config().balance.policy, this.#deps.snapshots, core.upstreams);
  }

  #options(): HttpSettings {
    return httpOptions(this.#deps.config(), this.#deps.table.options.maxTunnels);
  }

  /** Credentials have changed: what was kept with the old ones is not used again. */
  renew(): void {
    this.#core?.upstreams.renew();
  }

  /** What carries no new requests keeps no connections for them. */
  #closeIdle(): void {
    const upstreams = this.#core?.upstreams;
    if (!upstreams) return;
    for (const id of upstreams.ids()) if (!isUsable(this.#deps.snapshots, id)) upstreams.closeIdle(id);
  }

  // --- for health, status and the tunnel closer ----------------------------------------------------------

  /** Tunnels and requests together. */
  traffic(id: EndpointId): EndpointTraffic {
    const tunnels = this.#deps.table.traffic(id);
    const requests = this.#core?.upstreams.traffic(id);
    if (!requests) return tunnels;
    return {
      activeTunnels: tunnels.activeTunnels + requests.activeTunnels,
      totalTunnels: tunnels.totalTunnels + requests.totalTunnels,
      bytesUp: tunnels.bytesUp + requests.bytesUp,
      bytesDown: tunnels.bytesDown + requests.bytesDown,
    };
  }

  /** Every endpoint that has carried something. */
  ids(): Set<EndpointId> {
    return new Set([
      ...[...this.#deps.table.records()].map(({ id }) => id),
      ...(this.#core?.upstreams.ids() ?? []),
    ]);
  }

  /** The tunnel table's view, with requests in it: a dead endpoint ends both. */
  get closable(): ClosableTunnels {
    const { table } = this.#deps;
    return {
      traffic: (id) => this.traffic(id),
      records: () => [...this.ids()].map((id) => ({ id, activeTunnels: this.traffic(id).activeTunnels })),
      resetEndpoint: (id, reason) => table.resetEndpoint(id, reason) + (this.#core?.upstreams.reset(id) ?? 0),
      resetUnanswered: (id, forMs, sinceMs) => table.resetUnanswered(id, forMs, sinceMs),
      drain: (id, options) => {
        this.#draining.add(id);
        table.drain(id, options);
        this.#core?.drain(id, options.windowMs);
      },
      cancelDrain: (id) => {
        this.#draining.delete(id);
        table.cancelDrain(id);
        this.#core?.cancelDrain(id);
      },
      isDraining: (id) => this.#draining.has(id) || table.isDraining(id),
      closeOneQuiet: (id) => table.closeOneQuiet(id) || (this.#core?.endOneQuietWatch(id) ?? false),
    };
  }

  /** Forgets endpoints that have left and carry nothing any more. */
  forget(isWatched: (id: EndpointId) => boolean): void {
    for (const id of this.ids()) {
      if (isWatched(id)) continue;
      this.#draining.delete(id);
      this.#deps.table.forget(id);
      if (this.#core?.upstreams.forget(id)) this.#core.counters.forget(id);
    }
  }

  metrics(): HttpRequestNumbers | undefined {
    return this.#core?.counters;
  }

  /** Lets requests finish for `graceMs`, then ends them. The listeners must have stopped accepting. */
  async stop(graceMs: number): Promise<void> {
    const core = this.#core;
    if (!core) return;
    core.isStopping = true;
    await core.idle(graceMs);
    core.stop();
  }

  /** Ends the wait of `stop`. */
  abort(): void {
    this.#core?.stop();
  }
}

export interface PoolHttpListenerDeps {
  readonly http: PoolHttp;
  readonly config: ListenerConfig;
  readonly tls: ListenerTls;
  readonly requestHeader: RequestHeaderConfig;
  readonly reusePort: boolean;
  readonly log: Logger;
  passthroughAddresses(): readonly string[];
}

/**
 * Starts an http listener. An unreadable certificate does not keep the agent from starting: whoever
 * issues it may need the API servers, and with them the other listeners. It is looked for every `retryMs`.
 * Rejects with LeftOut where the host lacks the address of an optional one. `onReady` is told of the listener; the function that is returned gives up looking.
 */
export async function startPoolHttpListener(
  { http, config, tls, requestHeader, reusePort, log, passthroughAddresses }: PoolHttpListenerDeps,
  onReady: (listener: HttpListener) => void,
): Promise<() => void> {
  const core = await http.load();
  const [{ startHttpListener }, { readPair, watchPair }] = await Promise.all([
    import('../http/listener.ts'),
    import('../http/serving-certificate.ts'),
  ]);
  const { host, port, optional, allowFrom, maxTunnels } = config;
  let timer: Timer | undefined;
  let isStopped = false;
  let watch: { stop(): void } | undefined;
  const start = async (): Promise<void> => {
    const { certFile, keyFile } = requestHeader;
    const frontFiles = tls.clientCaFile && certFile && keyFile ? { certFile, keyFile } : undefined;
    if (frontFiles) core.upstreams.frontProxy = await readPair(frontFiles);
    const listener = await startHttpListener({
      listen: { host, port },
      files: tls,
      core,
      clock: systemClock,
      log,
      optional,
      reusePort,
      ...(frontFiles && { frontProxy: requestHeader }),
      ...(allowFrom && { allowFrom }),
      ...(maxTunnels !== undefined && { maxConnections: maxTunnels }),
      passthroughAddresses,
    });
    if (!listener) throw new LeftOut();
    if (frontFiles && !isStopped) {
      const take = (pair: FrontProxyPair) => {
        core.upstreams.frontProxy = pair;
      };
      watch = watchPair(frontFiles, { clock: systemClock, log, take });
    }
    if (isStopped) await listener.destroy();
    else onReady(listener);
  };
  const tryLater = (error: unknown): void => {
    if (!(error instanceof FairleadError) || error.code !== 'CERTIFICATE_INVALID') throw error;
    const address = formatHostPort({ host, port });
    const fields = { address, code: error.code, error: error.message, fix: error.fix };
    log.error(fields, 'http listener is waiting for its certificate');
    const retryLater = (): void => {
      timer = systemClock.schedule(retryMs, () => {
        readPair(tls)
          .then(async () => {
            if (!isStopped) await start();
          })
          .catch((reason: unknown) => {
            if (reason instanceof FairleadError && reason.code !== 'CERTIFICATE_INVALID')
              log.error(
                { address, code: reason.code, error: reason.message },
                'http listener cannot start yet',
              );
            if (!isStopped) retryLater();
          });
      });
    };
    retryLater();
  };
  await start().catch(tryLater);
  return () => {
    isStopped = true;
    timer?.cancel();
    watch?.stop();
  };
}

const retryMs = 2_000;

function isUsable(snapshots: SnapshotSource, id: EndpointId): boolean {
  const { candidates, usableCount } = snapshots.current;
  return candidates.slice(0, usableCount).some((candidate) => candidate.id === id);
}

// Puts the sources together: takes their proposals, refuses what leads back to ourselves, merges, publishes
// the endpoint set when it has really changed, and keeps the cache on disk. Owns the merged state.
import { rm } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { Logger } from 'pino';
import type { CredentialSource } from '../kubernetes/credentials.ts';
import type { SliceWatchState, SliceWatchTimings } from '../kubernetes/slice-watch-options.ts';
import type { Clock, Random } from '../model/clock.ts';
import type { Endpoint, EndpointId, HostPort } from '../model/endpoint.ts';
import type { EndpointSet, KnownEndpoint } from '../model/snapshot.ts';
import { CacheWriter, memoryFile, readCache } from './cache-file.ts';
import type { CacheContent, CachedEndpoint } from './cache-format.ts';
import { dnsSource, type Lookup } from './dns-source.ts';
import { kubeconfigSource } from './kubeconfig-source.ts';
import type { RememberedEndpoint } from './memory.ts';
import { emptyState, endpointSet, isSameSet, merge, type MergeState } from './merge.ts';
import { Remembering } from './remembering.ts';
import type { Proposal, Source } from './source.ts';
import { SetLog } from './set-log.ts';
import { staticSource } from './static-source.ts';
import { type WatchSource, watchSource } from './watch-source.ts';

export interface DiscoveryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>;
  readonly credentials: Pick<
    CredentialSource,
    'current' | 'started' | 'server' | 'problem' | 'reload' | 'subscribe'
  >;
  /** The configured list; a host may be a name, which is resolved again and again. */
  readonly endpoints: readonly HostPort[];
  readonly options: {
    readonly watch: boolean;
    readonly namespace: string;
    readonly service: string;
    /** Which port of the slices is the API server's. */
    readonly portName: string;
    readonly dnsIntervalMs: number;
    readonly cacheFile?: string | undefined;
    /** 0: endpoints that the watch no longer lists are forgotten at once. */
    readonly rememberForMs: number;
  };
  /** What was known before a reload; taken as the cache is. */
  readonly lastKnown?: readonly KnownEndpoint[];
  /** What was remembered before a reload. */
  readonly remembered?: readonly RememberedEndpoint[];
  /** Endpoints for the watch to go through, best first. */
  readonly order?: () => readonly Endpoint[];
  /** Whether health would use an endpoint; an open watch moves away from one that is not. */
  readonly isUsable?: (endpoint: EndpointId) => boolean;
  readonly isOwnListener: (endpoint: Endpoint) => boolean;
  readonly lookup?: Lookup;
  readonly userAgent?: string;
  readonly watchTimings?: SliceWatchTimings;
}

export type SetListener = (next: EndpointSet, previous: EndpointSet) => void;

export interface Discovery {
  /** Holds the static list and the cache as soon as `startDiscovery` has returned. */
  readonly current: EndpointSet;
  /** Calls back after each real change; returns the unsubscribe function. */
  subscribe(listener: SetListener): () => void;
  readonly watchState: SliceWatchState;
  /** The pick that worked before the restart, from the cache. */
  readonly lastPick: EndpointId | undefined;
  /** The cache on disk cannot be written, and is older than what is known. */
  readonly isCacheFailing: boolean;
  /** The endpoint that carries clients now, for the cache. */
  rememberPick(endpoint: EndpointId): void;
  /** Health has found it ready over verified TLS: it is not forgotten when the watch no longer lists it. */
  verified(endpoint: EndpointId): void;
  /** What is remembered, for the discovery that follows this one after a reload. */
  readonly remembered?: readonly RememberedEndpoint[];
  /** Whether some endpoint is usable. While none is, names are resolved again every few seconds. */
  usability(isAnyUsable: boolean): void;
  /** An endpoint has become ready, or the pick order has changed. */
  kick(): void;
  /** Writes what the cache still lacks; nothing is published after it. */
  stop(): Promise<void>;
}

export function startDiscovery(options: DiscoveryOptions): Discovery {
  const { clock, random, log, credentials, isOwnListener } = options;
  const { cacheFile, dnsIntervalMs: intervalMs, watch: isWatching, ...what } = options.options;
  const listeners = new Set<SetListener>();
  const refused = new Set<EndpointId>();
  let state = emptyState;
  let current = endpointSet(state);
  const setLog = new SetLog(clock, log, current);
  let isStopped = false;

  const onDisk = cacheFile === undefined ? undefined : readCache(cacheFile, log);
  const formerly = formerlyKnown(options, onDisk);
  const cachedOrigins = new Map(formerly.map(({ endpoint, origin }) => [endpoint.id, origin]));
  const writer =
    cacheFile === undefined ? undefined : new CacheWriter({ file: cacheFile, clock, random, log }, onDisk);
  let pick = onDisk?.lastPick;
  let isAnyUsable = true;
  // Removal is taken from the watch only: without one there is nothing to remember.
  const memory =
    isWatching && what.rememberForMs > 0
      ? new Remembering({
          clock,
          random,
          log,
          isOwnListener,
          ...(cacheFile !== undefined && { cacheFile }),
          rememberForMs: what.rememberForMs,
          ...(options.remembered && { before: options.remembered }),
          isProposed: (id) =>
            current.endpoints.some((known) => known.id === id && known.tier !== 'remembered'),
          isSynced: () => watch?.state.state === 'synced',
          isAnyUsable: () => isAnyUsable,
          onChange: (remembered) => become({ ...state, remembered }),
        })
      : undefined;

  // Off means forgotten, and not brought back when it is switched on again.
  if (isWatching && !memory && cacheFile !== undefined)
    void rm(memoryFile(cacheFile), { force: true }).catch(() => {});

  function propose(proposal: Proposal): void {
    if (isStopped) return;
    const endpoints = proposal.endpoints.filter((endpoint) => {
      if (!isOwnListener(endpoint)) return true;
      if (!refused.has(endpoint.id)) {
        refused.add(endpoint.id);
        // A kubeconfig that names our own listener is the normal case on a node.
        const level = proposal.source === 'kubeconfig' ? 'info' : 'warn';
        const { id, name } = endpoint;
        log[level](
          { endpoint: id, name, source: proposal.source },
          "ignoring an endpoint that is this agent's own listener",
        );
      }
      return false;
    });
    const merged = merge(state, { ...proposal, endpoints });
    become(merged);
    if (proposal.source !== 'watch' || proposal.syncedAtMs === undefined) return;
    // The merge keeps the last good list where the cluster lists nothing.
    memory?.listed((merged.proposed.watch ?? []).map(({ id }) => id));
  }

  function become(merged: MergeState): void {
    if (isStopped) return;
    state = merged;
    const next = endpointSet(state);
    if (isSameSet(next, current)) return;
    const previous = current;
    current = next;
    setLog.changed(next);
    save(true);
    for (const listener of [...listeners]) listener(next, previous);
    watch?.kick();
  }

  function save(isUrgent: boolean): void {
    const endpoints = current.endpoints.flatMap((endpoint): CachedEndpoint[] => {
      const origin = originOf(endpoint, cachedOrigins.get(endpoint.id));
      return origin === undefined ? [] : [{ endpoint, origin }];
    });
    // What was good on disk is never replaced by nothing.
    if (endpoints.length === 0) return;
    const content: CacheContent = {
      endpoints,
      ...(current.syncedAtMs === undefined ? {} : { syncedAtMs: current.syncedAtMs }),
      ...(pick === undefined ? {} : { lastPick: pick }),
    };
    writer?.save(content, isUrgent);
  }

  const order = (): readonly Endpoint[] => {
    const ordered = options.order?.() ?? [];
    return ordered.length > 0 ? ordered : current.endpoints.filter(({ tier }) => tier !== 'remembered');
  };
  const { lookup, isUsable, userAgent, watchTimings: timings } = options;
  const dns = { intervalMs, clock, random, log, ...(lookup && { lookup, hosts: async () => [] }) };
  let watch: WatchSource | undefined;
  if (isWatching) {
    watch = watchSource({
      namespace: what.namespace,
      service: what.service,
      portName: what.portName,
      credentials,
      order,
      clock,
      random,
      log,
      ...(isUsable && { isUsable }),
      ...(userAgent !== undefined && { userAgent }),
      ...(timings && { timings }),
    });
  }
  const named = [
    dnsSource({ ...dns, names: options.endpoints.filter(({ host }) => !isIP(host)) }),
    kubeconfigSource({ ...dns, credentials }),
  ];
  const sources: Source[] = [
    staticSource(options.endpoints),
    cacheSource(formerly),
    ...named,
    ...(watch ? [watch] : []),
  ];
  if (memory) become({ ...state, remembered: memory.entries });
  for (const source of sources) source.start(propose);

  return {
    get current() {
      return current;
    },
    get watchState() {
      return watch?.state ?? { state: 'off', message: 'disabled by configuration', failures: 0 };
    },
    get isCacheFailing() {
      return writer?.isFailing ?? false;
    },
    lastPick: onDisk?.lastPick,
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    rememberPick(endpoint) {
      if (isStopped || endpoint === pick) return;
      pick = endpoint;
      save(false);
    },
    verified(id) {
      const endpoint = current.endpoints.find((known) => known.id === id);
      if (endpoint && !isStopped) memory?.verified(endpoint);
    },
    get remembered() {
      return memory?.entries ?? [];
    },
    usability(isAny) {
      isAnyUsable = isAny;
      for (const source of named) source.setUrgent(!isAny);
    },
    kick: () => watch?.kick(),
    async stop() {
      isStopped = true;
      setLog.stop();
      listeners.clear();
      await Promise.all(sources.map((source) => source.stop()));
      await Promise.all([writer?.stop(), memory?.stop()]);
    },
  };
}

/**
 * What was known before a restart or a reload. Not kept: addresses of names that are no longer
 * configured, and what only the earlier static list had, unless there is nothing else.
 */
function formerlyKnown(
  { endpoints, lastKnown: before = [] }: DiscoveryOptions,
  onDisk: CacheContent | undefined,
): readonly CachedEndpoint[] {
  const lastKnown = before.filter(({ tier }) => tier !== 'remembered');
  const names = new Set(endpoints.map(({ host }) => host));
  const byId = new Map<EndpointId, CachedEndpoint>();
  for (const cached of onDisk?.endpoints ?? []) byId.set(cached.endpoint.id, cached);
  for (const known of lastKnown) {
    const origin = originOf(known, byId.get(known.id)?.origin ?? 'watch');
    const { tier: _tier, sources: _sources, ...endpoint } = known;
    if (origin !== undefined) byId.set(known.id, { endpoint, origin });
  }
  const wanted = [...byId.values()].filter(
    ({ endpoint: { name }, origin }) => origin !== 'dns' || (name !== undefined && names.has(name)),
  );
  if (wanted.length > 0 || endpoints.length > 0) return wanted;
  return lastKnown.map((endpoint) => ({ endpoint, origin: 'watch' }));
}

function cacheSource(formerly: readonly CachedEndpoint[]): Source {
  return {
    start(propose) {
      propose({ source: 'cache', endpoints: formerly.map(({ endpoint }) => endpoint) });
    },
    async stop() {},
  };
}

/** As what an endpoint is cached; undefined when the configuration holds it anyway. */
function originOf({ sources, name }: KnownEndpoint, cached: CachedEndpoint['origin'] | undefined) {
  if (sources.includes('watch')) return 'watch';
  if (sources.includes('dns')) return 'dns';
  if (sources.includes('kubeconfig') && name !== undefined) return 'kubeconfig';
  return sources.includes('cache') ? cached : undefined;
}

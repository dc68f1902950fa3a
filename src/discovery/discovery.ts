// Composition of the sources: what is known of the control plane, as one published set.
import type { Logger } from 'pino';
import { isIP } from 'node:net';
import type { CredentialSource } from '../kubernetes/credentials.ts';
import type { Clock, Random } from '../model/clock.ts';
import { type Endpoint, formatHostPort, type HostPort, makeEndpoint } from '../model/endpoint.ts';
import type { EndpointSet, KnownEndpoint } from '../model/snapshot.ts';
import type { WatchState } from '../model/status.ts';
import { emptyState, endpointSet, isSameSet, merge } from './merge.ts';

export interface DiscoveryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
  readonly credentials: CredentialSource;
  /** The static list; names are resolved again and again. */
  readonly endpoints: readonly HostPort[];
  readonly options: {
    readonly watch: boolean;
    readonly namespace: string;
    readonly service: string;
    readonly portName: string;
    readonly dnsIntervalMs: number;
    readonly cacheFile?: string;
  };
  /** What was known before a reload; taken as the cache is. */
  readonly lastKnown: readonly KnownEndpoint[];
  /** Endpoints for the watch to go through, best first. */
  order(): readonly Endpoint[];
  isOwnListener(endpoint: Endpoint): boolean;
}

export interface Discovery {
  readonly current: EndpointSet;
  readonly watchState: {
    readonly state: WatchState;
    readonly syncedAtMs?: number;
    readonly message?: string;
  };
  subscribe(listener: (next: EndpointSet) => void): () => void;
  /** An endpoint has become ready: a watch that waits tries again now. */
  kick(): void;
  stop(): Promise<void>;
}

export function startDiscovery({ endpoints, lastKnown, isOwnListener, log }: DiscoveryOptions): Discovery {
  const listeners = new Set<(next: EndpointSet) => void>();
  const known = endpoints.filter(({ host }) => isIP(host)).map(({ host, port }) => makeEndpoint(host, port));
  for (const endpoint of known.filter(isOwnListener)) {
    log.warn({ endpoint: formatHostPort(endpoint) }, 'endpoint is our own listener: left out');
  }
  let state = merge(emptyState, { source: 'cache', endpoints: lastKnown });
  state = merge(state, { source: 'static', endpoints: known.filter((endpoint) => !isOwnListener(endpoint)) });
  const current = endpointSet(state);
  void isSameSet;
  return {
    current,
    watchState: { state: 'off' },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    kick() {},
    async stop() {},
  };
}

// How API servers list themselves in EndpointSlice default/kubernetes: each keeps a lease in the store and
// writes the slice from all leases (pkg/controlplane/reconcilers/lease.go: 15 s, looked at every 10 s).
import { randomUUID } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { keyOf } from './kinds.ts';
import type { EndpointSlice, KubeObject } from './objects.ts';
import type { StoreApi, StoredValue } from './store.ts';
import { Timers } from './timers.ts';

const leases = '/masterleases/';
const sliceKey = keyOf({ group: 'discovery.k8s.io', resource: 'endpointslices' }, 'default', 'kubernetes');

export interface ReconcilerOptions {
  readonly store: StoreApi;
  /** The advertised address. */
  readonly address: string;
  readonly port: number;
  readonly leaseMs: number;
  readonly intervalMs: number;
}

export class EndpointReconciler {
  readonly #options: ReconcilerOptions;
  readonly #timers = new Timers();
  #isPaused = false;
  #isOver = false;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** Lists this server, and again at every interval. */
  async start(): Promise<void> {
    this.#timers.every(this.#options.intervalMs, () => void this.#tick());
    await this.#tick();
  }

  /** A frozen process does not renew its lease; after it thaws its late timer fires at once. */
  pause(isPaused: boolean): void {
    const wasPaused = this.#isPaused;
    this.#isPaused = isPaused;
    if (wasPaused && !isPaused) void this.#tick();
  }

  /** Removes this server's entry. Hangs while the store does. */
  async remove(): Promise<void> {
    this.abandon();
    await this.#turn;
    const { store, address } = this.#options;
    await store.delete(leases + address);
    await this.#write();
  }

  /** Stops without a word, as a killed process does; the entry goes when the lease has run out. */
  abandon(): void {
    this.#isOver = true;
    this.#timers.stop();
  }

  #tick(): Promise<void> {
    // One at a time: with a store that hangs, ticks would pile up.
    this.#turn = this.#turn.then(async () => {
      if (this.#isPaused || this.#isOver) return;
      const { store, address, leaseMs } = this.#options;
      try {
        await store.put(leases + address, { metadata: { name: address } }, { ttlMs: leaseMs });
        if (!this.#isOver) await this.#write();
      } catch {
        // The connection to the store broke; the next turn tries again.
      }
    });
    return this.#turn;
  }

  async #write(): Promise<void> {
    const { store, port } = this.#options;
    for (let attempt = 0; attempt < 10; attempt += 1) {
      const current = await store.get(sliceKey);
      const holders = await store.list(leases);
      if (!holders.ok) return;
      const addresses = holders.items.map(({ key }) => key.slice(leases.length));
      const next = makeSlice(addresses, port, current);
      if (!next) return;
      const result = await store.put(sliceKey, next, { expect: current?.revision ?? 'absent' });
      if (result.ok) return;
    }
  }
}

/** The slice as kube-apiserver writes it; undefined when it is right already. */
export function makeSlice(
  addresses: readonly string[],
  port: number,
  current?: StoredValue,
): EndpointSlice | undefined {
  const isEmpty = addresses.length === 0;
  const endpoints = isEmpty
    ? null
    : addresses.map((address) => ({ addresses: [address], conditions: { ready: true } }));
  const ports = isEmpty ? null : [{ name: 'https', port, protocol: 'TCP' }];
  const before = current?.value as EndpointSlice | undefined;
  const addressType = isEmpty ? (before?.addressType ?? 'IPv4') : isIPv6(addresses[0]!) ? 'IPv6' : 'IPv4';
  const isRight =
    before &&
    JSON.stringify([before.endpoints, before.ports, before.addressType]) ===
      JSON.stringify([endpoints, ports, addressType]);
  if (isRight) return undefined;
  const metadata: KubeObject['metadata'] = {
    name: 'kubernetes',
    namespace: 'default',
    uid: before?.metadata.uid ?? randomUUID(),
    generation: (before?.metadata.generation ?? 0) + 1,
    creationTimestamp: before?.metadata.creationTimestamp ?? new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    labels: { 'kubernetes.io/service-name': 'kubernetes' },
  };
  const type = { kind: 'EndpointSlice', apiVersion: 'discovery.k8s.io/v1' };
  return { ...type, metadata, addressType, endpoints, ports };
}

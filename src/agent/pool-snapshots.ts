// The snapshots of one pool: what discovery knows, what health says of it and which endpoints go first or last, put into
// this node's order and published.
import type { PoolCertificates } from './pool-certificates.ts';
import type { PoolPreference } from './pool-preference.ts';
import { isOnMemory, makeSnapshot, SnapshotPublisher } from '../balance/snapshot.ts';
import type { Discovery } from '../discovery/discovery.ts';
import type { Health } from '../health/health.ts';
import type { MemoryUse } from '../health/monitor.ts';
import type { Clock } from '../model/clock.ts';
import type { EndpointId } from '../model/endpoint.ts';
import type { EndpointSet } from '../model/snapshot.ts';

export interface SnapshotParts {
  readonly set: EndpointSet;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly health: Pick<Health, 'state' | 'probeNow'>;
  readonly preference: Pick<PoolPreference, 'favoured'>;
  readonly certificates: Pick<PoolCertificates, 'demotions'>;
  readonly discovery: Pick<Discovery, 'lastPick' | 'usability' | 'rememberPick'> | undefined;
}

export class PoolSnapshots extends SnapshotPublisher {
  #remembered: ReadonlySet<EndpointId> = new Set();
  /** Since when nothing that is listed or configured is usable. */
  #onMemorySinceMs: number | undefined;

  /** How a remembered endpoint is checked; undefined for any other. */
  memoryUse(id: EndpointId): MemoryUse | undefined {
    if (!this.#remembered.has(id)) return undefined;
    return this.#onMemorySinceMs === undefined ? 'resting' : 'needed';
  }

  /** One that a check has found usable; before the first verdict every endpoint counts as usable. */
  get hasProvedEndpoint(): boolean {
    return this.current.endpoints.some(({ isUsable, verdict }) => isUsable && verdict !== 'unknown');
  }

  /** Makes the snapshot of now, publishes it if it is a new one, and tells discovery and health what it means. */
  update({ set, nodeName, clock, health, preference, certificates, discovery }: SnapshotParts): void {
    this.#remembered = new Set(set.endpoints.flatMap(({ id, tier }) => (tier === 'remembered' ? [id] : [])));
    const nowMs = clock.nowMs();
    const state = (id: EndpointId) => health.state(id);
    const pick = discovery?.lastPick;
    const lastPick = pick !== undefined && { lastPick: pick };
    const favoured = preference.favoured(set.endpoints);
    const wasOnMemory = this.#onMemorySinceMs !== undefined;
    this.#onMemorySinceMs = isOnMemory(set, state) ? (this.#onMemorySinceMs ?? nowMs) : undefined;
    const onMemory = this.#onMemorySinceMs !== undefined && { onMemorySinceMs: this.#onMemorySinceMs };
    const wallMs = clock.wallMs();
    const demotions = certificates.demotions(set.endpoints);
    this.publish((version) =>
      makeSnapshot(
        { set, state, nodeName, nowMs, wallMs, ...lastPick, favoured, demotions, ...onMemory },
        version,
      ),
    );
    discovery?.usability(this.current.usableCount > 0);
    // One race over all of them: nothing else is left.
    if (onMemory && !wasOnMemory) for (const id of this.#remembered) health.probeNow(id);
    const [first] = this.current.endpoints;
    if (first?.verdict === 'ready') discovery?.rememberPick(first.endpoint.id);
  }
}

// Closes the tunnels of an endpoint little by little. Each tunnel gets a part of the window of its own, at random,
// so that the clients of a fleet do not all come back at once; within its part it is closed at its first quiet
// moment, at the part's end in any case.
import type { Clock, Random, Timer } from '../../model/clock.ts';
import type { Tunnel, TunnelRecord } from './tunnel.ts';

/** How often draining tunnels are looked at. */
const lookEveryMs = 50;

export class TunnelDrainer {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #quietMs: () => number;
  readonly #drains = new Map<TunnelRecord, Set<Tunnel>>();
  #timer: Timer | undefined;

  /** `quietMs`: a tunnel without a byte for this long counts as quiet. */
  constructor(clock: Clock, random: Random, quietMs: () => number) {
    this.#clock = clock;
    this.#random = random;
    this.#quietMs = quietMs;
  }

  has(record: TunnelRecord): boolean {
    return this.#drains.has(record);
  }

  /** Tunnels that drain already keep their times; tunnels that come later are left alone. */
  start(record: TunnelRecord, windowMs: number): void {
    if (record.tunnels.size === 0) return;
    const nowMs = this.#clock.nowMs();
    const draining = this.#drains.get(record) ?? new Set();
    for (const tunnel of record.tunnels) {
      if (draining.has(tunnel)) continue;
      const shiftMs = (this.#random() * windowMs) / 2;
      tunnel.drainFromMs = nowMs + shiftMs;
      tunnel.drainAtMs = nowMs + windowMs / 2 + shiftMs;
      draining.add(tunnel);
    }
    this.#drains.set(record, draining);
    this.#arm();
  }

  cancel(record: TunnelRecord): void {
    for (const tunnel of this.#drains.get(record) ?? []) {
      tunnel.drainFromMs = Number.POSITIVE_INFINITY;
      tunnel.drainAtMs = Number.POSITIVE_INFINITY;
    }
    this.#drains.delete(record);
  }

  /** The tunnel is gone. */
  forget(tunnel: Tunnel): void {
    if (tunnel.record) this.#drains.get(tunnel.record)?.delete(tunnel);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#drains.clear();
  }

  #arm(): void {
    this.#timer ??= this.#clock.schedule(lookEveryMs, () => {
      this.#timer = undefined;
      for (const [record, draining] of this.#drains) {
        this.#evaluate(record, draining);
        if (draining.size === 0) this.#drains.delete(record);
      }
      if (this.#drains.size > 0) this.#arm();
    });
  }

  #evaluate(record: TunnelRecord, draining: Set<Tunnel>): void {
    const nowMs = this.#clock.nowMs();
    const quietMs = this.#quietMs();
    for (const tunnel of draining) {
      const isHere = tunnel.connector ? tunnel.connector.uses(record) : tunnel.record === record;
      if (!isHere) {
        // It has moved on by itself while it connected.
        draining.delete(tunnel);
        const isElsewhere = tunnel.record && this.#drains.get(tunnel.record)?.has(tunnel);
        if (!isElsewhere) tunnel.drainFromMs = tunnel.drainAtMs = Number.POSITIVE_INFINITY;
        continue;
      }
      const isDue =
        nowMs >= tunnel.drainAtMs || (nowMs >= tunnel.drainFromMs && tunnel.isQuiet(nowMs, quietMs));
      if (!isDue) continue;
      draining.delete(tunnel);
      // A client that has not been answered yet is moved on instead, when there is somewhere to go.
      if (!tunnel.connector?.leaveEndpoint(record)) tunnel.close('drain');
    }
  }
}

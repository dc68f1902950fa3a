// Tunnels of which one side does not take what the other has sent. Reading is paused there, and libuv reports nothing of a
// socket that is neither read nor written, so a client that resets meanwhile would stay for as long as its endpoint does not
// read. One coarse timer looks; it stands still when no tunnel has stalled. Each stalled tunnel holds a read buffer: when all
// of them hold too much, the one that stalled first goes.
import type { Clock, Timer } from '../../model/clock.ts';
import type { MemoryLedger } from '../socket/memory-ledger.ts';
import type { Tunnel } from './tunnel.ts';

/** A look costs a system call for each stalled client. */
const lookEveryMs = 2_000;

export class StalledTunnels {
  readonly #clock: Clock;
  readonly #memory: MemoryLedger;
  /** In order of when they stalled. Those that go on are left in it until the next look. */
  readonly #tunnels = new Set<Tunnel>();
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(clock: Clock, memory: MemoryLedger) {
    this.#clock = clock;
    this.#memory = memory;
  }

  /** Called for each read that could not be handed on whole: `tunnel` waits now. */
  add(tunnel: Tunnel): void {
    if (!this.#tunnels.has(tunnel)) {
      this.#tunnels.add(tunnel);
      if (this.#timer === undefined && !this.#isStopped) this.#arm();
    }
    if (this.#memory.isOver('readBuffers')) this.#evictFirst();
  }

  forget(tunnel: Tunnel): void {
    this.#tunnels.delete(tunnel);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer = this.#clock.schedule(lookEveryMs, () => {
      this.#timer = undefined;
      for (const tunnel of this.#tunnels) {
        if (!tunnel.isStalled) this.#tunnels.delete(tunnel);
        else if (!tunnel.client.hasPeer()) tunnel.reset('client');
      }
      if (this.#tunnels.size > 0 && !this.#isStopped) this.#arm();
    });
  }

  #evictFirst(): void {
    for (const tunnel of this.#tunnels) {
      this.#tunnels.delete(tunnel);
      if (!tunnel.isStalled) continue;
      tunnel.evict();
      return;
    }
  }
}

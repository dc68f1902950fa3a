// What all tunnel tables of a process carry together: the tunnels, against the limit that descriptors set, and the memory that is
// held for them. Makes room for a new client by ending a tunnel that nothing has come of.
import { MemoryLedger } from './socket/memory-ledger.ts';
import type { AcceptPolicy } from './tunnel/accept-policy.ts';
import { type Evictable, EvictionQueue, firstToGo } from './tunnel/eviction-queue.ts';
import type { Tunnel } from './tunnel/tunnel.ts';

interface Room {
  readonly hasRoom: boolean;
  readonly limit: number | undefined;
}

const thereIsRoom: Room = { hasRoom: true, limit: undefined };

export class ProcessLoad {
  tunnels = 0;
  readonly memory: MemoryLedger;
  /** Tunnels of listeners without a policy. */
  readonly #queue = new EvictionQueue();
  /** One for each listener. */
  readonly #queues = new Set<EvictionQueue>([this.#queue]);

  constructor(memory = new MemoryLedger()) {
    this.memory = memory;
  }

  /** Whether there is a place for a new client. `limit` is the one that was reached: then another tunnel was ended for it. */
  makeRoom(maxTunnels: number, policy: AcceptPolicy | undefined): Room {
    let limit: number | undefined;
    if (policy && policy.tunnels >= policy.maxTunnels) {
      limit = policy.maxTunnels;
      if (!this.#evict([policy.queue])) return { hasRoom: false, limit };
    }
    if (this.tunnels >= maxTunnels) {
      limit = maxTunnels;
      if (!this.#evict(this.#queues)) return { hasRoom: false, limit };
    }
    return limit === undefined ? thereIsRoom : { hasRoom: true, limit };
  }

  #evict(queues: Iterable<EvictionQueue>): boolean {
    const tunnel = firstToGo(queues);
    if (tunnel === undefined) return false;
    // Its descriptors are closed when this returns; what is left of it follows within the turn.
    this.remove(tunnel);
    tunnel.evict();
    return true;
  }

  add(tunnel: Tunnel): void {
    const { policy } = tunnel;
    this.tunnels += 1;
    tunnel.isCounted = true;
    if (policy) {
      policy.tunnels += 1;
      this.#queues.add(policy.queue);
    }
    (policy?.queue ?? this.#queue).add(tunnel.place);
  }

  /** Idempotent. */
  remove(tunnel: Evictable): void {
    if (!tunnel.isCounted) return;
    tunnel.isCounted = false;
    this.tunnels -= 1;
    if (tunnel.policy) tunnel.policy.tunnels -= 1;
    tunnel.place.queue?.remove(tunnel.place);
  }
}

// Carries out what close-policy.ts and rebalance-policy.ts plan: evaluates the endpoints with tunnels once a second and
// whenever health changes, and tells the tunnel table. It owns the clock tick and nothing else.
import type { Logger } from 'pino';
import type { HealthState } from '../health/verdict.ts';
import { type Clock, jittered, type Random, type Timer } from '../model/clock.ts';
import type { EndpointId } from '../model/endpoint.ts';
import type { TrafficReader } from '../model/outcome.ts';
import type { SnapshotSource } from '../model/snapshot.ts';
import { type ClosePolicyOptions, planClose } from './close-policy.ts';
import type { BalancePolicy } from './picker.ts';
import { planMove } from './rebalance-policy.ts';

/** The part of the tunnel table that closes tunnels. */
export interface ClosableTunnels extends TrafficReader {
  /** Every endpoint that carries, or has carried, tunnels. */
  records(): Iterable<{ readonly id: EndpointId; readonly activeTunnels: number }>;
  /** Resets both sides of all its tunnels; how many. */
  resetEndpoint(endpoint: EndpointId, reason: 'dead'): number;
  /** Closes the tunnels that it has now when they are quiet, the rest at jittered moments within the window. */
  drain(endpoint: EndpointId, options: { readonly windowMs: number }): void;
  cancelDrain(endpoint: EndpointId): void;
  isDraining(endpoint: EndpointId): boolean;
  /** Resets tunnels whose client's bytes, sent after `sinceMs`, have been unanswered for `forMs`; how many. */
  resetUnanswered(endpoint: EndpointId, forMs: number, sinceMs: number): number;
  /** Closes one tunnel, the quietest; false when there is none quiet enough yet. */
  closeOneQuiet(endpoint: EndpointId): boolean;
}

export interface TunnelCloserDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly snapshots: SnapshotSource;
  readonly table: ClosableTunnels;
  state(endpoint: EndpointId): HealthState | undefined;
  /** Asks for a full handshake with an endpoint: tunnels are to move there. */
  prove(endpoint: EndpointId): void;
  /** Asks all endpoints how they are; `evaluate()` follows when they have answered. */
  ask(): void;
  options(): ClosePolicyOptions & {
    readonly policy: BalancePolicy;
    readonly rebalance: { readonly enabled: boolean; readonly overMs: number };
  };
}

const tickMs = 1_000;
/** Least time between two questions to all endpoints. */
const askSpacingMs = 2_000;
/** Tunnels only move towards an endpoint that has been ready for this long. */
const settledAfterMs = 30_000;

/** How long a full handshake stands for the certificate that the next client meets there, while tunnels are rebalanced. */
const provedForMs = 10_000;

export class TunnelCloser {
  readonly #deps: TunnelCloserDeps;
  readonly #removedAtMs = new Map<EndpointId, number>();
  /** Endpoints whose drain is planned, and since when: it needs a later proof of where their clients will go. */
  readonly #waitsSinceMs = new Map<EndpointId, number>();
  #tick: Timer | undefined;
  #ask: { readonly timer: Timer; readonly atMs: number } | undefined;
  #askedMs = Number.NEGATIVE_INFINITY;
  #nextMoveMs: number | undefined;
  /** Since when no tunnel that is to move has been quiet. */
  #busySinceMs: number | undefined;
  #isStopped = false;

  constructor(deps: TunnelCloserDeps) {
    this.#deps = deps;
    this.#schedule();
  }

  /** Looks now: health or discovery has changed. */
  evaluate(): void {
    if (this.#isStopped) return;
    const { clock, snapshots, table, state } = this.#deps;
    const nowMs = clock.nowMs();
    const options = this.#deps.options();
    // What is only remembered has left the list, as far as its own tunnels are concerned.
    const known = snapshots.current.endpoints;
    const listed = new Set(
      known.flatMap(({ endpoint }) => (endpoint.tier === 'remembered' ? [] : [endpoint.id])),
    );
    const isListedUsable = known.some(({ endpoint, isUsable }) => isUsable && listed.has(endpoint.id));
    const places = known.filter(({ endpoint, isUsable }) => isUsable || listed.has(endpoint.id));
    let askAtMs = Number.POSITIVE_INFINITY;
    for (const id of [...this.#removedAtMs.keys()]) {
      if (listed.has(id) || table.traffic(id).activeTunnels === 0) this.#removedAtMs.delete(id);
    }
    for (const { id, activeTunnels } of [...table.records()]) {
      const health = activeTunnels > 0 ? state(id) : undefined;
      if (!health) continue;
      if (!listed.has(id) && !this.#removedAtMs.has(id)) this.#removedAtMs.set(id, nowMs);
      // While only remembered ones are usable, none of them is left for another.
      const removedAtMs = isListedUsable ? this.#removedAtMs.get(id) : undefined;
      const others = places.flatMap(({ endpoint: { id: other } }) =>
        other === id ? [] : (state(other) ?? []),
      );
      const holder = { state: health, ...(removedAtMs !== undefined && { removedAtMs }) };
      const closing = planClose(holder, others, nowMs, options);
      if (closing.action === 'keep' && closing.askAtMs !== undefined) {
        askAtMs = Math.min(askAtMs, closing.askAtMs);
        // The proof that a drain needs is asked for in time.
        this.#mayLeave(id, nowMs);
      } else {
        const isNew = closing.action === 'drain' && !table.isDraining(id);
        if (isNew && !this.#mayLeave(id, nowMs)) continue;
        this.#waitsSinceMs.delete(id);
      }
      this.#carryOut(id, closing);
    }
    for (const id of this.#waitsSinceMs.keys()) {
      if (table.traffic(id).activeTunnels === 0) this.#waitsSinceMs.delete(id);
    }
    this.#askAt(Math.max(askAtMs, this.#askedMs + askSpacingMs));
  }

  /**
   * The clients of `from` will be served where they go, as far as certificates are concerned: each place has been proved
   * since the drain was planned. Asks for the proofs that are missing; a bad one takes its endpoint off the list.
   */
  #mayLeave(from: EndpointId, nowMs: number): boolean {
    const sinceMs = this.#waitsSinceMs.get(from) ?? nowMs;
    this.#waitsSinceMs.set(from, sinceMs);
    const places = this.#deps.snapshots.current.endpoints.filter(
      ({ endpoint, verdict, demotedFor, isUsable }) =>
        endpoint.id !== from &&
        verdict === 'ready' &&
        demotedFor === undefined &&
        (isUsable || endpoint.tier !== 'remembered'),
    );
    const isForFirst = this.#deps.options().policy === 'rendezvous';
    const next = isForFirst ? places.slice(0, 1) : places;
    const unproved = next.filter(({ endpoint }) => !this.#isProved(endpoint.id, sinceMs));
    for (const { endpoint } of unproved) this.#deps.prove(endpoint.id);
    return next.length > 0 && unproved.length === 0;
  }

  #isProved(id: EndpointId, sinceMs: number): boolean {
    const { provedMs } = this.#deps.state(id) ?? {};
    return provedMs !== undefined && provedMs >= sinceMs;
  }

  stop(): void {
    this.#isStopped = true;
    this.#tick?.cancel();
    this.#ask?.timer.cancel();
  }

  /** One question to all endpoints then; Infinity: none is needed. */
  #askAt(atMs: number): void {
    if (this.#ask?.atMs === atMs) return;
    this.#ask?.timer.cancel();
    this.#ask = undefined;
    if (atMs === Number.POSITIVE_INFINITY) return;
    const { clock, ask } = this.#deps;
    // Node cuts fractions of a millisecond off; a question that comes too early proves nothing.
    const timer = clock.schedule(Math.max(0, Math.ceil(atMs - clock.nowMs()) + 1), () => {
      this.#ask = undefined;
      this.#askedMs = clock.nowMs();
      if (!this.#isStopped) ask();
    });
    this.#ask = { timer, atMs };
  }

  #schedule(): void {
    this.#tick = this.#deps.clock.schedule(tickMs, () => {
      if (this.#isStopped) return;
      this.evaluate();
      this.#rebalance();
      this.#schedule();
    });
  }

  #carryOut(id: EndpointId, closing: ReturnType<typeof planClose>): void {
    const { table, log } = this.#deps;
    switch (closing.action) {
      case 'reset': {
        const tunnels = table.resetEndpoint(id, 'dead');
        if (tunnels > 0) log.warn({ endpoint: id, tunnels }, 'endpoint is dead: tunnels reset');
        return;
      }
      case 'reset-unanswered': {
        const tunnels = table.resetUnanswered(id, closing.olderThanMs, closing.sinceMs);
        if (tunnels > 0)
          log.warn({ endpoint: id, tunnels }, 'endpoint refuses connections: unanswered tunnels reset');
        return;
      }
      case 'drain':
        if (table.isDraining(id)) return;
        log.info(
          { endpoint: id, tunnels: table.traffic(id).activeTunnels, windowMs: closing.windowMs },
          'draining endpoint',
        );
        table.drain(id, { windowMs: closing.windowMs });
        return;
      case 'keep':
        if (!table.isDraining(id)) return;
        log.info({ endpoint: id }, 'endpoint drain cancelled');
        table.cancelDrain(id);
    }
  }

  #rebalance(): void {
    const { clock, random, snapshots, table, state, log } = this.#deps;
    const { policy, rebalance } = this.#deps.options();
    if (!rebalance.enabled) return;
    const nowMs = clock.nowMs();
    const settled = new Set(
      snapshots.current.endpoints
        .flatMap(({ endpoint, demotedFor }) => (demotedFor === undefined ? [endpoint.id] : []))
        .filter((id) => {
          const health = state(id);
          return health?.verdict === 'ready' && nowMs - health.sinceMs >= settledAfterMs;
        }),
    );
    const move = planMove(policy, snapshots.current, settled, (id) => table.traffic(id).activeTunnels);
    if (!move) {
      this.#nextMoveMs = undefined;
      return;
    }
    if (this.#nextMoveMs === undefined) {
      // The first wait is drawn from the whole span, so that a fleet does not start at once.
      this.#nextMoveMs = nowMs + (random() * rebalance.overMs) / move.misplaced;
    }
    if (nowMs < this.#nextMoveMs) return;
    const unproved = [...settled].filter(
      (id) => id !== move.from && !this.#isProved(id, nowMs - provedForMs),
    );
    const isForFirst = policy === 'rendezvous';
    const [first] = snapshots.current.candidates;
    const mustProve = isForFirst ? unproved.filter((id) => id === first?.id) : unproved;
    if (mustProve.length > 0) {
      for (const id of mustProve) this.#deps.prove(id);
      return;
    }
    if (!table.closeOneQuiet(move.from)) {
      // None is quiet. It is looked for while the proof is fresh, then after another wait: else tunnels that are never
      // quiet would cost their node a handshake with every proof that grows old.
      this.#busySinceMs ??= nowMs;
      if (nowMs - this.#busySinceMs < provedForMs - tickMs) return;
      this.#busySinceMs = undefined;
      this.#nextMoveMs = nowMs + jittered(rebalance.overMs / move.misplaced, 0.5, random);
      return;
    }
    this.#busySinceMs = undefined;
    log.info({ endpoint: move.from, misplaced: move.misplaced }, 'tunnel closed to rebalance');
    this.#nextMoveMs = nowMs + jittered(rebalance.overMs / move.misplaced, 0.5, random);
  }
}

// Proves one endpoint when its plan (proof.ts) says so. Owns the plan and one timer.
import type { Clock, Random, Timer } from '../model/clock.ts';
import type { ClientTlsOutcome } from '../model/outcome.ts';
import {
  afterClient,
  begun,
  dueMs,
  noProofYet,
  type ProofCause,
  type ProofPlan,
  type ProofRequest,
  proved,
  wanting,
} from './proof.ts';

export interface ProverDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Opens a fresh connection now and checks over it. */
  prove(request: ProofRequest): void;
}

/** All nodes have these reasons at the same moment: their handshakes are spread over so long. */
const spreadMs: Partial<Record<ProofCause, number>> = { return: 5_000, name: 30_000 };

export class Prover {
  readonly #deps: ProverDeps;
  #plan: ProofPlan = noProofYet;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(deps: ProverDeps) {
    this.#deps = deps;
  }

  /** The proof that is under way. */
  get running(): ProofRequest | undefined {
    return this.#plan.running;
  }

  clientTls(outcome: ClientTlsOutcome, serverName?: string): void {
    // Most tunnels are accepted, and then there is nothing to forget.
    if (outcome === 'accepted' && this.#plan.doubtMs === undefined) return;
    this.#follow(afterClient(this.#plan, outcome, serverName, this.#deps.clock.nowMs()));
  }

  want(request: ProofRequest): void {
    const { clock, random } = this.#deps;
    const nowMs = clock.nowMs();
    const spread = spreadMs[request.cause];
    const due = spread === undefined ? request : { ...request, notBeforeMs: nowMs + random() * spread };
    this.#follow(wanting(this.#plan, due, nowMs));
  }

  ended(result: { isGood: boolean; isNew: boolean }): void {
    this.#follow(proved(this.#plan, result));
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #follow(plan: ProofPlan): void {
    this.#plan = plan;
    this.#timer?.cancel();
    this.#timer = undefined;
    const atMs = dueMs(plan);
    if (atMs === undefined || this.#isStopped) return;
    const delayMs = atMs - this.#deps.clock.nowMs();
    if (delayMs > 0) this.#timer = this.#deps.clock.schedule(delayMs, () => this.#follow(this.#plan));
    else this.#begin(plan);
  }

  #begin(plan: ProofPlan): void {
    const { wanted } = plan;
    this.#plan = begun(plan, this.#deps.clock.nowMs());
    if (wanted) this.#deps.prove(wanted);
  }
}

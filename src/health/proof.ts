// When one endpoint is proved: a full TLS handshake on a fresh connection, and the check over it. Pure: a plan and
// what has happened give the next plan; time comes with the call.
//
// Checks stay on a kept connection for hours, which says nothing of the certificate that the next client meets.
// Clients tell: one that refuses the certificate (a strong sign), or two that leave without a word (weak signs). A sign
// is not a verdict: the client's own trust may be what is wrong. So it leads to a proof, and the proof decides. One
// misconfigured client is not a load: while proofs are good the next one that signs ask for comes later and later.
import type { ClientTlsOutcome } from '../model/outcome.ts';

/** Least time between two proofs of one endpoint, whatever asks for them. */
export const proofSpacingMs = 5_000;
/** What the time between proofs grows to, while signs continue and proofs succeed. */
export const maxProofSpacingMs = 160_000;
/** Two weak signs within this time are as good as a strong one. */
export const doubtWindowMs = 10_000;

export type ProofCause =
  /** Clients refuse the certificate, or seem to. */
  | 'sign'
  /** The certificate that was seen last has expired by our clock. */
  | 'expiry'
  /** Tunnels are to move there. */
  | 'move'
  /** It was unready or dead, answers again on the connection that was kept, and new tunnels are to go there. */
  | 'return'
  /** Whether the endpoint has a certificate for this name. */
  | 'name';

export interface ProofRequest {
  readonly cause: ProofCause;
  /** SNI to show first; absent: as a check does. */
  readonly serverName?: string;
  /** Not before this moment, where a whole fleet would come at once. */
  readonly notBeforeMs?: number;
}

export interface ProofPlan {
  /** Not before this moment, whatever asks. */
  readonly nextMs: number;
  /** Not before this moment, when signs ask. */
  readonly nextForSignMs: number;
  /** From the start of the next good proof that a sign led to until the next one. */
  readonly backOffMs: number;
  /** A weak sign that has waited for its second since then. */
  readonly doubtMs?: number;
  /** Asked for, and due at `nextMs`. */
  readonly wanted?: ProofRequest;
  /** The latest one that has begun, until its result is in. */
  readonly running?: ProofRequest & { readonly startedMs: number };
}

export const noProofYet: ProofPlan = {
  nextMs: Number.NEGATIVE_INFINITY,
  nextForSignMs: Number.NEGATIVE_INFINITY,
  backOffMs: proofSpacingMs,
};

const noBackOff = { nextForSignMs: Number.NEGATIVE_INFINITY, backOffMs: proofSpacingMs };

/** The plan after a client met the endpoint's certificate. */
export function afterClient(
  plan: ProofPlan,
  outcome: ClientTlsOutcome,
  serverName: string | undefined,
  nowMs: number,
): ProofPlan {
  const { doubtMs, ...undoubted } = plan;
  if (outcome === 'accepted') return undoubted;
  const isSecondDoubt = doubtMs !== undefined && nowMs - doubtMs <= doubtWindowMs;
  if (outcome === 'doubtful' && !isSecondDoubt) return { ...undoubted, doubtMs: nowMs };
  return wanting(undoubted, { cause: 'sign', ...(serverName !== undefined && { serverName }) }, nowMs);
}

/**
 * The plan with one more request. Of two signs the later one has the client that waits. Signs go before the rest, unless
 * they have to wait longer: a misconfigured client is not to hold up what moves tunnels away from a sick API server.
 */
export function wanting(plan: ProofPlan, request: ProofRequest, nowMs: number): ProofPlan {
  const { wanted } = plan;
  const next = { ...plan, wanted: request };
  if (wanted && request.cause !== 'sign') {
    if (wanted.cause === request.cause) return plan;
    if (wanted.cause === 'sign' && waitMs(plan, nowMs) <= waitMs(next, nowMs)) return plan;
  }
  // As long without a sign as the last wait was: whatever comes now is new.
  const isRested = nowMs - plan.nextForSignMs > plan.backOffMs;
  return isRested ? { ...next, backOffMs: proofSpacingMs } : next;
}

function waitMs(plan: ProofPlan, nowMs: number): number {
  return Math.max(0, (dueMs(plan) ?? nowMs) - nowMs);
}

/** When the wanted proof is due; undefined while none is wanted. */
export function dueMs({ wanted, nextMs, nextForSignMs }: ProofPlan): number | undefined {
  if (!wanted) return undefined;
  if (wanted.cause === 'sign') return Math.max(nextMs, nextForSignMs);
  return Math.max(nextMs, wanted.notBeforeMs ?? nextMs);
}

/** The wanted proof begins now. */
export function begun({ wanted, ...plan }: ProofPlan, nowMs: number): ProofPlan {
  if (!wanted) return plan;
  return { ...plan, nextMs: nowMs + proofSpacingMs, running: { ...wanted, startedMs: nowMs } };
}

/**
 * A full handshake has ended, asked for or not. `isNew`: it has shown another certificate than the one before.
 * A bad one needs no further proof: from then on every check opens a fresh connection.
 */
export function proved(plan: ProofPlan, { isGood, isNew }: { isGood: boolean; isNew: boolean }): ProofPlan {
  const { running, ...rest } = plan;
  if (!isGood) {
    const { wanted: _, doubtMs: _doubt, ...nothingWanted } = rest;
    return { ...nothingWanted, ...noBackOff };
  }
  const { wanted, ...satisfied } = rest;
  // Any full handshake is what these have asked for; a sign and a name are about a client's own.
  const next = wanted?.cause === 'sign' || wanted?.cause === 'name' ? rest : satisfied;
  if (isNew) return { ...next, ...noBackOff };
  if (running?.cause !== 'sign') return next;
  return {
    ...next,
    nextForSignMs: running.startedMs + rest.backOffMs,
    backOffMs: Math.min(maxProofSpacingMs, 2 * rest.backOffMs),
  };
}

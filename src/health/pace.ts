// How long each step of a probe's round may take. Pure.

/** Times of one round (ms), scaled with the endpoint's round trip. */
export interface Pace {
  /** No answer on the kept connection: suspicion begins and a fresh connection is tried. */
  readonly lateMs: number;
  /** From the first fresh attempt to the second. */
  readonly spacingMs: number;
  /** For TCP and TLS of a fresh connection. */
  readonly freshMs: number;
  /** For the answer, once it has been asked for. */
  readonly answerMs: number;
}

/**
 * With a local round trip: late 200, two fresh attempts 250 apart with 450 each, so that an endpoint
 * probed every 2 s at most is found dead within 2.9 s of its last sign of life.
 * `connectMs` undefined: never reached so far, so nothing is known of the way there.
 */
export function paceFor(
  { connectMs, answerMs }: { connectMs: number | undefined; answerMs: number | undefined },
  { timeoutMs }: { readonly timeoutMs: number },
): Pace {
  const roundTripMs = connectMs ?? 150;
  const usualMs = answerMs ?? roundTripMs;
  const answerLimitMs = timeoutMs + 2 * roundTripMs;
  return {
    lateMs: Math.min(0.7 * answerLimitMs, Math.max(200, 100 + 2 * roundTripMs, 100 + 2 * usualMs)),
    spacingMs: Math.max(250, roundTripMs),
    freshMs: Math.max(450, 100 + 4 * roundTripMs),
    answerMs: answerLimitMs,
  };
}

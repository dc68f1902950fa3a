// Tells when the certificate of one endpoint expires by this node's clock. Owns one timer.
import type { Clock, Random, Timer } from '../model/clock.ts';
import type { ServingCertificate } from './certificate.ts';

/** The clock may be set, and timers of Node do not go beyond 24.8 days: look again this often at least. */
const lookAgainMs = 3_600_000;
/** A certificate expires on all nodes at the same moment: their handshakes are spread over this time. */
const spreadMs = 10_000;

/** By the clock of this node it is not the time of the certificate: expired, or not valid yet. */
export function isOutOfTime(
  { notBeforeMs, notAfterMs }: Pick<ServingCertificate, 'notBeforeMs' | 'notAfterMs'>,
  wallMs: number,
): boolean {
  return wallMs >= notAfterMs || wallMs < notBeforeMs;
}

export interface ExpiryDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** It expires now. */
  onExpired(): void;
  /** A little later, on each node at another moment: time for a full handshake. */
  onProofDue(): void;
}

export class Expiry {
  readonly #deps: ExpiryDeps;
  #timer: Timer | undefined;

  constructor(deps: ExpiryDeps) {
    this.#deps = deps;
  }

  /** From now on it is about this certificate. */
  follow({ notAfterMs }: Pick<ServingCertificate, 'notAfterMs'>): void {
    const { clock, random, onExpired, onProofDue } = this.#deps;
    this.#timer?.cancel();
    const leftMs = notAfterMs - clock.wallMs();
    // One that is shown although it has expired (nothing verifies it) has been looked at just now.
    if (leftMs <= 0) return;
    this.#timer = clock.schedule(Math.min(leftMs, lookAgainMs), () => {
      if (clock.wallMs() < notAfterMs) return this.follow({ notAfterMs });
      this.#timer = clock.schedule(random() * spreadMs, onProofDue);
      onExpired();
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }
}

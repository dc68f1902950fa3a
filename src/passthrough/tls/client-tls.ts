// Tells health once for a tunnel how its client met the endpoint's certificate (tls-close-sign.ts). The tunnel has one of
// these from the endpoint's first bytes until that is clear: normally for one or two of the client's writes.
import type { EndpointId } from '../../model/endpoint.ts';
import type { ClientTlsOutcome, OutcomeReporter } from '../../model/outcome.ts';
import type { HelloFacts } from './hello-facts.ts';
import { TlsCloseSign } from './tls-close-sign.ts';

/** The endpoint speaks TLS and has not begun with an alert. */
export function isServerHandshake(firstBytes: Buffer): boolean {
  return firstBytes[0] === 22;
}

export class ClientTls {
  readonly #sign = new TlsCloseSign();
  readonly #endpoint: EndpointId;
  readonly #hello: HelloFacts;
  readonly #dialed: string | undefined;
  readonly #outcomes: Pick<OutcomeReporter, 'clientTls'>;

  /** `dialed`: our address that the client connected to; it verifies that one when it sends no SNI. */
  constructor(
    endpoint: EndpointId,
    hello: HelloFacts,
    outcomes: Pick<OutcomeReporter, 'clientTls'>,
    dialed?: string,
  ) {
    this.#endpoint = endpoint;
    this.#hello = hello;
    this.#dialed = dialed;
    this.#outcomes = outcomes;
  }

  /** The client's next bytes; returns true when nothing more is to be learned. */
  read(buffer: Buffer, byteCount: number): boolean {
    const verdict = this.#sign.read(buffer, byteCount);
    if (verdict === 'accepted') this.#report('accepted');
    return verdict !== 'undecided';
  }

  /** The client has closed first. */
  clientClosed(isAnswered: boolean): void {
    this.#report(this.#sign.clientClosed(isAnswered));
  }

  endpointClosed(): void {
    this.#report(this.#sign.endpointClosed());
  }

  #report(outcome: ClientTlsOutcome | undefined): void {
    const { serverName, offersSession } = this.#hello;
    // A resumed session continues without verifying the certificate.
    if (outcome === undefined || (outcome === 'accepted' && offersSession)) return;
    this.#outcomes.clientTls(this.#endpoint, outcome, serverName ?? this.#dialed);
  }
}

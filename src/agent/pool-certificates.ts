// What the certificates of a pool's endpoints mean for their order: which are used last, and which are proved first.
// Owns the names that clients verify; the certificates and their proofs are health's.
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { Logger } from 'pino';
import { SeenClientNames } from '../balance/seen-client-names.ts';
import { type ClientName, type Demotions, demotionsOf } from '../balance/demotion.ts';
import { sniName } from '../health/certificate.ts';
import { isOutOfTime } from '../health/expiry.ts';
import type { ProofRequest } from '../health/proof.ts';
import type { SeenCertificates } from '../health/seen-certificates.ts';
import { type HealthState, isUnproven } from '../health/verdict.ts';
import type { Clock } from '../model/clock.ts';
import type { EndpointId } from '../model/endpoint.ts';
import type { ClientTlsOutcome } from '../model/outcome.ts';
import type { KnownEndpoint } from '../model/snapshot.ts';
import type { CertificateNumbers, Validity } from '../observe/certificate-metrics.ts';

export interface PoolCertificatesDeps {
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Names that clients verify by configuration: our own, or a kubeconfig's. */
  certainNames(): readonly string[];
  state(endpoint: EndpointId): HealthState | undefined;
  certificates(endpoint: EndpointId): SeenCertificates | undefined;
  prove(endpoint: EndpointId, request: ProofRequest): void;
  /** Our own. */
  credentials(): { readonly ca?: string; readonly cert?: string };
}

export class PoolCertificates {
  readonly #deps: PoolCertificatesDeps;
  readonly #seen: SeenClientNames;
  #missingEverywhere: readonly string[] = [];
  #isClockSuspect = false;
  #byEndpoint: Demotions['byEndpoint'] = new Map();
  #ids: readonly EndpointId[] = [];

  constructor(deps: PoolCertificatesDeps) {
    this.#deps = deps;
    this.#seen = new SeenClientNames(deps.clock);
  }

  /** Names that clients verify, and that no endpoint has. */
  get missingEverywhere(): readonly string[] {
    return this.#missingEverywhere;
  }

  /** Every certificate looks expired or not yet valid: most likely the clock of this node is wrong. */
  get isClockSuspect(): boolean {
    return this.#isClockSuspect;
  }

  /** A client has met the certificate of an endpoint; one that may have left for any reason says nothing of names. */
  clientTls(outcome: ClientTlsOutcome, serverName?: string): void {
    // A client that dials an address sends no SNI, and verifies the address.
    const isAddress = serverName !== undefined && isIP(serverName) !== 0;
    const name = isAddress ? serverName : sniName(serverName);
    if (name !== undefined && outcome !== 'doubtful') this.#seen.see(name);
  }

  /** Which endpoints are used last, now; asks for the proofs that would show more. */
  demotions(known: readonly KnownEndpoint[]): Demotions['byEndpoint'] {
    const { clock, state, certificates } = this.#deps;
    const names = this.#names();
    // Those are used when nothing else is, so they are not what is better.
    const endpoints = known.filter(({ tier }) => tier !== 'remembered');
    const sniNames = new Set(names.flatMap(({ name }) => (sniName(name) === undefined ? [] : [name])));
    const wallMs = clock.wallMs();
    const standings = endpoints.map(({ id }) => {
      const health = state(id);
      const seen = certificates(id);
      const isReady = health?.verdict === 'ready';
      return {
        id,
        isReady,
        isOutOfTime: seen?.usual !== undefined && isOutOfTime(seen.usual, wallMs),
        isUnproven: isReady && isUnproven(health),
        covers: (name: string) => seen?.covers(name, sniNames.has(name)),
      };
    });
    const { byEndpoint, missingEverywhere } = demotionsOf(standings, names);
    this.#byEndpoint = byEndpoint;
    this.#ids = known.map(({ id }) => id);
    for (const { id, isReady, isUnproven: mustProve, covers } of standings) {
      if (!isReady) continue;
      if (mustProve) this.#deps.prove(id, { cause: 'return' });
      // A certificate for a name alone is shown only to those who ask for it.
      const unasked = names.find(
        ({ name, isCertain }) =>
          covers(name) === undefined &&
          certificates(id)?.usual !== undefined &&
          (isCertain || standings.some((other) => other.covers(name) === true)),
      );
      if (unasked) this.#deps.prove(id, { cause: 'name', serverName: unasked.name });
    }
    this.#tell(missingEverywhere);
    this.#judgeClock(
      endpoints.flatMap(({ id }) => {
        const usual = certificates(id)?.usual;
        const fault = state(id)?.fault;
        if (fault !== undefined) return fault === 'time';
        return usual === undefined ? [] : isOutOfTime(usual, wallMs);
      }),
    );
    return byEndpoint;
  }

  /** Wall time at which the certificate that an endpoint showed last expires. */
  notAfterMs(endpoint: EndpointId): number | undefined {
    return this.#deps.certificates(endpoint)?.usual?.notAfterMs;
  }

  numbers(): CertificateNumbers {
    const { ca, cert } = this.#deps.credentials();
    const cas = validities(ca).sort((a, b) => b.notAfterMs - a.notAfterMs);
    const [client] = validities(cert);
    return {
      serving: this.#ids.flatMap((endpoint) => {
        const usual = this.#deps.certificates(endpoint)?.usual;
        return usual ? [{ endpoint, notBeforeMs: usual.notBeforeMs, notAfterMs: usual.notAfterMs }] : [];
      }),
      ...(client && { client }),
      ...(cas[0] && { ca: cas[0] }),
      demoted: [...this.#byEndpoint].map(([endpoint, { reason }]) => ({ endpoint, reason })),
      missingNames: this.#missingEverywhere,
      isClockSuspect: this.#isClockSuspect,
    };
  }

  #names(): ClientName[] {
    const certain = new Set(this.#deps.certainNames());
    return [
      ...[...certain].map((name) => ({ name, isCertain: true })),
      ...this.#seen.current().flatMap((name) => (certain.has(name) ? [] : [{ name, isCertain: false }])),
    ];
  }

  #tell(missingEverywhere: readonly string[]): void {
    const isSame = missingEverywhere.join() === this.#missingEverywhere.join();
    this.#missingEverywhere = missingEverywhere;
    if (isSame) return;
    if (missingEverywhere.length === 0)
      this.#deps.log.info('the certificates contain every name that clients verify');
    else
      this.#deps.log.warn(
        { names: missingEverywhere },
        'no API server has a certificate for a name that clients verify',
      );
  }

  /** `outOfTime`: of each endpoint whose certificate is known, whether its time is over or has not come. */
  #judgeClock(outOfTime: readonly boolean[]): void {
    const isSuspect = outOfTime.length > 0 && outOfTime.every(Boolean);
    if (isSuspect === this.#isClockSuspect) return;
    this.#isClockSuspect = isSuspect;
    const now = new Date(this.#deps.clock.wallMs()).toISOString();
    if (isSuspect)
      this.#deps.log.warn(
        { now },
        'every serving certificate looks expired or not yet valid: check the clock of this node',
      );
    else
      this.#deps.log.info(
        { now },
        'a serving certificate is valid again according to the clock of this node',
      );
  }
}

const blocks = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;
/** Large bundles of a runtime's CAs are nothing to look at one by one. */
const maxBlocks = 64;

function validities(pem = ''): Validity[] {
  return (pem.match(blocks) ?? []).slice(0, maxBlocks).flatMap((block) => {
    try {
      const { validFromDate, validToDate } = new X509Certificate(block);
      return [{ notBeforeMs: validFromDate.getTime(), notAfterMs: validToDate.getTime() }];
    } catch {
      return [];
    }
  });
}

// What a serving certificate says. Pure.
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { isDnsName } from '../model/endpoint.ts';

/** The certificate that an endpoint has shown in a full handshake. Times are wall milliseconds. */
export interface ServingCertificate {
  readonly fingerprint: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** A client that verifies `name` (a DNS name or an IP address) would accept it, as Go does: by SANs alone. */
  covers(name: string): boolean;
}

/** Names that an answer is kept for: the order of the endpoints asks for the same ones with every check. */
const maxKnownNames = 64;

export function servingCertificate(certificate: X509Certificate): ServingCertificate {
  const known = new Map<string, boolean>();
  const isNamed = (name: string): boolean =>
    isIP(name)
      ? certificate.checkIP(name) !== undefined
      : certificate.checkHost(name, { subject: 'never', partialWildcards: false }) !== undefined;
  return {
    fingerprint: certificate.fingerprint256,
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
    covers(name) {
      const before = known.get(name);
      if (before !== undefined) return before;
      if (known.size >= maxKnownNames) known.clear();
      const isCovered = isNamed(name);
      known.set(name, isCovered);
      return isCovered;
    },
  };
}

/**
 * The name that a client has sent as SNI, when it can be sent again as one (RFC 6066: a DNS name without a trailing
 * dot, never an address). Any process on the node can send anything.
 */
export function sniName(text: string | undefined): string | undefined {
  if (text === undefined || text.length > 253) return undefined;
  const name = text.toLowerCase();
  return isDnsName(name) && !name.endsWith('.') && isIP(name) === 0 ? name : undefined;
}

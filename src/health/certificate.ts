// What a serving certificate says, and why one does not verify, in words of our own. Pure.
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

/** The certificate that an endpoint has shown in a full handshake. Times are wall milliseconds. */
export interface ServingCertificate {
  readonly fingerprint: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** A client that verifies `name` (a DNS name or an IP address) would accept it, as Go does: by SANs alone. */
  covers(name: string): boolean;
}

export function servingCertificate(certificate: X509Certificate): ServingCertificate {
  return {
    fingerprint: certificate.fingerprint256,
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
    covers: (name) =>
      isIP(name)
        ? certificate.checkIP(name) !== undefined
        : certificate.checkHost(name, { subject: 'never', partialWildcards: false }) !== undefined,
  };
}

/** What kind of fault a handshake has found; `time` may be a fault of our own clock. */
export type CertificateFault = 'time' | 'authority' | 'name' | 'other';

const unknownAuthority = 'certificate is signed by an unknown authority';

/** OpenSSL's verification results that mean something to an operator; Node passes their names on as error codes. */
const faults: Readonly<Record<string, { readonly fault: CertificateFault; readonly text: string }>> = {
  CERT_HAS_EXPIRED: { fault: 'time', text: 'certificate has expired' },
  CERT_NOT_YET_VALID: { fault: 'time', text: 'certificate is not valid yet' },
  UNABLE_TO_GET_ISSUER_CERT: { fault: 'authority', text: unknownAuthority },
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: { fault: 'authority', text: unknownAuthority },
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: { fault: 'authority', text: unknownAuthority },
  SELF_SIGNED_CERT_IN_CHAIN: { fault: 'authority', text: unknownAuthority },
  DEPTH_ZERO_SELF_SIGNED_CERT: {
    fault: 'authority',
    text: 'certificate is self-signed, not signed by the CA',
  },
  CERT_SIGNATURE_FAILURE: {
    fault: 'authority',
    text: 'certificate is not signed by the CA of that name',
  },
  CERT_UNTRUSTED: { fault: 'authority', text: 'certificate is signed by an authority that is not trusted' },
  CERT_REJECTED: { fault: 'authority', text: 'certificate is signed by an authority that is not trusted' },
  CERT_CHAIN_TOO_LONG: { fault: 'authority', text: 'certificate chain is too long' },
  CERT_REVOKED: { fault: 'other', text: 'certificate is revoked' },
  INVALID_CA: { fault: 'authority', text: 'certificate is signed by a certificate that is not a CA' },
  PATH_LENGTH_EXCEEDED: { fault: 'authority', text: 'certificate chain is longer than its CA allows' },
  INVALID_PURPOSE: { fault: 'other', text: 'certificate is not meant for servers' },
  ERR_TLS_CERT_ALTNAME_INVALID: { fault: 'name', text: 'certificate is for another name' },
};

/** The fault that a TLS error stands for; undefined when it is not about the certificate. */
export function certificateFault(
  error: Error & { readonly code?: string; readonly wanted?: readonly string[] },
): { readonly fault: CertificateFault; readonly text: string } | undefined {
  const known = faults[error.code ?? ''];
  if (known?.fault === 'name' && error.wanted !== undefined && error.wanted.length > 0)
    return { fault: 'name', text: `certificate is not valid for ${error.wanted.join(' or ')}` };
  return known;
}

const dnsName =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*$/;

/**
 * The name that a client has sent as SNI, when it can be sent again as one (RFC 6066: a DNS name without a trailing
 * dot, never an address). Anybody on the node can send anything.
 */
export function sniName(text: string | undefined): string | undefined {
  if (text === undefined || text.length > 253) return undefined;
  const name = text.toLowerCase();
  return dnsName.test(name) && isIP(name) === 0 ? name : undefined;
}

// Why a certificate does not verify, in words of our own: Node's advise to change how Node is run. Pure.

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
    text: 'certificate is not signed by the CA that it names',
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

/** What an error code says of a certificate, in our own words; not for names, whose messages have the details. */
export function certificateText(code: string): string | undefined {
  const known = faults[code];
  return known?.fault === 'name' ? undefined : known?.text;
}

// The certificate that an address shows: verified against a CA, not yet for a name. Nothing is asked and nothing secret is
// sent.
import { connect, type PeerCertificate } from 'node:tls';
import { connectionErrorText } from '../model/certificate-fault.ts';
import type { HostPort } from '../model/endpoint.ts';
import { codeOf } from '../model/error-text.ts';
import { identityOptions } from './server-identity.ts';

export type Presented =
  | { readonly ok: true; readonly certificate: PeerCertificate }
  | { readonly ok: false; readonly problem: string; readonly code?: string };

export interface PresentOptions {
  readonly address: HostPort;
  /** PEM; absent: the runtime's own. */
  readonly ca?: string;
  /** SNI; none is sent for an IP address. */
  readonly serverName?: string;
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 5_000;

/** Never rejects. */
export function presentedCertificate(options: PresentOptions): Promise<Presented> {
  const { address, ca, serverName, timeoutMs = defaultTimeoutMs } = options;
  return new Promise((resolve) => {
    const socket = connect({
      ...address,
      ...(ca !== undefined && { ca }),
      ...identityOptions(address, serverName),
      checkServerIdentity: () => undefined,
    });
    const end = (presented: Presented) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(presented);
    };
    const timer = setTimeout(
      () => end({ ok: false, problem: `no TLS answer within ${timeoutMs / 1000} s`, code: 'ETIMEDOUT' }),
      timeoutMs,
    );
    socket.once('secureConnect', () => end({ ok: true, certificate: socket.getPeerCertificate() }));
    // Late errors of a socket that is done are nobody's business.
    socket.on('error', (error) => {
      const code = codeOf(error);
      end({ ok: false, problem: describe(error), ...(code !== undefined && { code }) });
    });
    socket.once('close', () =>
      end({ ok: false, problem: 'the connection was closed during the TLS handshake' }),
    );
  });
}

const descriptions: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there (connection refused)',
  ECONNRESET: 'the connection was reset',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ENOTFOUND: 'the name does not resolve',
  CERT_HAS_EXPIRED: 'the certificate, or its CA, has expired',
  CERT_NOT_YET_VALID: 'the certificate, or its CA, is not valid yet',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the certificate is not signed by the CA of the kubeconfig',
  SELF_SIGNED_CERT_IN_CHAIN: 'the certificate is not signed by the CA of the kubeconfig',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is self-signed, not signed by the CA of the kubeconfig',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the certificate is not signed by the CA of the kubeconfig',
  ERR_SSL_WRONG_VERSION_NUMBER: 'what answers there does not speak TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'what answers there does not speak TLS',
};

function describe(error: unknown): string {
  // A name with several addresses gives an AggregateError; its members say why.
  const [first] =
    typeof error === 'object' && error !== null && 'errors' in error ? (error.errors as unknown[]) : [];
  const code = codeOf(error) ?? codeOf(first);
  return descriptions[code ?? ''] ?? connectionErrorText(first ?? error);
}

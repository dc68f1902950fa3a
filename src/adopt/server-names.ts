// Which name a client can verify an API server's certificate by, found out by looking at the certificates
// themselves: the address that clients are to use (Fairlead's listener), and every endpoint behind it, since
// a name that only some API servers carry would fail at the first failover.
import { isIP } from 'node:net';
import { connect, type PeerCertificate } from 'node:tls';
import { checkIdentity } from '../kubernetes/server-identity.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { connectionErrorText } from '../model/certificate-fault.ts';
import { codeOf } from '../model/error-text.ts';

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

/** The certificate that `address` shows, verified against the CA but not yet for a name. Never rejects. */
export function presentedCertificate(options: PresentOptions): Promise<Presented> {
  const { address, ca, serverName = '', timeoutMs = defaultTimeoutMs } = options;
  return new Promise((resolve) => {
    const socket = connect({
      ...address,
      ...(ca !== undefined && { ca }),
      servername: isIP(serverName) ? '' : serverName,
      // Said outright: Node's default is what NODE_TLS_REJECT_UNAUTHORIZED says.
      rejectUnauthorized: true,
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

/** Undefined when `certificate` is good for `name`, as Go's clients judge it; else what is wrong. */
export function nameProblem(certificate: PeerCertificate, name: string): string | undefined {
  return checkIdentity({ host: name }, certificate, name)?.message;
}

/** The names that kubeadm, Kubespray, k3s and the managed offerings put into every API server's certificate. */
export const serviceNames = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'] as const;

export interface NameChoiceInput {
  /** Where clients are to connect. */
  readonly address: HostPort;
  /** The API servers behind it. */
  readonly endpoints: readonly HostPort[];
  readonly ca?: string;
  /** Tried in this order. */
  readonly candidates: readonly string[];
  readonly present?: (options: PresentOptions) => Promise<Presented>;
}

export type NameChoice =
  | { readonly ok: true; readonly name: string; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problem: string };

/** The first candidate for which the address, and every endpoint that answers, shows a good certificate. */
export async function chooseName(input: NameChoiceInput): Promise<NameChoice> {
  const { address, endpoints, ca, candidates, present = presentedCertificate } = input;
  const problems: string[] = [];
  for (const name of candidates) {
    const ask = (target: HostPort) =>
      present({ address: target, serverName: name, ...(ca !== undefined && { ca }) });
    const shown = await ask(address);
    // Without an answer, or with a certificate that nobody vouches for, no name can help.
    if (!shown.ok) return { ok: false, problem: `${formatHostPort(address)}: ${shown.problem}` };
    const mismatch = nameProblem(shown.certificate, name);
    if (mismatch !== undefined) {
      problems.push(`${formatHostPort(address)}: ${mismatch}`);
      continue;
    }
    const others = await Promise.all(
      endpoints.map(async (endpoint) => ({ endpoint, shown: await ask(endpoint) })),
    );
    const warnings: string[] = [];
    const bad: string[] = [];
    for (const { endpoint, shown: other } of others) {
      const where = formatHostPort(endpoint);
      if (!other.ok) warnings.push(`${where} could not be looked at: ${other.problem}`);
      else {
        const wrong = nameProblem(other.certificate, name);
        if (wrong !== undefined) bad.push(`${where}: ${wrong}`);
      }
    }
    if (bad.length === 0) return { ok: true, name, warnings };
    problems.push(...bad);
  }
  return { ok: false, problem: problems.join('\n  ') };
}

/** What to try for a client of `host` that verifies by the name `current` now, if by one. */
export function nameCandidates(host: string, current?: string): string[] {
  // A name that somebody chose comes first: it stays, if it still works.
  return [...new Set(current === undefined ? [host, ...serviceNames] : [current, ...serviceNames, host])];
}

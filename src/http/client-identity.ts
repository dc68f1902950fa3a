// Who a client says it is by a certificate. Such an identity cannot pass a proxy that ends TLS: it is either
// refused, with the way out, or (a front proxy, off by default) handed on in headers. Pure but for reading the
// certificate of a connection.
import type { PeerCertificate, TLSSocket } from 'node:tls';
import type { RequestHeaders } from './request-headers.ts';
import type { Refusal } from './status-answer.ts';

export type ClientCertificate =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'offered';
      readonly isVerified: boolean;
      readonly subject: Partial<PeerCertificate['subject']>;
    };

/** How identities are handed on; the API server's --requestheader-* flags must match. */
export interface FrontProxyHeaders {
  readonly usernameHeader: string;
  readonly groupHeader: string;
}

export type Admission =
  /** `isFronted`: to be sent with the front proxy's certificate. */
  { readonly ok: true; readonly isFronted: boolean } | { readonly ok: false; readonly refusal: Refusal };

/** `authorized` is set by TLS: the certificate verifies against the listener's `clientCaFile`. */
export function certificateOf(
  socket: Pick<TLSSocket, 'authorized' | 'getPeerCertificate'>,
): ClientCertificate {
  const { subject } = socket.getPeerCertificate() as Partial<PeerCertificate>;
  // Empty when the client has sent none; a certificate without any subject still has an object there.
  if (subject === undefined) return { kind: 'none' };
  return { kind: 'offered', isVerified: socket.authorized, subject };
}

/**
 * Decides about a client's certificate. With a front proxy its names are put into `headers`, in place of any
 * Authorization: a request speaks for one user only.
 */
export function admit(
  certificate: ClientCertificate,
  headers: RequestHeaders,
  frontProxy: FrontProxyHeaders | undefined,
  passthroughAddresses: readonly string[],
): Admission {
  if (certificate.kind === 'none') return { ok: true, isFronted: false };
  if (frontProxy === undefined) return { ok: false, refusal: misdirected(passthroughAddresses) };
  if (!certificate.isVerified) {
    const message = 'the client certificate is not signed by the CA that this listener trusts (clientCaFile)';
    return { ok: false, refusal: { code: 401, reason: 'Unauthorized', message, isLast: true } };
  }
  const { CN: user, O: groups = [] } = certificate.subject as { CN?: unknown; O?: string | string[] };
  const all = typeof groups === 'string' ? [groups] : groups;
  // Several common names: the API server would take another one than we do.
  if (typeof user !== 'string' || ![user, ...all].every((name) => /^[\x20-\x7e]+$/.test(name))) {
    const message =
      'the client certificate has no single common name in ASCII, or a group that is not; use the passthrough listener';
    return { ok: false, refusal: { code: 403, reason: 'Forbidden', message, isLast: true } };
  }
  delete headers.authorization;
  headers[frontProxy.usernameHeader.toLowerCase()] = user;
  if (all.length > 0) headers[frontProxy.groupHeader.toLowerCase()] = all;
  return { ok: true, isFronted: true };
}

function misdirected(passthroughAddresses: readonly string[]): Refusal {
  const where =
    passthroughAddresses.length > 0
      ? `use the passthrough listener at ${passthroughAddresses.join(' or ')}, or a bearer token`
      : 'use a passthrough listener (this agent has none), or a bearer token';
  const message = `a client certificate cannot pass this listener, which ends TLS: ${where}`;
  return { code: 421, reason: 'MisdirectedRequest', message, isWarned: true, isLast: true };
}

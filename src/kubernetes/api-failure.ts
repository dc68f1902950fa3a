// Why a request to an API server gave nothing: a value, with words for people.
import { connectionErrorText, socketFailure } from '../lib/errno.ts';
import { codeOf } from '../model/error-text.ts';

export interface ApiFailure {
  readonly kind: 'refused' | 'unreachable' | 'timeout' | 'tls' | 'reset' | 'garbage' | 'status' | 'closed';
  /** `no process listens there (connection refused)`, `no TLS within 5 s`, `503`. */
  readonly text: string;
  /** For `status`. */
  readonly status?: number;
  /** It came as an event within a watch, not as the answer. */
  readonly isEvent?: boolean;
  /** From Retry-After. */
  readonly retryAfterMs?: number;
  /** The user that a Status object of a 403 names. */
  readonly user?: string;
}

/** What to do about an answer that no API server gives. */
export const checkServer = 'check that an API server listens there';

/** Sorts what a socket, TLS or the HTTP parser reports. */
export function failureOf(error: unknown): ApiFailure {
  const code = codeOf(error) ?? '';
  const text = connectionErrorText(error).slice(0, 300);
  const known = socketFailure(code);
  if (known !== undefined && known !== 'exhausted') return { kind: known, text };
  if (code.startsWith('HPE_')) return { kind: 'garbage', text: `not HTTP: ${text}` };
  // OpenSSL's own codes, its verification results (CERT_HAS_EXPIRED) and Node's identity check.
  if (/^EPROTO$|^ERR_(SSL|TLS|OSSL)|CERT|SIGNATURE|ISSUER|CRL|_CHAIN|HOSTNAME/.test(code))
    return { kind: 'tls', text };
  return { kind: 'unreachable', text: code || text };
}

/** What an answer other than 200 says. `body` is its beginning, perhaps a Kubernetes Status. */
export function statusFailure(status: number, retryAfter: string | undefined, body: string): ApiFailure {
  const seconds = /^\d{1,5}$/.test(retryAfter ?? '') ? Number(retryAfter) : undefined;
  const user = /User \\?"([^"\\]{1,120})/.exec(body)?.[1];
  return {
    kind: 'status',
    status,
    text: `HTTP ${status}`,
    ...(seconds === undefined ? {} : { retryAfterMs: seconds * 1000 }),
    ...(user === undefined ? {} : { user }),
  };
}

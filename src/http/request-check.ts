// What the listener does not carry, whoever asks. Pure. The API server never sees such a request, so it can't be
// led to read it in another way than we did.
import { badRequest, type Refusal } from './status-answer.ts';

/** Origin form only, in visible ASCII: what we read is then what the next server reads. */
const originForm = /^\/[\x21-\x7e]*$/;

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** May be executed twice without harm (RFC 9110 9.2.2). */
const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

export function isIdempotent(method: string): boolean {
  return idempotent.has(method);
}

/** Node sends a body of unknown length for these; for the others it would say that there is none. */
export function mayStreamWithoutLength(method: string): boolean {
  return method === 'POST' || method === 'PUT' || method === 'PATCH';
}

export function checkRequest(method: string, target: string): Refusal | undefined {
  if (!methods.has(method)) {
    const message = `the method ${/^[A-Z]{1,16}$/.test(method) ? method : 'of this request'} is not supported`;
    return { code: 405, reason: 'MethodNotAllowed', message, isLast: true };
  }
  if (!originForm.test(target))
    return badRequest('the request target must be a path in visible ASCII characters');
  return undefined;
}

/** The upgrades that Kubernetes knows, as the client wrote it; undefined: carried as a plain request. */
export function upgradeOf(headers: {
  readonly connection?: string | undefined;
  readonly upgrade?: string | undefined;
}): string | undefined {
  const { connection = '', upgrade = '' } = headers;
  const isAsked = connection.split(',').some((option) => option.trim().toLowerCase() === 'upgrade');
  return isAsked && /^(websocket|spdy\/3\.1)$/i.test(upgrade.trim()) ? upgrade.trim() : undefined;
}

/** The bytes after an upgrade belong to the new protocol, so there can be no body before them. */
export function hasBody(headers: {
  readonly 'content-length'?: string | undefined;
  readonly 'transfer-encoding'?: string | undefined;
}): boolean {
  return headers['transfer-encoding'] !== undefined || !/^0*$/.test(headers['content-length'] ?? '');
}

/** Bounded label of metrics. */
export function verbOf(method: string, target: string, isUpgrade: boolean): string {
  if (isUpgrade) return 'CONNECT';
  if (!methods.has(method)) return 'other';
  const query = target.indexOf('?');
  if (method !== 'GET' || query < 0) return method;
  return /[?&]watch(=(1|true))?(&|$)/.test(target.slice(query)) ? 'WATCH' : method;
}

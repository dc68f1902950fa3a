// Our own answers, as Kubernetes clients understand them: a Status object.
import type { ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';

export interface Refusal {
  readonly code: number;
  /** `reason` of the Status: Kubernetes' own words where there is one. */
  readonly reason: string;
  readonly message: string;
  /** Seconds; client-go then tries again by itself, so only where nothing has been executed. */
  readonly retryAfter?: number;
  /** Shown by kubectl even where it drops the Status of an error, as while it asks for the API groups. */
  readonly isWarned?: boolean;
  /** Close the client's connection after it: the rest of what it sends means nothing. */
  readonly isLast?: boolean;
}

export function statusBody({ code, reason, message, retryAfter }: Refusal): string {
  const details = retryAfter === undefined ? {} : { details: { retryAfterSeconds: retryAfter } };
  const type = { kind: 'Status', apiVersion: 'v1', metadata: {} };
  return `${JSON.stringify({ ...type, status: 'Failure', message: `fairlead: ${message}`, reason, ...details, code })}\n`;
}

/** Answers with the refusal; does nothing when an answer has begun. */
export function refuse(response: ServerResponse | Http2ServerResponse, refusal: Refusal): void {
  if (response.headersSent || response.destroyed) return;
  const body = statusBody(refusal);
  const isHttp1 = !('stream' in response);
  // Both response types have these; their signatures differ.
  const plain = response as ServerResponse;
  plain.writeHead(refusal.code, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...(refusal.retryAfter !== undefined && { 'retry-after': String(refusal.retryAfter) }),
    ...(refusal.isWarned && { warning: `299 fairlead "${refusal.message.replaceAll(/["\\]/g, "'")}"` }),
    ...(refusal.isLast && isHttp1 && { connection: 'close' }),
  });
  plain.end(body);
}

export const badRequest = (message: string): Refusal => ({
  code: 400,
  reason: 'BadRequest',
  message,
  isLast: true,
});

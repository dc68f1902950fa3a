// One request to one API server on a connection of its own: what commands and the installer ask. The connection, its
// verification, its deadlines and its bounds are the session's.
import type { HostPort } from '../model/endpoint.ts';
import { makeEndpoint } from '../model/endpoint.ts';
import { systemClock } from '../model/clock.ts';
import { ApiSession, type SessionRequest, type SessionTimings } from './api-session.ts';
import type { Credentials } from './credentials.ts';

export interface Question extends Omit<SessionRequest, 'body'> {
  readonly endpoint: HostPort;
  readonly credentials: Credentials;
  /** Sent as JSON, with POST where no method is given. */
  readonly body?: unknown;
  readonly userAgent: string;
  readonly timings?: SessionTimings;
}

export type Answer =
  | {
      readonly ok: true;
      readonly status: number;
      readonly body: string;
      /** The server's clock, and ours at the middle of the exchange, milliseconds. */
      readonly dateMs?: number;
      readonly ourMs: number;
      /** How long the exchange took. */
      readonly tookMs: number;
    }
  | { readonly ok: false; readonly problem: string };

/** A user waits for a command, and the installer has other API servers to ask: 18 s at most. */
export const commandTimings: SessionTimings = {
  connectMs: 3_000,
  tlsMs: 3_000,
  answerMs: 5_000,
  bodyMs: 7_000,
};

/** Never rejects. */
export async function askApiServer(question: Question): Promise<Answer> {
  const session = commandSession(question);
  try {
    return await askOver(session, question);
  } finally {
    session.close();
  }
}

/** A session for commands. Its idle connections close soon, and keep no process alive. */
export function commandSession({
  endpoint: { host, port },
  credentials,
  userAgent,
  timings = commandTimings,
}: Pick<Question, 'endpoint' | 'credentials' | 'userAgent' | 'timings'>): ApiSession {
  const endpoint = makeEndpoint(host, port);
  const clock = systemClock;
  return new ApiSession({
    endpoint,
    credentials,
    userAgent,
    timings,
    clock,
    idleMs: 5_000,
    maxConnections: 4,
  });
}

/** Never rejects. */
export async function askOver(
  session: ApiSession,
  { path, body, method, contentType }: Pick<Question, 'path' | 'body' | 'method' | 'contentType'>,
): Promise<Answer> {
  const startedMs = Date.now();
  const answer = await session.request({
    path,
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(contentType !== undefined && { contentType }),
  });
  if (!answer.ok) return { ok: false, problem: answer.failure.text };
  const endedMs = Date.now();
  const dateMs = Date.parse(answer.date ?? '');
  return {
    ok: true,
    status: answer.status,
    body: answer.body,
    ourMs: (startedMs + endedMs) / 2,
    tookMs: endedMs - startedMs,
    ...(Number.isFinite(dateMs) && { dateMs }),
  };
}

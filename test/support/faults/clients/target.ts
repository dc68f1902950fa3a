// Where the clients of a fault test go, with which credentials, and what one answered question looks like.
import { request } from 'node:https';
import type { Agent } from 'node:https';
import { monotonicMs } from './monotonic.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** One question and what became of it; all times are `monotonicMs()`. */
export interface Call {
  readonly askedMs: number;
  readonly doneMs: number;
  readonly status?: number;
  /** The stand-in API server that answered. */
  readonly server?: string;
  /** Why there was no complete answer. */
  readonly error?: string;
  /**
   * The kept connection was closed before the first byte of an answer. HTTP/1.1 cannot tell a question that crossed a
   * server's regular close from a lost one; clients ask again at once (RFC 9112 9.3.1, Go's net/http does).
   */
  readonly isAskedAgain?: boolean;
}

/** No answer, and nobody asks again. */
export function isFailed(call: Call): boolean {
  return !isGood(call) && !call.isAskedAgain;
}

export function isGood({ error, status = 0 }: Call): boolean {
  return error === undefined && status >= 200 && status < 300;
}

/** The API server's certificate is for `localhost`, the local listener's name; verification is never off. */
export function tlsOptions({ host, port, ca, cert, key }: Target) {
  return { host, port, ca, cert, key, servername: 'localhost' };
}

/** Asks once over HTTP/1.1: on a new connection, or on the one that `agent` keeps. Never rejects. */
export function ask(
  target: Target,
  path: string,
  { agent = false, timeoutMs = 0 }: { agent?: Agent | false; timeoutMs?: number } = {},
): Promise<Call> {
  const { promise, resolve } = Promise.withResolvers<Call>();
  const askedMs = monotonicMs();
  let timer: NodeJS.Timeout | undefined;
  const done = (result: Omit<Call, 'askedMs' | 'doneMs'>): void => {
    clearTimeout(timer);
    resolve({ askedMs, doneMs: monotonicMs(), ...result });
  };
  const headers = agent ? {} : { connection: 'close' };
  let isAnswering = false;
  const call = request({ ...tlsOptions(target), agent, path, headers }, (response) => {
    isAnswering = true;
    const server = response.headers['x-stand-in'];
    response.resume();
    response.on('error', (error) => done({ error: describe(error) }));
    response.on('end', () => {
      done({ status: response.statusCode ?? 0, ...(typeof server === 'string' && { server }) });
    });
  });
  call.on('error', (error) => {
    done({ error: describe(error), ...(call.reusedSocket && !isAnswering && { isAskedAgain: true }) });
  });
  if (timeoutMs > 0) {
    timer = setTimeout(() => {
      done({ error: `no answer within ${timeoutMs} ms` });
      call.destroy();
    }, timeoutMs);
  }
  call.end();
  return promise;
}

export function describe(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? error.message;
}

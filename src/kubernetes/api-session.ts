// One kept-alive HTTPS connection to one API server, for lists and watches. Everything has a deadline and a
// bound, and every outcome is a value.
//
// Why not @kubernetes/client-node's Watch: it ends every watch after 30 s of silence (bookmarks come once a
// minute), hides the Status of an error, drops lines that are not JSON, has no bound on the length of a
// line, makes a new agent for every call (a TLS handshake each) and brings undici, 10 MB of memory in the
// bundle. Its KubeConfig caches agents by name, so that a rotated certificate would never be used.
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type Clock, judgeAfter, type Timer } from '../model/clock.ts';
import type { Endpoint } from '../model/endpoint.ts';
import { type ApiFailure, failureOf, statusFailure } from './api-failure.ts';
import type { Credentials } from './credentials.ts';
import { identityOptions } from './server-identity.ts';

export interface SessionTimings {
  readonly connectMs: number;
  readonly tlsMs: number;
  /** From the request to the response headers. */
  readonly answerMs: number;
  /** From the response headers of a list to its last byte, however slowly it drips. */
  readonly bodyMs: number;
}

export const defaultTimings: SessionTimings = {
  connectMs: 3_000,
  tlsMs: 5_000,
  answerMs: 10_000,
  bodyMs: 15_000,
};

/** A slice holds at most 1,000 endpoints, about 300 KB of JSON. */
const maxListBytes = 8 << 20;
const maxLineBytes = 2 << 20;
/** What one watch may send in its minutes; a control plane's slices change a few times a day. */
const maxWatchBytes = 16 << 20;
const maxWatchLines = 10_000;
const maxErrorBytes = 8 << 10;

export interface SessionOptions {
  readonly endpoint: Endpoint;
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly userAgent: string;
  readonly timings?: SessionTimings;
}

interface Watching {
  /** The server has said 200. */
  onOpen(): void;
  /** One line; a failure ends the watch. */
  onLine(line: string): ApiFailure | undefined;
  /** The watch must have ended by itself by then. */
  readonly lifeMs: number;
}

/** What a response is read into. */
interface Reader {
  onOpen(): void;
  onData(chunk: Buffer): ApiFailure | undefined;
  readonly bodyMs: number;
  readonly overdue: string;
}

export class ApiSession {
  readonly #options: SessionOptions;
  readonly #timings: SessionTimings;
  readonly #agent: Agent;
  #abort: ((failure: ApiFailure) => void) | undefined;
  #isClosed = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#timings = options.timings ?? defaultTimings;
    const { endpoint, credentials } = options;
    const { ca, cert, key, serverName } = credentials;
    this.#agent = new Agent({
      keepAlive: true,
      keepAliveMsecs: 15_000,
      maxSockets: 1,
      // No cached TLS sessions: a resumed one would not look at the server's certificate again.
      maxCachedSessions: 0,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert, key }),
      // Here, not at each request: Node closes a connection after a request with an identity check of its own.
      ...identityOptions(endpoint, serverName),
    });
  }

  /** GET with a whole answer, bounded in time and size. */
  async get(path: string): Promise<{ ok: true; body: string } | { ok: false; failure: ApiFailure }> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const failure = await this.#exchange(path, {
      bodyMs: this.#timings.bodyMs,
      overdue: `no whole answer within ${this.#timings.bodyMs / 1000} s`,
      onOpen() {},
      onData(chunk) {
        bytes += chunk.length;
        if (bytes > maxListBytes)
          return { kind: 'garbage', text: `an answer of more than ${maxListBytes} bytes` };
        chunks.push(chunk);
        return undefined;
      },
    });
    return failure ? { ok: false, failure } : { ok: true, body: Buffer.concat(chunks).toString('utf8') };
  }

  /** GET with an answer of lines, as long as it lasts. Undefined: it ended properly. */
  watch(path: string, { onOpen, onLine, lifeMs }: Watching): Promise<ApiFailure | undefined> {
    let parts: Buffer[] = [];
    let lineBytes = 0;
    let bytes = 0;
    let lines = 0;
    return this.#exchange(path, {
      bodyMs: lifeMs,
      overdue: 'the watch did not end when it should have',
      onOpen,
      onData(chunk) {
        bytes += chunk.length;
        if (bytes > maxWatchBytes)
          return { kind: 'garbage', text: `a watch of more than ${maxWatchBytes} bytes` };
        let from = 0;
        for (;;) {
          const at = chunk.indexOf(10, from);
          const piece = chunk.subarray(from, at < 0 ? undefined : at);
          lineBytes += piece.length;
          if (lineBytes > maxLineBytes)
            return { kind: 'garbage', text: `an event of more than ${maxLineBytes} bytes` };
          if (piece.length > 0) parts.push(piece);
          if (at < 0) return undefined;
          const line = Buffer.concat(parts).toString('utf8').trim();
          parts = [];
          lineBytes = 0;
          from = at + 1;
          lines += 1;
          if (lines > maxWatchLines) return { kind: 'garbage', text: 'a watch of too many events' };
          const failure = line === '' ? undefined : onLine(line);
          if (failure) return failure;
        }
      },
    });
  }

  /** Ends what is under way; it resolves with `closed`. */
  close(): void {
    this.#isClosed = true;
    this.#abort?.({ kind: 'closed', text: 'left' });
    this.#agent.destroy();
  }

  async #exchange(path: string, reader: Reader): Promise<ApiFailure | undefined> {
    const first = await this.#attempt(path, reader);
    // The server may close an idle connection at the moment of its reuse: that says nothing about it.
    if (first.isStale && !this.#isClosed) return (await this.#attempt(path, reader)).failure;
    return first.failure;
  }

  #attempt(path: string, reader: Reader): Promise<{ failure: ApiFailure | undefined; isStale: boolean }> {
    const { endpoint, credentials, clock, userAgent } = this.#options;
    const { token } = credentials;
    if (this.#isClosed) return Promise.resolve({ failure: { kind: 'closed', text: 'left' }, isStale: false });
    return new Promise((resolve) => {
      let deadline: Timer | undefined;
      let isDone = false;
      let hasAnswer = false;
      const sent = request({
        agent: this.#agent,
        host: endpoint.host,
        port: endpoint.port,
        path,
        headers: {
          accept: 'application/json',
          'user-agent': userAgent,
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
      });

      const finish = (failure: ApiFailure | undefined) => {
        if (isDone) return;
        isDone = true;
        deadline?.cancel();
        this.#abort = undefined;
        if (failure) sent.destroy();
        resolve({ failure, isStale: failure?.kind === 'reset' && sent.reusedSocket && !hasAnswer });
      };
      const within = (ms: number, text: string) => {
        deadline?.cancel();
        if (isDone) return;
        deadline = judgeAfter(clock, ms, {
          onExpired: () => finish({ kind: 'timeout', text }),
          onVoid: () => within(ms, text),
        });
      };
      const withinSeconds = (what: string, ms: number) => within(ms, `no ${what} within ${ms / 1000} s`);
      this.#abort = finish;

      sent.on('error', (error) => finish(failureOf(error)));
      // An informational answer or an upgrade would otherwise leave nothing to wait for.
      sent.on('upgrade', (_response, socket) => {
        socket.destroy();
        finish({ kind: 'garbage', text: 'an upgrade nobody asked for' });
      });
      sent.on('close', () => finish({ kind: 'reset', text: 'the connection was closed' }));
      sent.on('socket', (socket: Socket) => {
        if (isSecured(socket)) {
          withinSeconds('answer', this.#timings.answerMs);
          return;
        }
        withinSeconds('connection', this.#timings.connectMs);
        socket.once('connect', () => {
          socket.setKeepAlive(true, 15_000, 5_000, 3);
          withinSeconds('TLS', this.#timings.tlsMs);
        });
        socket.once('secureConnect', () => withinSeconds('answer', this.#timings.answerMs));
      });
      sent.on('response', (response) => {
        hasAnswer = true;
        if (response.statusCode !== 200) {
          readError(response, within, finish);
          return;
        }
        within(reader.bodyMs, reader.overdue);
        reader.onOpen();
        response.on('data', (chunk: Buffer) => {
          const failure = isDone ? undefined : reader.onData(chunk);
          if (failure) finish(failure);
        });
        response.on('end', () => finish(undefined));
        response.on('error', (error) => finish(failureOf(error)));
        response.on('close', () => finish({ kind: 'reset', text: 'the answer was cut off' }));
      });
      sent.end();
    });
  }
}

function isSecured(socket: Socket): boolean {
  return !socket.connecting && (socket as TLSSocket).authorized === true;
}

/** Reads the beginning of an error's body, for the Status in it. */
function readError(
  response: IncomingMessage,
  within: (ms: number, text: string) => void,
  finish: (failure: ApiFailure) => void,
): void {
  const status = response.statusCode ?? 0;
  let body = '';
  const say = () => finish(statusFailure(status, response.headers['retry-after'], body));
  within(2_000, `HTTP ${status}, without an end`);
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    body += chunk;
    if (body.length > maxErrorBytes) say();
  });
  response.on('end', say);
  response.on('error', say);
  response.on('close', say);
}

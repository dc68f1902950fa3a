// Kept-alive HTTPS connections to one API server: the one way on which anything of Fairlead asks the Kubernetes API.
// Everything has a deadline and a bound, and every outcome is a value.
//
// Why not @kubernetes/client-node's Watch: it ends every watch after 30 s of silence (bookmarks come once a
// minute), hides the Status of an error, drops lines that are not JSON, has no bound on the length of a
// line, makes a new agent for every call (a TLS handshake each) and brings undici, 10 MB of memory in the
// bundle. Its KubeConfig caches agents by name, so that a rotated certificate would never be used.
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { ByteAccumulator } from '../lib/byte-accumulator.ts';
import { LineReader } from '../lib/line-reader.ts';
import { type Clock, judgeAfter, type Timer } from '../model/clock.ts';
import type { Endpoint } from '../model/endpoint.ts';
import { type ApiFailure, checkServer, failureOf, statusFailure } from './api-failure.ts';
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

/**
 * Of a list, or any other whole answer. Measured as JSON, a list with the API servers' own slice has 0.8 KB for 1 endpoint,
 * 0.9 KB for 3 and 62 KB for 1,000, the most that a slice may hold; 610 KB when each has every field that a slice can
 * have. What may be longer is read in pages.
 */
const maxBodyBytes = 1 << 20;
/** Of one event of a watch, which holds one slice: 62 KB for 1,000 endpoints of API servers, or 860 with every field. */
const maxLineBytes = 512 << 10;
/** What one watch may send in its minutes; a control plane's slices change a few times a day. */
const maxWatchBytes = 16 << 20;
const maxWatchLines = 10_000;
const maxErrorBytes = 8 << 10;
/** So few bytes an answer's chunks may have on average; a real server's have kilobytes. Each costs the event loop a turn. */
const minChunkBytes = 16;
const freeChunks = 1_024;
/** 100 Continue and the like, which an API server does not send to these requests. */
const maxInformational = 16;

export interface SessionOptions {
  readonly endpoint: Endpoint;
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly userAgent: string;
  readonly timings?: SessionTimings;
  /** How long an idle connection stays open; as long as the server likes by default. */
  readonly idleMs?: number;
  /** Connections at a time; one by default. */
  readonly maxConnections?: number;
}

export interface SessionRequest {
  readonly path: string;
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** JSON, or what `contentType` says. */
  readonly body?: string;
  readonly contentType?: string;
}

/** A whole answer, whatever its status. */
export interface SessionAnswer {
  readonly ok: true;
  readonly status: number;
  readonly body: string;
  /** The header Date. */
  readonly date?: string;
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
  /** False: the answer is a failure, and only the Status in it is read. */
  takes(status: number): boolean;
  onOpen(response: IncomingMessage): void;
  onData(chunk: Buffer): ApiFailure | undefined;
  readonly bodyMs: number;
  readonly overdue: string;
}

export class ApiSession {
  readonly #options: SessionOptions;
  readonly #timings: SessionTimings;
  readonly #agent: Agent;
  /** Ends each exchange that is under way. */
  readonly #running = new Set<(failure: ApiFailure) => void>();
  #isClosed = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#timings = options.timings ?? defaultTimings;
    const { endpoint, credentials, idleMs, maxConnections = 1 } = options;
    const { ca, cert, key, serverName } = credentials;
    this.#agent = new Agent({
      keepAlive: true,
      keepAliveMsecs: 15_000,
      maxSockets: maxConnections,
      // No cached TLS sessions: a resumed one would not look at the server's certificate again.
      maxCachedSessions: 0,
      ...(idleMs === undefined ? {} : { timeout: idleMs }),
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert, key }),
      // Here, not at each request: Node closes a connection after a request with an identity check of its own.
      ...identityOptions(endpoint, serverName),
    });
  }

  /** GET with a whole answer, bounded in time and size; any status but 200 is a failure. */
  async get(path: string): Promise<{ ok: true; body: string } | { ok: false; failure: ApiFailure }> {
    return this.#whole({ path }, (status) => status === 200);
  }

  /** Any request, with a whole answer of any status, bounded in time and size. */
  request(request: SessionRequest): Promise<SessionAnswer | { ok: false; failure: ApiFailure }> {
    return this.#whole(request, () => true);
  }

  /** GET with an answer of lines, as long as it lasts. Undefined: it ended properly. */
  watch(path: string, { onOpen, onLine, lifeMs }: Watching): Promise<ApiFailure | undefined> {
    const small = new SmallChunks();
    let bytes = 0;
    let lines = 0;
    const reader = new LineReader<ApiFailure>(
      maxLineBytes,
      (line) => {
        lines += 1;
        return lines > maxWatchLines ? garbage('a watch with too many events') : onLine(line);
      },
      () => garbage(`an event larger than ${maxLineBytes} bytes`),
    );
    return this.#exchange(
      { path },
      {
        bodyMs: lifeMs,
        overdue: 'the watch did not end when it should have',
        takes: (status) => status === 200,
        onOpen,
        onData(chunk) {
          bytes += chunk.length;
          if (bytes > maxWatchBytes) return garbage(`a watch larger than ${maxWatchBytes} bytes`);
          return small.count(chunk) ?? reader.read(chunk);
        },
      },
    );
  }

  /** Ends what is under way; it resolves with `closed`. */
  close(): void {
    this.#isClosed = true;
    for (const abort of [...this.#running]) abort({ kind: 'closed', text: 'closed by this agent' });
    this.#agent.destroy();
  }

  async #whole(
    request: SessionRequest,
    takes: (status: number) => boolean,
  ): Promise<SessionAnswer | { ok: false; failure: ApiFailure }> {
    const small = new SmallChunks();
    const body = new ByteAccumulator(maxBodyBytes);
    let answer: IncomingMessage | undefined;
    const failure = await this.#exchange(request, {
      bodyMs: this.#timings.bodyMs,
      overdue: `no complete answer within ${this.#timings.bodyMs / 1000} s`,
      takes,
      onOpen(response) {
        answer = response;
      },
      onData(chunk) {
        if (!body.append(chunk)) return garbage(`an answer larger than ${maxBodyBytes} bytes`);
        return small.count(chunk);
      },
    });
    if (failure) return { ok: false, failure };
    const date = answer?.headers.date;
    return {
      ok: true,
      status: answer?.statusCode ?? 0,
      body: body.text(),
      ...(date === undefined ? {} : { date }),
    };
  }

  async #exchange(request: SessionRequest, reader: Reader): Promise<ApiFailure | undefined> {
    const first = await this.#attempt(request, reader);
    // The server may close an idle connection at the moment of its reuse: that says nothing about it.
    const mayRepeat = (request.method ?? 'GET') === 'GET';
    if (first.isStale && mayRepeat && !this.#isClosed) return (await this.#attempt(request, reader)).failure;
    return first.failure;
  }

  #attempt(
    { path, method = 'GET', body, contentType = 'application/json' }: SessionRequest,
    reader: Reader,
  ): Promise<{ failure: ApiFailure | undefined; isStale: boolean }> {
    const { endpoint, credentials, clock, userAgent } = this.#options;
    const { token } = credentials;
    if (this.#isClosed)
      return Promise.resolve({ failure: { kind: 'closed', text: 'closed by this agent' }, isStale: false });
    return new Promise((resolve) => {
      let deadline: Timer | undefined;
      let isDone = false;
      let hasAnswer = false;
      let informational = 0;
      const sent = request({
        agent: this.#agent,
        host: endpoint.host,
        port: endpoint.port,
        path,
        method,
        headers: {
          accept: 'application/json, */*;q=0.1',
          'user-agent': userAgent,
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined
            ? {}
            : { 'content-type': contentType, 'content-length': Buffer.byteLength(body) }),
        },
      });

      const finish = (failure: ApiFailure | undefined) => {
        if (isDone) return;
        isDone = true;
        deadline?.cancel();
        this.#running.delete(finish);
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
      this.#running.add(finish);

      sent.on('error', (error) => finish(failureOf(error)));
      // A flood of them keeps the event loop so busy that the deadline, which is void when the loop is late, never comes.
      sent.on('information', () => {
        informational += 1;
        if (informational > maxInformational) finish(garbage('informational answers without end'));
      });
      // An informational answer or an upgrade would otherwise leave nothing to wait for.
      sent.on('upgrade', (_response, socket) => {
        socket.destroy();
        finish(garbage('an unrequested upgrade'));
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
        if (!reader.takes(response.statusCode ?? 0)) {
          readError(response, within, finish);
          return;
        }
        within(reader.bodyMs, reader.overdue);
        reader.onOpen(response);
        response.on('data', (chunk: Buffer) => {
          const failure = isDone ? undefined : reader.onData(chunk);
          if (failure) finish(failure);
        });
        response.on('end', () => finish(undefined));
        response.on('error', (error) => finish(failureOf(error)));
        response.on('close', () => finish({ kind: 'reset', text: 'the answer was cut off' }));
      });
      sent.end(body);
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
  const body = new ByteAccumulator(maxErrorBytes);
  const say = () => finish(statusFailure(status, response.headers['retry-after'], body.text()));
  within(2_000, `HTTP ${status}, never completed`);
  response.on('data', (chunk: Buffer) => {
    if (!body.append(chunk)) say();
  });
  response.on('end', say);
  response.on('error', say);
  response.on('close', say);
}

/** Counts the chunks of an answer. Chunks of a byte each would keep the event loop busy for as long as they come. */
class SmallChunks {
  #bytes = 0;
  #chunks = 0;

  count(chunk: Buffer): ApiFailure | undefined {
    this.#bytes += chunk.length;
    this.#chunks += 1;
    const isUsual = this.#chunks <= freeChunks || this.#bytes >= this.#chunks * minChunkBytes;
    return isUsual ? undefined : garbage(`an answer in ${this.#chunks} chunks of a few bytes`);
  }
}

function garbage(text: string): ApiFailure {
  return { kind: 'garbage', text: `${text}; ${checkServer}` };
}

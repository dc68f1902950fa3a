// One request of a client, from its headers to the end of the answer: which endpoints it is tried on, and what
// the client is told when none of them answers. http-proxy-3 carries each attempt; what it leaves open is closed
// here (docs/http.md lists it).
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { constants as http2 } from 'node:http2';
import type { Socket } from 'node:net';
import type { ProxyServer } from 'http-proxy-3';
import type { Clock } from '../model/clock.ts';
import type { EndpointId } from '../model/endpoint.ts';
import { codeOf } from '../model/error-text.ts';
import { nextRound, type RequestPlan, type RequestTarget } from './request-plan.ts';
import type { HttpOptions } from './options.ts';
import {
  type BodyBudget,
  type Framing,
  framingOf,
  KeptBody,
  type RequestBody,
  readBody,
} from './request-body.ts';
import { mayStreamWithoutLength, verbOf } from './request-check.ts';
import type { RequestCounters } from './request-counters.ts';
import type { RequestHeaders } from './request-headers.ts';
import { cleanResponseHeaders } from './response-headers.ts';
import { type Failure, mayRetry, saysShuttingDown } from './retry-rule.ts';
import { type Refusal, refuse } from './status-answer.ts';
import { isConnected, type Upstreams } from './upstreams.ts';
import type { EndableWatch } from './watch-drainer.ts';

export type ClientRequestMessage = IncomingMessage | Http2ServerRequest;
export type ClientResponse = ServerResponse | Http2ServerResponse;

/** What all exchanges share. */
export interface ExchangeContext {
  readonly clock: Clock;
  readonly options: HttpOptions;
  readonly counters: RequestCounters;
  readonly upstreams: Upstreams;
  readonly budget: BodyBudget;
  readonly proxy: ProxyServer;
  readonly isStopping: boolean;
  plan(): RequestPlan;
  isUsable(id: EndpointId): boolean;
  failed(endpoint: EndpointId, fields: { verb: string; kind: string; code: string | undefined }): void;
  watchBegan(watch: EndableWatch): void;
  watchEnded(watch: EndableWatch): void;
  /** An exchange has ended. */
  ended(): void;
}

/** A 503 is read this far, to see whether the API server is shutting down. */
const maxPeekBytes = 8_192;

interface RequestAttempt extends RequestTarget {
  request?: ClientRequest;
  answer?: IncomingMessage;
  socket?: Socket;
  isOver: boolean;
}

export class Exchange {
  readonly #context: ExchangeContext;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #isFronted: boolean;
  readonly #plan: RequestPlan;
  readonly #verb: string;
  readonly #startedMs: number;
  readonly #framing: Framing;
  #body: RequestBody | undefined;
  #attempt: RequestAttempt | undefined;
  #sends = 0;
  #hasMovedOn = false;
  #isDone = false;
  #watch: EndableWatch | undefined;

  constructor(
    context: ExchangeContext,
    request: ClientRequestMessage,
    response: ClientResponse,
    { headers, isFronted }: { headers: RequestHeaders; isFronted: boolean },
  ) {
    this.#context = context;
    // The two kinds of request and response differ in their typings, not in what is used here.
    this.#request = request as IncomingMessage;
    this.#response = response as ServerResponse;
    this.#isFronted = isFronted;
    this.#plan = context.plan();
    this.#verb = verbOf(request.method ?? '', request.url ?? '', false);
    this.#startedMs = context.clock.nowMs();
    this.#framing = framingOf(request);
    // What http-proxy-3 copies. Its own event for headers comes too late when a connection is slow.
    Object.defineProperty(request, 'headers', { value: headers, configurable: true });
  }

  async run(): Promise<void> {
    const { counters, budget, options } = this.#context;
    const { method = '', headers } = this.#request;
    counters.inFlight += 1;
    // Each attempt of http-proxy-3 listens to both, and an outage may take some dozen.
    this.#request.setMaxListeners(0);
    this.#response.setMaxListeners(0);
    this.#response.on('close', () => this.#finish());
    this.#response.on('error', () => {});
    this.#request.on('error', () => {});
    this.#body = await readBody(this.#request, this.#framing, options.maxReplayBodyBytes, budget);
    if (this.#isDone) {
      if (this.#body.kind === 'whole') budget.give(this.#body.bytes.length);
      return;
    }
    if (this.#body.kind === 'gone') return;
    if (this.#body.kind === 'whole') {
      // Also where there is none: http-proxy-3 would announce a body of 0 bytes and then send one.
      if (this.#body.bytes.length > 0 || mayStreamWithoutLength(method) || 'content-length' in headers)
        headers['content-length'] = String(this.#body.bytes.length);
    } else if (headers['content-length'] === undefined && !mayStreamWithoutLength(method)) {
      const message = `a ${method} body without Content-Length must not exceed ${options.maxReplayBodyBytes} bytes`;
      this.#refuse({ code: 413, reason: 'RequestEntityTooLarge', message, isLast: true });
      return;
    }
    this.#next();
  }

  #next(): void {
    if (this.#isDone) return;
    const target = this.#plan.next();
    if (target === undefined) {
      this.#nextRound();
      return;
    }
    const attempt: RequestAttempt = { ...target, isOver: false };
    this.#attempt = attempt;
    this.#context.upstreams.started(target.endpoint.id);
    const { host, port } = target.endpoint;
    const agent = this.#context.upstreams.agent(target.endpoint, this.#isFronted, target.isLast);
    this.#context.proxy.web(
      this.#request,
      this.#response,
      {
        target: { protocol: 'https:', host, hostname: host, port } as never,
        agent,
        ...(this.#body?.kind === 'whole' && {
          buffer: new KeptBody(this.#body.bytes),
        }),
      },
      (error) => this.#failed(attempt, error as Error),
    );
  }

  /** Everything has been tried and nothing was sent: again, for a bounded short time. */
  #nextRound(): void {
    const giveUp = () => this.#giveUp({ kind: 'unsent' });
    if (this.#body?.kind !== 'whole') giveUp();
    else nextRound(this.#plan, this.#context, this.#startedMs, { next: () => this.#next(), giveUp });
  }

  // --- from http-proxy-3 ----------------------------------------------------------------------------------

  /** A connection has been given to the attempt, which may not be open yet. */
  assigned(request: ClientRequest, socket: Socket): void {
    const attempt = this.#attempt;
    if (this.#isDone) request.destroy();
    if (attempt === undefined || attempt.isOver) return;
    attempt.request = request;
    attempt.socket = socket;
    this.#context.upstreams.waits(attempt.endpoint.id, attempt);
  }

  answered(answer: IncomingMessage): void {
    const attempt = this.#attempt;
    if (attempt === undefined || attempt.isOver || this.#isDone) {
      answer.destroy();
      return;
    }
    attempt.answer = answer;
    this.#context.upstreams.answered(attempt.endpoint.id, attempt);
    answer.on('error', () => {});
    if (answer.statusCode === 503 && this.#isReplayable && this.#plan.hasMore) this.#peek(attempt, answer);
    else this.#pass(attempt, answer, []);
  }

  /** Reads the beginning of a 503: an API server that is shutting down says so, and another one can answer. */
  #peek(attempt: RequestAttempt, answer: IncomingMessage): void {
    const chunks: Buffer[] = [];
    let size = 0;
    const decide = (): void => {
      answer.off('data', onData).off('end', decide).off('close', decide);
      if (attempt.isOver || this.#isDone) return;
      const isRefused = saysShuttingDown(Buffer.concat(chunks).toString('latin1'));
      const isLeaving = isRefused || !this.#context.isUsable(attempt.endpoint.id);
      const failure = { kind: 'stopping', isRefused } as const;
      if (!isLeaving || !this.#mayRetry(failure)) {
        this.#pass(attempt, answer, chunks);
        return;
      }
      this.#hasMovedOn = true;
      this.#over(attempt);
      answer.destroy();
      this.#retry(failure);
    };
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= maxPeekBytes) decide();
    };
    answer.on('data', onData).on('end', decide).on('close', decide);
  }

  #pass(attempt: RequestAttempt, answer: IncomingMessage, first: readonly Buffer[]): void {
    const response = this.#response;
    answer.on('close', () => {
      // A client that left has ended it itself.
      if (this.#isDone || attempt.isOver) return;
      // The endpoint died in the middle: the client must not take it for the end.
      if (!answer.complete && !response.writableEnded) this.#cut(attempt);
    });
    if (answer.destroyed && !answer.complete) {
      this.#cut(attempt);
      return;
    }
    const headers = cleanResponseHeaders(answer.rawHeaders);
    if (this.#context.isStopping && this.#request.httpVersionMajor === 1) headers.connection = 'close';
    try {
      response.writeHead(answer.statusCode ?? 502, headers);
      // A watch's client learns that it has begun before the first event.
      response.flushHeaders();
    } catch (error) {
      this.#unfit(attempt, answer, error as Error);
      return;
    }
    for (const chunk of first) response.write(chunk);
    if (answer.readableEnded) response.end();
    else answer.pipe(response);
    if (this.#verb === 'WATCH' && headers['content-length'] === undefined) this.#watchBegan(attempt, answer);
  }

  #watchBegan(attempt: RequestAttempt, answer: IncomingMessage): void {
    const { clock } = this.#context;
    const watch: EndableWatch = {
      endpoint: attempt.endpoint.id,
      lastEventMs: clock.nowMs(),
      end: () => {
        answer.unpipe(this.#response);
        this.#response.end();
        this.#over(attempt);
        answer.destroy();
      },
    };
    answer.on('data', () => {
      watch.lastEventMs = clock.nowMs();
    });
    this.#watch = watch;
    this.#context.watchBegan(watch);
  }

  #failed(attempt: RequestAttempt, error: Error): void {
    if (attempt.isOver || this.#isDone) return;
    if (this.#response.headersSent) {
      this.#cut(attempt);
      return;
    }
    const isSent = isConnected(attempt.socket);
    if (isSent) this.#sends += 1;
    const failure: Failure = { kind: isSent ? 'unanswered' : 'unsent' };
    // A kept connection that the endpoint closed just then says nothing of the endpoint.
    const wasKept = attempt.request?.reusedSocket === true;
    this.#over(attempt);
    this.#context.failed(attempt.endpoint.id, { verb: this.#verb, kind: failure.kind, code: codeOf(error) });
    if (isSent && wasKept && !this.#plan.hasMore) this.#plan.startRound();
    if (this.#mayRetry(failure) && (this.#plan.hasMore || failure.kind === 'unsent')) this.#retry(failure);
    else this.#giveUp(failure, attempt.endpoint.id);
  }

  // --- ends -----------------------------------------------------------------------------------------------

  get #isReplayable(): boolean {
    return this.#body?.kind === 'whole';
  }

  #mayRetry(failure: Failure): boolean {
    return mayRetry(failure, {
      method: this.#request.method ?? '',
      isReplayable: this.#isReplayable,
      sends: this.#sends,
      maxSends: this.#context.options.maxSends,
      hasMovedOn: this.#hasMovedOn,
    });
  }

  #retry({ kind }: Failure): void {
    this.#context.counters.retries[kind] += 1;
    this.#next();
  }

  #giveUp({ kind }: Failure, endpoint?: EndpointId): void {
    if (kind === 'unsent') {
      const message = 'no API server can be reached; see `fairlead status` on this node';
      this.#refuse({ code: 503, reason: 'ServiceUnavailable', message, retryAfter: 1 });
    } else {
      const message = `the API server ${endpoint} closed the connection without an answer; the request may have been executed`;
      this.#refuse({ code: 502, reason: 'InternalError', message });
    }
  }

  /** An answer that HTTP does not allow to be sent: a status of 999, say. */
  #unfit(attempt: RequestAttempt, answer: IncomingMessage, error: Error): void {
    this.#over(attempt);
    answer.destroy();
    this.#context.failed(attempt.endpoint.id, { verb: this.#verb, kind: 'unfit', code: codeOf(error) });
    if (this.#response.headersSent) {
      (this.#response as { destroy(): void }).destroy();
      return;
    }
    // Over HTTP/2 those that were set stay set.
    for (const name of this.#response.getHeaderNames()) this.#response.removeHeader(name);
    const message = `the API server ${attempt.endpoint.id} sent an invalid answer: ${error.message}`;
    this.#refuse({ code: 502, reason: 'InternalError', message });
  }

  /** An error of ours in the middle of an exchange ends this exchange, not the agent. */
  broken(): void {
    this.#attempt?.answer?.destroy();
    (this.#response as { destroy(): void }).destroy();
  }

  #refuse(refusal: Refusal): void {
    this.#request.resume();
    refuse(this.#response, refusal);
  }

  #cut(attempt: RequestAttempt): void {
    this.#context.counters.cut += 1;
    this.#over(attempt);
    const response = this.#response as ClientResponse;
    if ('stream' in response) response.stream.close(http2.NGHTTP2_INTERNAL_ERROR);
    else response.destroy();
  }

  #over(attempt: RequestAttempt): void {
    if (attempt.isOver) return;
    attempt.isOver = true;
    this.#context.upstreams.answered(attempt.endpoint.id, attempt);
    this.#context.upstreams.ended(attempt.endpoint.id);
  }

  /** The client has its answer, or has gone. */
  #finish(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    const { counters, budget } = this.#context;
    counters.inFlight -= 1;
    const attempt = this.#attempt;
    const endpoint =
      attempt === undefined || (attempt.isOver && !this.#response.headersSent) ? '' : attempt.endpoint.id;
    counters.count(this.#verb, this.#response.headersSent ? this.#response.statusCode : 0, endpoint);
    if (attempt && !attempt.isOver) {
      // http-proxy-3 does so for HTTP/1.1 only; a watch would continue without a client.
      if (!attempt.answer?.complete) attempt.request?.destroy();
      this.#over(attempt);
    }
    if (this.#body?.kind === 'whole') budget.give(this.#body.bytes.length);
    if (this.#watch) this.#context.watchEnded(this.#watch);
    this.#context.ended();
  }
}

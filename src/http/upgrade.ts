// exec, attach and port-forward: the client asks to speak WebSocket or SPDY/3.1 from here on, and after the 101
// bytes flow both ways until one side ends. A tunnel of our own on https.request: http-proxy-3 carries neither
// SPDY nor anything that is not a GET, and leaves the upstream socket behind when the client goes early.
//
// Owns both sockets from the request on. Asked of one endpoint after another only while nothing has been sent: an
// exec runs a command.
import { type ClientRequest, type IncomingMessage, ServerResponse } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { codeOf } from '../model/error-text.ts';
import { nextRound, type RequestPlan } from './request-plan.ts';
import type { ExchangeContext } from './exchange.ts';
import { verbOf } from './request-check.ts';
import type { RequestHeaders } from './request-headers.ts';
import { cleanResponseHeaders } from './response-headers.ts';
import { refuse } from './status-answer.ts';
import { isConnected } from './upstreams.ts';

export interface UpgradeOptions {
  readonly headers: RequestHeaders;
  readonly isFronted: boolean;
  readonly protocol: string;
}

/** An ordinary answer on a socket that Node has taken away from its HTTP server. */
export function answerOn(request: IncomingMessage, socket: Duplex): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as Socket);
  response.on('error', () => {});
  response.on('finish', () => {
    response.detachSocket(socket as Socket);
    (socket as Socket).destroySoon();
  });
  return response;
}

export class Upgrade {
  readonly #context: ExchangeContext;
  readonly #request: IncomingMessage;
  readonly #client: Socket;
  readonly #head: Buffer;
  readonly #options: UpgradeOptions;
  readonly #plan: RequestPlan;
  readonly #startedMs: number;
  #upstreamRequest: ClientRequest | undefined;
  #upstream: Socket | undefined;
  #endpoint = '';
  #code = 0;
  #timer: { cancel(): void } | undefined;
  #isDone = false;

  constructor(
    context: ExchangeContext,
    request: IncomingMessage,
    client: Socket,
    head: Buffer,
    options: UpgradeOptions,
  ) {
    this.#context = context;
    this.#request = request;
    this.#client = client;
    this.#head = head;
    this.#options = options;
    this.#plan = context.plan();
    this.#startedMs = context.clock.nowMs();
  }

  start(): void {
    const { clock, counters, options } = this.#context;
    counters.inFlight += 1;
    this.#client.setTimeout(0);
    this.#client.setNoDelay(true);
    this.#client.on('error', () => {});
    this.#client.on('close', () => this.#clientGone());
    if (this.#client.destroyed) {
      this.#clientGone();
      return;
    }
    this.#timer = clock.schedule(options.upgradeTimeoutMs, () => {
      this.#answer(504, 'Timeout', 'the API server did not answer the upgrade request in time');
    });
    this.#next();
  }

  #next(): void {
    if (this.#isDone) return;
    const target = this.#plan.next();
    if (target === undefined) {
      this.#nextRound();
      return;
    }
    const { endpoint, isLast } = target;
    const { headers, isFronted, protocol } = this.#options;
    const { upstreams } = this.#context;
    this.#endpoint = endpoint.id;
    upstreams.started(endpoint.id);
    let isOver = false;
    const request = httpsRequest({
      ...upstreams.connection(endpoint, isFronted, isLast),
      host: endpoint.host,
      port: endpoint.port,
      method: this.#request.method,
      path: this.#request.url,
      headers: { ...headers, connection: 'Upgrade', upgrade: protocol },
    });
    this.#upstreamRequest = request;
    let socket: Socket | undefined;
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      upstreams.answered(endpoint.id, request);
      upstreams.ended(endpoint.id);
    };
    request.on('socket', (given) => {
      socket = given;
      given.setTimeout(0);
      upstreams.waits(endpoint.id, request);
    });
    request.on('upgrade', (answer, upstream, upstreamHead) => {
      upstreams.answered(endpoint.id, request);
      upstream.once('close', over);
      this.#join(answer, upstream as Socket, upstreamHead);
    });
    request.on('response', (answer) => {
      upstreams.answered(endpoint.id, request);
      answer.once('close', over);
      this.#pass(answer);
    });
    request.on('error', (error) => {
      const isSent = isConnected(socket);
      over();
      if (this.#isDone || this.#code !== 0) return;
      const kind = isSent ? 'unanswered' : 'unsent';
      this.#context.failed(endpoint.id, { verb: 'CONNECT', kind, code: codeOf(error) });
      if (isSent) {
        this.#answer(
          502,
          'InternalError',
          `the API server ${endpoint.id} closed the connection without an answer`,
        );
        return;
      }
      this.#context.counters.retries.unsent += 1;
      this.#next();
    });
    request.end();
  }

  #nextRound(): void {
    const giveUp = () => {
      this.#endpoint = '';
      const message = 'no API server can be reached; see `fairlead status` on this node';
      this.#answer(503, 'ServiceUnavailable', message);
    };
    nextRound(this.#plan, this.#context, this.#startedMs, { next: () => this.#next(), giveUp });
  }

  /** The 101 has come. */
  #join(answer: IncomingMessage, upstream: Socket, upstreamHead: Buffer): void {
    const client = this.#client;
    upstream.on('error', () => {});
    if (this.#isDone) {
      upstream.destroy();
      return;
    }
    this.#timer?.cancel();
    this.#upstream = upstream;
    this.#code = 101;
    upstream.setTimeout(0);
    upstream.setNoDelay(true);
    const lines = [`HTTP/1.1 101 ${answer.statusMessage || 'Switching Protocols'}`];
    for (let index = 0; index + 1 < answer.rawHeaders.length; index += 2)
      lines.push(`${answer.rawHeaders[index]}: ${answer.rawHeaders[index + 1]}`);
    client.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    if (upstreamHead.length > 0) client.write(upstreamHead);
    if (this.#head.length > 0) upstream.write(this.#head);
    // pipe() ends the other side after the last byte, and keeps to its pace.
    client.pipe(upstream);
    upstream.pipe(client);
    // One side has ended: the other may go on for as long as bytes come.
    const endOther = (other: Socket) => (): void => {
      const { clock, options } = this.#context;
      const seen = client.bytesRead + upstream.bytesRead;
      this.#timer?.cancel();
      this.#timer = clock.schedule(options.halfCloseTimeoutMs, () => {
        if (client.bytesRead + upstream.bytesRead === seen) other.destroy();
        else endOther(other)();
      });
    };
    upstream.once('end', endOther(client));
    client.once('end', endOther(upstream));
    upstream.once('close', () => {
      // What has arrived still goes to a client that reads; a connection that broke is not made to look whole.
      if (upstream.readableEnded) client.destroySoon();
      else client.destroy();
    });
  }

  /** No upgrade: 403, 404 and so on, with a body for people. */
  #pass(answer: IncomingMessage): void {
    answer.on('error', () => {});
    if (this.#isDone) {
      answer.destroy();
      return;
    }
    this.#timer?.cancel();
    this.#code = answer.statusCode ?? 502;
    const response = answerOn(this.#request, this.#client);
    try {
      response.writeHead(this.#code, { ...cleanResponseHeaders(answer.rawHeaders), connection: 'close' });
    } catch (error) {
      // An answer that HTTP does not allow to be sent, such as a status of 099.
      this.#context.failed(this.#endpoint, { verb: 'CONNECT', kind: 'unfit', code: codeOf(error) });
      answer.destroy();
      this.#client.destroy();
      return;
    }
    answer.on('close', () => {
      if (!answer.complete) this.#client.destroy();
    });
    answer.pipe(response);
  }

  #answer(code: number, reason: string, message: string): void {
    if (this.#isDone || this.#code !== 0) return;
    this.#code = code;
    this.#timer?.cancel();
    this.#upstreamRequest?.destroy();
    refuse(answerOn(this.#request, this.#client), {
      code,
      reason,
      message,
      isLast: true,
      ...(code === 503 && { retryAfter: 1 }),
    });
  }

  #clientGone(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    const { counters } = this.#context;
    this.#timer?.cancel();
    this.#upstreamRequest?.destroy();
    this.#upstream?.destroy();
    counters.inFlight -= 1;
    counters.count(verbOf(this.#request.method ?? '', '', true), this.#code, this.#endpoint);
    this.#context.ended();
  }
}

// A small HTTP server that answers GET and HEAD and nothing else: the base of the admin server, of the metrics listener and
// of the installer's readiness. Every user of the node can reach it, and kubelet asks it whether the agent lives. So it takes
// every connection, answers one request on it and closes it; when there are too many it closes the oldest, never refuses the
// newest. A connection that holds still is gone in milliseconds under attack, one that asks has its answer by then.
// Node's http server costs three times as much for a connection, and has no order of age. Owns its server and its sockets.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Logger } from 'pino';
import { type Clock, systemClock, type Timer } from '../model/clock.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { isExpectedHost, maxHeadBytes, parseRequestHead } from './request-head.ts';

export interface Answer {
  readonly status: number;
  readonly contentType?: string;
  readonly body: string | Buffer;
}

export interface ReadOnlyServerDeps {
  readonly listen: HostPort;
  readonly log: Pick<Logger, 'warn'>;
  /** Several processes of one user may share the port (SO_REUSEPORT). */
  readonly reusePort?: boolean;
  /** `admin`, `metrics`: for the log. */
  readonly name: string;
  /** Names by which it may be asked, besides IP addresses and `localhost`. */
  readonly hostNames?: readonly string[];
  readonly clock?: Pick<Clock, 'nowMs' | 'schedule' | 'afterPoll'>;
  /** The path without its query. */
  answer(path: string): Promise<Answer> | Answer;
}

export interface ReadOnlyServer {
  /** The bound address. */
  readonly address: string;
  stop(): Promise<void>;
}

/** Enough that at 2,000 new ones a second each has 250 ms for its request; kubelet on a busy node may need some tens. */
const maxConnections = 512;
/** At no moment more, whatever arrives between two looks at the oldest. */
const maxAtOnce = 2_048;
const headWithinMs = 2_000;
/** For the whole exchange: a slow reader of a long page. */
const answerWithinMs = 10_000;
const sweepMs = 500;
const backlog = 4_096;

const reasons: Record<number, string> = {
  200: 'OK',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

function write(socket: Socket, isHead: boolean, answer: Answer): void {
  const { status, contentType = 'text/plain; charset=utf-8', body } = answer;
  const head =
    `HTTP/1.1 ${status} ${reasons[status] ?? ''}\r\ncontent-type: ${contentType}\r\n` +
    `content-length: ${Buffer.byteLength(body)}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n` +
    `date: ${new Date().toUTCString()}\r\nconnection: close\r\n\r\n`;
  if (isHead) socket.write(head);
  else if (typeof body === 'string') socket.write(head + body);
  else {
    socket.cork();
    socket.write(head);
    socket.write(body);
    socket.uncork();
  }
  // Closed as soon as the kernel has the answer.
  socket.destroySoon();
}

class Connections {
  readonly #deps: ReadOnlyServerDeps;
  readonly #clock: Pick<Clock, 'nowMs' | 'schedule' | 'afterPoll'>;
  readonly #names: ReadonlySet<string>;
  /** When each has to be gone; the oldest first. */
  readonly #open = new Map<Socket, { dueMs: number }>();
  #isTrimming = false;
  #sweep: Timer | undefined;

  constructor(deps: ReadOnlyServerDeps) {
    this.#deps = deps;
    this.#clock = deps.clock ?? systemClock;
    this.#names = new Set((deps.hostNames ?? []).map((name) => name.toLowerCase()));
  }

  add(socket: Socket): void {
    const state = { dueMs: this.#clock.nowMs() + headWithinMs };
    this.#open.set(socket, state);
    socket.on('close', () => this.#open.delete(socket));
    // A client that has gone away.
    socket.on('error', () => socket.destroy());
    let held: Buffer | undefined;
    const onData = (chunk: Buffer): void => {
      held = held ? Buffer.concat([held, chunk]) : chunk;
      const end = held.indexOf('\r\n\r\n');
      if (end < 0 && held.length <= maxHeadBytes) return;
      socket.off('data', onData);
      socket.resume();
      state.dueMs = this.#clock.nowMs() + answerWithinMs;
      const isTooLong = end < 0 || end > maxHeadBytes;
      if (isTooLong) write(socket, false, { status: 431, body: 'the request is too long\n' });
      else void this.#reply(socket, held.toString('latin1', 0, end));
      held = undefined;
    };
    socket.on('data', onData);
    if (this.#open.size > maxConnections) this.#trim();
    this.#sweep ??= this.#clock.schedule(sweepMs, () => this.#closeLate());
  }

  stop(): void {
    this.#sweep?.cancel();
    this.#sweep = undefined;
    for (const socket of this.#open.keys()) socket.destroy();
    this.#open.clear();
  }

  /** After the next poll, so that what has asked by now has been read: a burst does not push out a request that has arrived. */
  #trim(): void {
    if (this.#isTrimming) return;
    this.#isTrimming = true;
    this.#clock.afterPoll(() => {
      this.#isTrimming = false;
      let tooMany = this.#open.size - maxConnections;
      for (const socket of this.#open.keys()) {
        if (tooMany-- <= 0) return;
        this.#reset(socket);
      }
    });
  }

  /** After the next poll as well: a probe that came while the process stood still is not late. */
  #closeLate(): void {
    this.#clock.afterPoll(() => {
      this.#sweep = undefined;
      const nowMs = this.#clock.nowMs();
      for (const [socket, { dueMs }] of this.#open) if (dueMs <= nowMs) this.#reset(socket);
      if (this.#open.size > 0) this.#sweep = this.#clock.schedule(sweepMs, () => this.#closeLate());
    });
  }

  #reset(socket: Socket): void {
    this.#open.delete(socket);
    socket.resetAndDestroy();
  }

  async #reply(socket: Socket, text: string): Promise<void> {
    const head = parseRequestHead(text);
    if (!head.ok) return write(socket, false, { status: 400, body: `${head.problem}\n` });
    const { method, path, host } = head;
    const isHead = method === 'HEAD';
    if (method !== 'GET' && !isHead)
      return write(socket, false, { status: 405, body: 'only GET and HEAD\n' });
    if (host !== undefined && !isExpectedHost(host, this.#names)) {
      const body =
        'the Host header must be an IP address, localhost, the name of the node or a name in allowedHosts\n';
      return write(socket, isHead, { status: 403, body });
    }
    const { answer, log, name } = this.#deps;
    try {
      const given = answer(path);
      const ready = given instanceof Promise ? await given : given;
      if (this.#open.has(socket)) write(socket, isHead, ready);
    } catch (error) {
      log.warn({ err: error, path }, `${name} request failed`);
      if (this.#open.has(socket))
        write(socket, isHead, { status: 500, body: 'internal error; see the log\n' });
    }
  }
}

/** Resolves when it is bound; rejects with the error of the bind. */
export async function startReadOnlyServer(deps: ReadOnlyServerDeps): Promise<ReadOnlyServer> {
  const { listen, log, name, reusePort = false } = deps;
  const connections = new Connections(deps);
  const server: Server = createServer({ noDelay: true }, (socket) => connections.add(socket));
  server.maxConnections = maxAtOnce;
  const { host, port } = listen;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, reusePort, backlog }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', (err) => log.warn({ err }, `${name} server error`));
  const bound = server.address() as AddressInfo;
  return {
    address: formatHostPort({ host: bound.address, port: bound.port }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        connections.stop();
      }),
  };
}

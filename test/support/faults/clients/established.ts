// Clients that keep one connection and ask on it at a steady pace, like a kubelet: without a time limit of
// their own, so that how long they are without an answer is decided by whoever ends the connection. After an error they ask
// again at once, on a new connection.
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { Agent } from 'node:https';
import { monotonicMs } from './monotonic.ts';
import { ask, type Call, describe, type Target, tlsOptions } from './target.ts';

export interface EstablishedOptions {
  readonly protocol: 'http1' | 'http2';
  readonly everyMs: number;
  readonly path: string;
}

export interface EstablishedReport {
  readonly protocol: 'http1' | 'http2';
  readonly startedMs: number;
  readonly stoppedMs: number;
  readonly calls: readonly Call[];
  /** Connections that it has opened; 1 when none was lost. */
  readonly connections: number;
}

/** After a failed question; an endpoint that refuses must not make this a busy loop. */
const againMs = 20;

export class Established {
  readonly #options: EstablishedOptions;
  readonly #target: Target;
  readonly #calls: Call[] = [];
  /** Sessions whose server has sent a GOAWAY. */
  readonly #left = new WeakSet<ClientHttp2Session>();
  readonly #startedMs = monotonicMs();
  readonly #timer: NodeJS.Timeout;
  #agent: Agent | undefined;
  #session: ClientHttp2Session | undefined;
  #connections = 0;
  #isAsking = false;
  #isStopped = false;

  constructor(target: Target, options: EstablishedOptions) {
    this.#target = target;
    this.#options = options;
    if (options.protocol === 'http1') {
      this.#agent = new Agent({ keepAlive: true, maxSockets: 1 });
    }
    this.#timer = setInterval(() => void this.#ask(), options.everyMs);
    void this.#ask();
  }

  get calls(): readonly Call[] {
    return this.#calls;
  }

  stop(): EstablishedReport {
    this.#isStopped = true;
    clearInterval(this.#timer);
    const report = {
      protocol: this.#options.protocol,
      startedMs: this.#startedMs,
      stoppedMs: monotonicMs(),
      calls: this.#calls,
      connections: this.#connections,
    };
    this.#agent?.destroy();
    this.#session?.destroy();
    return report;
  }

  async #ask(): Promise<void> {
    if (this.#isAsking || this.#isStopped) return;
    this.#isAsking = true;
    const { path } = this.#options;
    const call = await (this.#agent ? this.#askHttp1(this.#agent, path) : this.#askHttp2(path));
    this.#isAsking = false;
    if (this.#isStopped) return;
    this.#calls.push(call);
    if (call.error !== undefined) setTimeout(() => void this.#ask(), call.isAskedAgain ? 0 : againMs);
  }

  #askHttp1(agent: Agent, path: string): Promise<Call> {
    const hasKept = Object.values(agent.freeSockets).some((sockets) => (sockets?.length ?? 0) > 0);
    if (!hasKept) this.#connections += 1;
    return ask(this.#target, path, { agent });
  }

  #askHttp2(path: string): Promise<Call> {
    const { promise, resolve } = Promise.withResolvers<Call>();
    const askedMs = monotonicMs();
    const done = (result: Omit<Call, 'askedMs' | 'doneMs'>): void =>
      resolve({ askedMs, doneMs: monotonicMs(), ...result });
    const session = this.#session ?? this.#openSession();
    const hasLeft = (): boolean => this.#left.has(session) && status === undefined;
    const stream = session.request({ ':path': path });
    let status: number | undefined;
    let server: string | undefined;
    stream.on('response', (headers) => {
      status = headers[':status'];
      if (typeof headers['x-stand-in'] === 'string') server = headers['x-stand-in'];
    });
    // The server has said that it did not look at the question (RFC 9113 8.7), or has said goodbye before it.
    const isRefused = (): boolean => stream.rstCode === constants.NGHTTP2_REFUSED_STREAM || hasLeft();
    stream.on('error', (error) => {
      done({ error: describe(error), ...(isRefused() && { isAskedAgain: true }) });
    });
    stream.on('end', () => {
      if (status === undefined) return;
      done({ status, ...(server !== undefined && { server }) });
    });
    stream.on('close', () => {
      done({ error: 'closed without an answer', ...(isRefused() && { isAskedAgain: true }) });
    });
    stream.resume();
    stream.end();
    return promise;
  }

  #openSession(): ClientHttp2Session {
    const { host, port } = this.#target;
    const session = connect(`https://${host.includes(':') ? `[${host}]` : host}:${port}`, {
      ...tlsOptions(this.#target),
    });
    this.#connections += 1;
    this.#session = session;
    const forget = (): void => {
      if (this.#session === session) this.#session = undefined;
    };
    session.on('error', forget);
    session.on('goaway', () => {
      this.#left.add(session);
      forget();
    });
    session.on('close', forget);
    return session;
  }
}

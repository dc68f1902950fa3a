// One HTTP request and its answer, the same for HTTP/1.1 and HTTP/2, with the places where a server that is
// frozen, slow or broken holds back what it writes.
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { badRequest, failure, type Status, StatusError } from './status.ts';

export type Request = IncomingMessage | Http2ServerRequest;
export type Response = ServerResponse | Http2ServerResponse;

/** What the exchange needs of its server. */
export interface WriteGate {
  /** Resolves when the server may write: at once, or after it has thawed. */
  open(): Promise<void>;
  /** Destroys the connection in the middle of an answer after so many body bytes; undefined: never. */
  dropAfterBytes(): number | undefined;
}

const maxBodyBytes = 64 * 1024 * 1024;

export class Exchange {
  readonly request: Request;
  readonly response: Response;
  readonly url: URL;
  /** Aborts when the client or the connection has gone, or the answer is complete. */
  readonly closed: AbortSignal;
  /** Tears the client's TCP connection down, politely or with a reset. */
  readonly destroyConnection: (how: 'reset' | 'close') => void;
  readonly #gate: WriteGate;
  #bodyBytes = 0;

  constructor(
    request: Request,
    response: Response,
    gate: WriteGate,
    destroy: (how: 'reset' | 'close') => void,
  ) {
    this.request = request;
    this.response = response;
    this.url = new URL(request.url ?? '/', 'https://stand-in');
    this.#gate = gate;
    this.destroyConnection = destroy;
    const controller = new AbortController();
    this.closed = controller.signal;
    response.on('close', () => controller.abort());
    response.on('error', () => controller.abort());
    request.on('error', () => controller.abort());
  }

  get method(): string {
    return this.request.method ?? 'GET';
  }

  get path(): string {
    return this.url.pathname;
  }

  get headers(): IncomingHttpHeaders {
    return this.request.headers;
  }

  get isHttp2(): boolean {
    return this.request.httpVersionMajor === 2;
  }

  get isClosed(): boolean {
    return this.closed.aborted;
  }

  async body(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of this.request) {
      const bytes = chunk as Buffer;
      size += bytes.length;
      if (size > maxBodyBytes) {
        throw new StatusError(failure(413, 'RequestEntityTooLarge', 'Request entity too large'));
      }
      chunks.push(bytes);
    }
    return Buffer.concat(chunks);
  }

  /** Sets status and headers; they go out with the first body byte, or at once when `isFlushed`. */
  async begin(status: number, headers: Record<string, string | number>, isFlushed = false): Promise<void> {
    await this.#gate.open();
    if (this.isClosed || this.response.headersSent) return;
    for (const [name, value] of Object.entries(headers)) {
      // HTTP/2 has no such header; the server ends the session instead.
      if (this.isHttp2 && name.toLowerCase() === 'connection') continue;
      this.response.setHeader(name, value);
    }
    this.response.statusCode = status;
    if (isFlushed) this.#plain.flushHeaders();
  }

  /** Writes body bytes, waits for the client to take them; false when it has gone. */
  async write(chunk: string | Buffer): Promise<boolean> {
    await this.#gate.open();
    if (this.isClosed) return false;
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    const limit = this.#gate.dropAfterBytes();
    if (limit !== undefined && this.#bodyBytes + bytes.length > limit) {
      const rest = bytes.subarray(0, Math.max(0, limit - this.#bodyBytes));
      const destroy = () => this.destroyConnection('close');
      if (rest.length > 0) this.#write(rest, destroy);
      else destroy();
      return false;
    }
    this.#bodyBytes += bytes.length;
    if (this.#write(bytes)) return true;
    await new Promise<void>((resolve) => {
      const done = () => {
        this.response.off('drain', done);
        this.closed.removeEventListener('abort', done);
        resolve();
      };
      this.response.on('drain', done);
      this.closed.addEventListener('abort', done);
    });
    return !this.isClosed;
  }

  async end(): Promise<void> {
    await this.#gate.open();
    if (!this.isClosed) this.response.end();
  }

  async text(status: number, body: string, headers: Record<string, string | number> = {}): Promise<void> {
    const type = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' };
    await this.send(status, Buffer.from(body), { ...type, ...headers });
  }

  async json(status: number, body: unknown, headers: Record<string, string | number> = {}): Promise<void> {
    const text = `${JSON.stringify(body)}\n`;
    await this.send(status, Buffer.from(text), { 'content-type': 'application/json', ...headers });
  }

  async status(status: Status, headers: Record<string, string> = {}): Promise<void> {
    await this.json(status.code ?? 500, status, headers);
  }

  async send(status: number, body: Buffer, headers: Record<string, string | number>): Promise<void> {
    // Large answers are chunked, as a Go server's are.
    const length = body.length <= 2048 ? { 'content-length': body.length } : {};
    await this.begin(status, { ...headers, ...length });
    const step = 65_536;
    if (body.length <= step && this.#gate.dropAfterBytes() === undefined) {
      // One write for head and body.
      if (!this.isClosed) this.response.end(this.method === 'HEAD' ? '' : body);
      return;
    }
    if (this.method !== 'HEAD') {
      for (let at = 0; at < body.length; at += step) {
        if (!(await this.write(body.subarray(at, at + step)))) return;
      }
    }
    await this.end();
  }

  parameter(name: string): string | undefined {
    return this.url.searchParams.get(name) ?? undefined;
  }

  /** True for `?watch`, `?watch=1` and `?watch=true`. */
  flag(name: string): boolean {
    const value = this.parameter(name);
    return value !== undefined && value !== 'false' && value !== '0';
  }

  number(name: string): number | undefined {
    const text = this.parameter(name);
    if (text === undefined || text === '') return undefined;
    const value = Number(text);
    if (!Number.isFinite(value)) throw new StatusError(badRequest(`${name}: "${text}" is not a number`));
    return value;
  }

  /** The two response types differ only in their typings. */
  get #plain(): ServerResponse {
    return this.response as ServerResponse;
  }

  #write(bytes: Buffer, done?: () => void): boolean {
    return this.#plain.write(bytes, () => done?.());
  }
}

// A plain client of API servers for tests: one request, one watch, one raw connection, nothing hidden.
import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { type HostPort, parseHostPort } from '../../../src/model/endpoint.ts';

/** Credentials of a client; without any it is anonymous. */
export interface ApiUser {
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
}

export interface ApiRequest {
  readonly method?: string;
  readonly user?: ApiUser;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly timeoutMs?: number;
  /** Without one, every request has a connection of its own. */
  readonly agent?: Agent;
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface WatchEvent {
  readonly type: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into objects of every kind, good and malformed
  readonly object: any;
}

export interface ApiWatch {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Everything that has come so far. */
  readonly events: readonly WatchEvent[];
  /** `end`: the body was complete; `cut`: the connection broke before that. */
  readonly ended: Promise<'end' | 'cut'>;
  readonly isOpen: boolean;
  close(): void;
}

/** Talks to one API server, or to something in front of it. */
export class ApiClient {
  readonly address: HostPort;
  readonly ca: string;

  constructor(endpoint: string, ca: string) {
    const parsed = parseHostPort(endpoint);
    if (!parsed.ok) throw new Error(parsed.problem);
    this.address = parsed.value;
    this.ca = ca;
  }

  async ask(path: string, options: ApiRequest = {}): Promise<ApiAnswer> {
    const response = await this.#request(path, options);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    if (!response.complete) throw new Error('the answer was cut');
    const { statusCode: status = 0, headers } = response;
    return { status, headers, body: Buffer.concat(chunks).toString() };
  }

  // biome-ignore lint/suspicious/noExplicitAny: as above
  async json(path: string, options: ApiRequest = {}): Promise<any> {
    return JSON.parse((await this.ask(path, options)).body);
  }

  async watch(path: string, options: ApiRequest = {}): Promise<ApiWatch> {
    const response = await this.#request(path, options);
    const events: WatchEvent[] = [];
    const lines = createInterface({ input: response });
    lines.on('line', (line) => events.push(JSON.parse(line) as WatchEvent));
    lines.on('error', () => {});
    let isOpen = true;
    const { promise: ended, resolve } = Promise.withResolvers<'end' | 'cut'>();
    response.on('error', () => {});
    response.on('close', () => {
      isOpen = false;
      resolve(response.complete ? 'end' : 'cut');
    });
    const { statusCode: status = 0, headers } = response;
    return {
      status,
      headers,
      events,
      ended,
      get isOpen() {
        return isOpen;
      },
      close: () => response.destroy(),
    };
  }

  /** A TLS connection without HTTP, after its handshake. */
  async tls(user: ApiUser = {}, options: { ALPNProtocols?: string[] } = {}): Promise<TLSSocket> {
    const { cert, key } = user;
    const credentials = cert && key ? { cert, key } : {};
    const socket = connectTls({ ...this.address, ca: this.ca, ...credentials, ...options });
    await once(socket, 'secureConnect');
    return socket;
  }

  /** A TCP connection, when it is connected. */
  async tcp(): Promise<Socket> {
    const socket = connectTcp(this.address);
    await once(socket, 'connect');
    return socket;
  }

  #request(path: string, options: ApiRequest): Promise<IncomingMessage> {
    const { method = 'GET', user = {}, headers, body, timeoutMs = 15_000, agent } = options;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const call = request({
      ...this.address,
      path,
      method,
      ca: this.ca,
      ...(user.cert && user.key && { cert: user.cert, key: user.key }),
      headers: {
        ...(user.token !== undefined && { authorization: `Bearer ${user.token}` }),
        ...(sent !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      agent: agent ?? new Agent({ keepAlive: false, maxCachedSessions: 0 }),
    });
    const timer = setTimeout(() => call.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    call.on('response', (response) => {
      clearTimeout(timer);
      resolve(response);
    });
    call.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    call.end(sent);
    return promise;
  }
}

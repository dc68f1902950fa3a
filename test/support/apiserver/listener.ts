// The wire side of the stand-in: accepts TCP, answers plain HTTP with 400, terminates TLS, speaks HTTP/1.1
// or HTTP/2 by ALPN, and does everything bad that can be done below HTTP. It owns all connections.
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { User } from './access.ts';
import type { Request, Response } from './exchange.ts';
import { goodBehaviour, type Misbehaviour } from './misbehaviour.ts';

export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly certificate: ServerCertificate;
  /** CA that client certificates are verified against. */
  readonly clientCa: string;
  /** Idle HTTP/1.1 connections are closed after this. */
  readonly idleTimeoutMs: number;
  readonly onRequest: (request: Request, response: Response, connection: Connection) => void;
  readonly onUpgrade: (
    request: http.IncomingMessage,
    socket: Duplex,
    head: Buffer,
    connection: Connection,
  ) => void;
}

export interface ListenerCounts {
  connectionsAccepted: number;
  tlsHandshakes: number;
  tlsFailures: number;
}

/** One accepted TCP connection. */
export interface Connection {
  readonly raw: net.Socket;
  /** The user of its client certificate; `invalid` for a certificate that the CA does not vouch for. */
  user?: User | 'invalid';
  secure?: tls.TLSSocket;
  session?: http2.ServerHttp2Session;
  /** Requests without a complete answer. */
  active: number;
  /** A request has been read from it. */
  hasAsked: boolean;
  /** Close it when it falls idle. */
  isClosing: boolean;
}

const notTls = 'HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n';
const tlsHandshakeRecord = 22;
const newConnectionGraceMs = 5_000;

export class Listener {
  readonly counts: ListenerCounts = { connectionsAccepted: 0, tlsHandshakes: 0, tlsFailures: 0 };
  readonly #options: ListenerOptions;
  readonly #connections = new Map<string, Connection>();
  readonly #tls: tls.Server;
  readonly #http1: http.Server;
  readonly #http2: http2.Http2Server;
  /** Accepted while frozen or starting; they wait as in the kernel's backlog. */
  readonly #waiting: net.Socket[] = [];
  #tcp: net.Server | undefined;
  #port: number;
  #behaviour: Pick<Misbehaviour, 'onConnect' | 'tls'> = goodBehaviour;
  #isFrozen = false;
  #idleWaiters: (() => void)[] = [];

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#port = options.port;
    this.#tls = tls.createServer({
      ...options.certificate,
      ca: options.clientCa,
      requestCert: true,
      // A certificate of an unknown CA gets through the handshake and then a 401.
      rejectUnauthorized: false,
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    this.#http1 = http.createServer({ keepAliveTimeout: options.idleTimeoutMs, keepAliveTimeoutBuffer: 0 });
    this.#http2 = http2.createServer({ settings: { maxConcurrentStreams: 250 } });
    this.#tls.on('secureConnection', (socket) => this.#secured(socket));
    this.#tls.on('tlsClientError', (_error, socket) => {
      this.counts.tlsFailures += 1;
      socket.destroy();
    });
    this.#http1.on('request', (request, response) => this.#requested(request, response, request.socket));
    this.#http1.on('upgrade', (request: http.IncomingMessage, socket: Duplex, head: Buffer) => {
      const connection = this.#find(socket as net.Socket);
      if (!connection) {
        socket.destroy();
        return;
      }
      socket.on('error', () => {});
      connection.hasAsked = true;
      connection.active += 1;
      this.#options.onUpgrade(request, socket, head, connection);
    });
    this.#http2.on('session', (session) => {
      const connection = this.#find(session.socket);
      if (connection) connection.session = session;
      session.on('error', () => {});
    });
    this.#http2.on('request', (request, response) => {
      this.#requested(request, response, request.stream.session?.socket ?? request.socket);
    });
  }

  get port(): number {
    return this.#port;
  }

  get connectionsOpen(): number {
    return this.#connections.size;
  }

  get isListening(): boolean {
    return this.#tcp !== undefined;
  }

  /** Binds; with port 0 the first time, and to the same port from then on. */
  async listen(): Promise<void> {
    if (this.#tcp) return;
    const server = net.createServer({ pauseOnConnect: true, noDelay: true }, (raw) => this.#accepted(raw));
    this.#tcp = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => {
        this.#tcp = undefined;
        reject(error);
      });
      server.listen(this.#port, this.#options.host, resolve);
    });
    this.#port = (server.address() as net.AddressInfo).port;
  }

  /** Stops accepting: connects are refused. Open connections stay. */
  refuse(): void {
    this.#tcp?.close();
    this.#tcp = undefined;
  }

  behave(behaviour: Pick<Misbehaviour, 'onConnect' | 'tls'>, certificate: ServerCertificate): void {
    this.#behaviour = behaviour;
    // A new context also forgets the session tickets, so that no client resumes past the new certificate.
    this.#tls.setSecureContext({ ...certificate, ca: this.#options.clientCa });
  }

  /** Accepts, but reads nothing, neither from open nor from new connections. */
  freeze(): void {
    this.#isFrozen = true;
    for (const { raw } of this.#connections.values()) handleOf(raw)?.readStop();
  }

  thaw(): void {
    if (!this.#isFrozen) return;
    this.#isFrozen = false;
    for (const { raw } of this.#connections.values()) handleOf(raw)?.readStart();
    for (const raw of this.#waiting.splice(0)) this.#serve(raw);
  }

  /** Ends every connection: as a killed process does, or with a reset. */
  destroyAll(how: 'close' | 'reset'): void {
    for (const raw of this.#waiting.splice(0)) destroy(raw, how);
    for (const { raw } of this.#connections.values()) destroy(raw, how);
  }

  /** Closes idle connections now and the others when they fall idle; HTTP/2 clients get a GOAWAY. */
  closeGracefully(): void {
    for (const connection of this.#connections.values()) {
      connection.isClosing = true;
      this.#closeIfIdle(connection);
    }
  }

  /** Resolves when the last connection has gone. */
  async drained(): Promise<void> {
    while (this.#connections.size > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  #accepted(raw: net.Socket): void {
    this.counts.connectionsAccepted += 1;
    const { onConnect } = this.#behaviour;
    raw.on('error', () => {});
    if (onConnect !== 'accept') {
      destroy(raw, onConnect);
    } else if (this.#isFrozen) {
      this.#waiting.push(raw);
    } else {
      this.#serve(raw);
    }
  }

  #serve(raw: net.Socket): void {
    const key = keyOf(raw);
    if (raw.destroyed) return;
    // Reset while it waited: it has no address any more.
    if (!key) return void raw.destroy();
    this.#connections.set(key, { raw, active: 0, hasAsked: false, isClosing: false });
    raw.on('close', () => {
      this.#connections.delete(key);
      for (const wake of this.#idleWaiters.splice(0)) wake();
    });
    const begin = () => {
      const first = raw.read() as Buffer | null;
      if (first) this.#began(raw, first);
      // The peer has sent its FIN without a byte.
      else if (raw.readableEnded) raw.destroy();
      else raw.once('readable', begin);
    };
    raw.once('readable', begin);
    raw.once('end', () => raw.destroy());
  }

  #began(raw: net.Socket, first: Buffer): void {
    const { tls: behaviour } = this.#behaviour;
    if (behaviour === 'garbage') {
      raw.write('SSH-2.0-OpenSSH_9.9\r\n\0\0\0\0not a TLS record at all\r\n');
      raw.resume();
    } else if (behaviour === 'silent') {
      raw.resume();
    } else if (first[0] === tlsHandshakeRecord) {
      raw.unshift(first);
      this.#tls.emit('connection', raw);
    } else {
      raw.resume();
      raw.end(/^[A-Z]{3}/.test(first.toString('latin1', 0, 3)) ? notTls : '');
    }
  }

  #secured(socket: tls.TLSSocket): void {
    this.counts.tlsHandshakes += 1;
    socket.on('error', () => {});
    const connection = this.#find(socket);
    if (!connection) return;
    connection.secure = socket;
    const user = userOf(socket);
    if (user) connection.user = user;
    const server = socket.alpnProtocol === 'h2' ? this.#http2 : this.#http1;
    server.emit('connection', socket);
    if (this.#isFrozen) handleOf(connection.raw)?.readStop();
  }

  #requested(request: Request, response: Response, socket: net.Socket | tls.TLSSocket): void {
    const connection = this.#find(socket);
    if (!connection) {
      request.destroy();
      return;
    }
    connection.active += 1;
    connection.hasAsked = true;
    response.once('close', () => {
      connection.active -= 1;
      if (connection.isClosing) this.#closeIfIdle(connection);
    });
    this.#options.onRequest(request, response, connection);
  }

  #closeIfIdle(connection: Connection): void {
    const { session, secure, raw, active, hasAsked } = connection;
    if (!session && !hasAsked) {
      // A new connection's first request is on its way: Go's http.Server gives it 5 s (closeIdleConns).
      const timer = setTimeout(() => {
        if (!connection.hasAsked) (connection.secure ?? raw).destroy();
      }, newConnectionGraceMs);
      raw.once('close', () => clearTimeout(timer));
      return;
    }
    if (session) session.close();
    // After what is still being written.
    else if (active === 0) (secure ?? raw).destroySoon();
  }

  #find(socket: {
    remoteAddress?: string | undefined;
    remotePort?: number | undefined;
  }): Connection | undefined {
    return this.#connections.get(keyOf(socket) ?? '');
  }
}

function keyOf({
  remoteAddress,
  remotePort,
}: {
  remoteAddress?: string | undefined;
  remotePort?: number | undefined;
}) {
  return remotePort === undefined ? undefined : `${remoteAddress}|${remotePort}`;
}

function userOf(socket: tls.TLSSocket): User | 'invalid' | undefined {
  const { subject } = socket.getPeerCertificate();
  if (!subject) return undefined;
  if (!socket.authorized) return 'invalid';
  const { CN, O } = subject as { CN?: string; O?: string | string[] };
  return { name: CN ?? '', groups: typeof O === 'string' ? [O] : (O ?? []) };
}

function destroy(raw: net.Socket, how: 'close' | 'reset'): void {
  if (how === 'reset') raw.resetAndDestroy();
  else raw.destroy();
}

/** Whoever consumes the socket (TLS, HTTP/2) reads through this handle; stopping it stops them all. */
function handleOf(raw: net.Socket): { readStop(): void; readStart(): void } | undefined {
  return (raw as { _handle?: { readStop(): void; readStart(): void } | null })._handle ?? undefined;
}

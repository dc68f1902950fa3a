// A local address that ends TLS: HTTP/1.1 and HTTP/2 clients come in here, are looked at, and go to the core.
// Owns the clients' connections.
import type { IncomingMessage } from 'node:http';
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type ServerHttp2Session,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../model/clock.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { codeOf } from '../model/error-text.ts';
import { networkCheck } from '../model/network.ts';
import { bind } from '../lib/bind.ts';
import {
  admit,
  type Admission,
  certificateOf,
  type ClientCertificate,
  type FrontProxyHeaders,
} from './client-identity.ts';
import type { HttpLog, ProxyCore } from './proxy-core.ts';
import type { ClientRequestMessage, ClientResponse } from './exchange.ts';
import { maxHeaderBytes } from './options.ts';
import { checkRequest, hasBody, upgradeOf } from './request-check.ts';
import { cleanRequestHeaders, type RequestHeaders } from './request-headers.ts';
import { type CertificateFiles, readPair, type ServingPair, watchPair } from './serving-certificate.ts';
import { badRequest, type Refusal, refuse, statusBody } from './status-answer.ts';
import { answerOn } from './upgrade.ts';

export interface HttpListenerDeps {
  readonly listen: HostPort;
  readonly files: CertificateFiles;
  readonly core: ProxyCore;
  readonly clock: Clock;
  readonly log: HttpLog;
  readonly optional?: boolean;
  readonly reusePort?: boolean;
  /** Names of the headers that hand identities on; undefined: client certificates are refused. */
  readonly frontProxy?: FrontProxyHeaders;
  /** Networks whose clients are accepted; absent: all. */
  readonly allowFrom?: readonly string[];
  readonly maxConnections?: number;
  /** Where clients with certificates are to go. */
  passthroughAddresses(): readonly string[];
}

export interface HttpListener {
  readonly address: HostPort;
  /** Frees the port, closes connections without a request and tells HTTP/2 clients to leave. Idempotent. */
  stopAccepting(): Promise<void>;
  /** Ends every connection that is left. */
  destroy(): Promise<void>;
}

/** Rejects with CERTIFICATE_INVALID, LISTEN_IN_USE or LISTEN_FAILED; undefined when an optional listener is left out. */
export async function startHttpListener(deps: HttpListenerDeps): Promise<HttpListener | undefined> {
  const listener = new RunningListener(deps, await readPair(deps.files));
  return (await listener.start()) ? listener : undefined;
}

type Checked =
  | { readonly ok: true; readonly headers: RequestHeaders; readonly isFronted: boolean }
  | { readonly ok: false; readonly refusal: Refusal };

class RunningListener implements HttpListener {
  address: HostPort;
  readonly #deps: HttpListenerDeps;
  readonly #server: Http2SecureServer;
  readonly #sockets = new Set<Socket>();
  readonly #sessions = new Set<ServerHttp2Session>();
  /** Looked at once a connection: by its socket or HTTP/2 session. */
  readonly #certificates = new WeakMap<object, ClientCertificate>();
  readonly #identityHeaders: readonly string[];
  readonly #isAllowed: (address: string) => boolean;
  #watch: { stop(): void } | undefined;
  #isStopped = false;

  constructor(deps: HttpListenerDeps, pair: ServingPair) {
    this.#deps = deps;
    this.address = deps.listen;
    const { frontProxy, core, allowFrom } = deps;
    this.#isAllowed = allowFrom ? networkCheck(allowFrom) : () => true;
    this.#identityHeaders = frontProxy ? [frontProxy.usernameHeader, frontProxy.groupHeader] : [];
    const { options } = core;
    this.#server = createSecureServer({
      ...pair,
      allowHTTP1: true,
      // Asked for so that a client that has one can be told what to do; verified only for a front proxy.
      requestCert: true,
      rejectUnauthorized: false,
      // Node bounds resets (rapid reset), invalid frames, pings and memory of a session; streams it does not.
      settings: { maxConcurrentStreams: 250, maxHeaderListSize: maxHeaderBytes },
      maxHeaderListPairs: 256,
      // Large lists to many streams of one connection are not an attack; the default is 10 MB.
      maxSessionMemory: 64,
      ...http1Options(options.idleClientMs),
    });
    const server = this.#server;
    server.maxConnections = Math.min(options.maxConnections, deps.maxConnections ?? Number.POSITIVE_INFINITY);
    Object.assign(server, {
      shouldUpgradeCallback: (request: IncomingMessage) => upgradeOf(request.headers) !== undefined,
    });
    server.on('connection', (socket: Socket) => this.#connected(socket));
    server.on('session', (session) => this.#opened(session));
    server.on('request', (request, response) => this.#requested(request, response));
    server.on('checkContinue', (request, response) => {
      response.writeContinue();
      this.#requested(request, response);
    });
    server.on('checkExpectation', (request, response) => this.#requested(request, response));
    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) =>
      this.#upgraded(request, socket, head),
    );
    server.on('connect', (request: IncomingMessage | Http2ServerRequest, second: unknown) =>
      this.#connectAsked(request, second),
    );
    server.on('clientError', (error: Error, socket: Socket) => answerBadBytes(error, socket));
    server.on('tlsClientError', (error, socket) => {
      this.#deps.log.debug({ code: codeOf(error) }, 'TLS with a client failed');
      socket.destroy();
    });
    server.on('sessionError', () => {}); // the session is gone; its streams have been told
    server.on('error', (error) =>
      this.#deps.log.error(
        { address: formatHostPort(this.address), error: error.message },
        'accepting a client failed',
      ),
    );
  }

  async start(): Promise<boolean> {
    const { listen, optional = false, reusePort = false, log, files, clock } = this.#deps;
    const bound = await bind(this.#server, listen, { optional, reusePort });
    if (bound === undefined) return false;
    this.address = bound;
    this.#watch = watchPair(files, { clock, log, take: (pair) => this.#server.setSecureContext(pair) });
    return true;
  }

  stopAccepting(): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    this.#isStopped = true;
    this.#watch?.stop();
    // Closes idle HTTP/1.1 connections, and HTTP/2 sessions when their streams have ended.
    this.#server.close();
    return Promise.resolve();
  }

  async destroy(): Promise<void> {
    await this.stopAccepting();
    for (const session of [...this.#sessions]) session.destroy();
    const closed = [...this.#sockets].map(
      (socket) =>
        new Promise<void>((resolve) =>
          socket.destroyed ? resolve() : socket.once('close', () => resolve()),
        ),
    );
    for (const socket of [...this.#sockets]) socket.destroy();
    await Promise.all(closed);
  }

  // --- connections ----------------------------------------------------------------------------------------

  #connected(socket: Socket): void {
    const { keepAliveDelayMs, keepAliveIntervalMs, keepAliveCount } = this.#deps.core.options;
    socket.on('error', () => {});
    if (!this.#isAllowed(socket.remoteAddress ?? '')) {
      this.#deps.log.debug({ client: socket.remoteAddress }, 'client is not in allowFrom');
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveDelayMs, keepAliveIntervalMs, keepAliveCount);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #opened(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.on('error', () => {});
    session.once('close', () => this.#sessions.delete(session));
    this.#certificates.set(session, certificateOf(session.socket as TLSSocket));
  }

  #certificate(request: ClientRequestMessage): ClientCertificate {
    const session = 'stream' in request ? request.stream.session : undefined;
    const key: object = session ?? request.socket;
    let certificate = this.#certificates.get(key);
    if (certificate === undefined) {
      certificate = certificateOf(request.socket as TLSSocket);
      this.#certificates.set(key, certificate);
    }
    return certificate;
  }

  // --- requests -------------------------------------------------------------------------------------------

  #check(request: ClientRequestMessage): Checked {
    const refusal = checkRequest(request.method ?? '', request.url ?? '');
    if (refusal) return { ok: false, refusal };
    const cleaned = cleanRequestHeaders(request.rawHeaders, this.#identityHeaders);
    if (!cleaned.ok) return { ok: false, refusal: badRequest(cleaned.problem) };
    const { headers } = cleaned;
    const { frontProxy, passthroughAddresses } = this.#deps;
    const admission: Admission = admit(
      this.#certificate(request),
      headers,
      frontProxy,
      passthroughAddresses(),
    );
    if (!admission.ok) return admission;
    return { ok: true, headers, isFronted: admission.isFronted };
  }

  #requested(request: ClientRequestMessage, response: ClientResponse): void {
    const checked = this.#check(request);
    if (checked.ok) {
      this.#deps.core.serve(request, response, checked);
      return;
    }
    this.#deps.core.refused(request as IncomingMessage, checked.refusal.code);
    (request as IncomingMessage).resume();
    refuse(response, checked.refusal);
  }

  #upgraded(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on('error', () => {});
    const protocol = upgradeOf(request.headers);
    const checked: Checked =
      protocol === undefined || hasBody(request.headers)
        ? { ok: false, refusal: badRequest('an upgrade request cannot have a body') }
        : this.#check(request);
    if (checked.ok && protocol !== undefined) {
      const { headers, isFronted } = checked;
      this.#deps.core.upgrade(request, socket, head, { headers, isFronted, protocol });
      return;
    }
    const refusal = checked.ok ? badRequest('no protocol to upgrade to') : checked.refusal;
    this.#deps.core.refused(request, refusal.code);
    refuse(answerOn(request, socket), { ...refusal, isLast: true });
  }

  /** CONNECT: a socket with HTTP/1.1, a response with HTTP/2. */
  #connectAsked(request: IncomingMessage | Http2ServerRequest, second: unknown): void {
    const refusal = checkRequest('CONNECT', '/') ?? badRequest('CONNECT is not supported');
    this.#deps.core.refused(request as IncomingMessage, refusal.code);
    const response =
      'stream' in request
        ? (second as ClientResponse)
        : answerOn(
            request as IncomingMessage,
            (second as Socket).on('error', () => {}),
          );
    refuse(response, refusal);
  }
}

/** Not in the types of an HTTP/2 server, which hands them to its HTTP/1.1 half. */
function http1Options(keepAliveTimeout: number): object {
  return {
    maxHeaderSize: maxHeaderBytes,
    keepAliveTimeout,
    // Slow headers are an attack; slow bodies are a slow line, and end with their connection.
    headersTimeout: 30_000,
    requestTimeout: 0,
    insecureHTTPParser: false,
    requireHostHeader: true,
  };
}

const codesOfParser: Readonly<Record<string, readonly [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'the headers are too long for this listener'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request did not arrive in time'],
};

function answerBadBytes(error: Error, socket: Socket): void {
  // Only where nothing has been answered on this connection that these bytes could be taken for.
  if (socket.destroyed || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const [code, message] = codesOfParser[codeOf(error) ?? ''] ?? [400, 'the request is not well-formed HTTP'];
  const body = statusBody({ code, reason: 'BadRequest', message });
  const head = `HTTP/1.1 ${code} Bad Request\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}`;
  socket.end(`${head}\r\nConnection: close\r\n\r\n${body}`, () => socket.destroy());
}

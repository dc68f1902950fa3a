// An API server for tests of the http listener: a TLS server whose requests a test answers itself, and one that
// keeps the raw bytes it is sent.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Endpoint } from '../../../src/model/endpoint.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import type { Leaf } from '../credentials/pki.ts';
import { randomHosts } from './control-plane.ts';

export interface Backend {
  readonly endpoint: Endpoint;
  readonly server: Server;
  /** Connections accepted so far. */
  readonly connections: number;
  readonly openSockets: ReadonlySet<Socket>;
  /** What the requests said, bodies included. */
  readonly requests: SeenRequest[];
  onRequest: (request: IncomingMessage, response: ServerResponse) => void;
  onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  close(): Promise<void>;
}

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly headers: IncomingMessage['headers'];
  /** Common name of a client certificate. */
  readonly certificate: string | undefined;
  readonly body: string;
}

/** Answers 200 with its method, path and body until a test sets `onRequest`. */
export async function startBackend(leaf: Leaf, { requestCert = true } = {}): Promise<Backend> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer({ ...leaf, requestCert, rejectUnauthorized: false, keepAliveTimeout: 60_000 });
  server.on('connection', (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', () => {});
  server.on('request', (request, response) => {
    const chunks: Buffer[] = [];
    backend.requests.push(see(request, chunks));
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => {});
    response.on('error', () => {});
    backend.onRequest(request, response);
  });
  server.on('upgrade', (request, socket, head) => {
    backend.requests.push(see(request));
    socket.on('error', () => {});
    backend.onUpgrade(request, socket, head);
  });
  const [host = '127.0.0.1'] = randomHosts(1);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as { port: number };
  const backend: Backend = {
    endpoint: makeEndpoint(host, port),
    server,
    get connections() {
      return connections;
    },
    openSockets: sockets,
    requests: [],
    onRequest(request, response) {
      request.on('end', () => {
        const body = this.requests.at(-1)?.body ?? '';
        response.end(`${request.method} ${request.url} ${body}`);
      });
    },
    onUpgrade(_request, socket) {
      socket.destroy();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  return backend;
}

function see(request: IncomingMessage, chunks: readonly Buffer[] = []): SeenRequest {
  const { method = '', url = '', rawHeaders, headers } = request;
  const { subject } = (request.socket as TLSSocket).getPeerCertificate() as { subject?: { CN?: string } };
  return {
    method,
    url,
    rawHeaders,
    headers,
    certificate: subject?.CN,
    get body() {
      return Buffer.concat(chunks).toString('latin1');
    },
  };
}

/** Values of a header, line by line. */
export function lines({ rawHeaders }: { readonly rawHeaders: readonly string[] }, name: string): string[] {
  return rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
}

export interface RawBackend {
  readonly endpoint: Endpoint;
  /** Everything received, connection by connection. */
  readonly received: string[];
  close(): Promise<void>;
}

/** Keeps the bytes of each connection; `answer` says what to write back once it returns a text. */
export async function startRawBackend(
  leaf: Leaf,
  answer: (received: string, socket: TLSSocket) => string | undefined,
): Promise<RawBackend> {
  const received: string[] = [];
  const sockets = new Set<Socket>();
  const server = createTlsServer(leaf, (socket) => {
    const index = received.push('') - 1;
    let answered = 0;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      received[index] += chunk.toString('latin1');
      const text = answer((received[index] as string).slice(answered), socket);
      if (text === undefined) return;
      answered = received[index]?.length ?? 0;
      socket.write(text, 'latin1');
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', () => {});
  const [host = '127.0.0.1'] = randomHosts(1);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as { port: number };
  return {
    endpoint: makeEndpoint(host, port),
    received,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

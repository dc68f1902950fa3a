// Clients of the http listener: HTTP/1.1, HTTP/2, and one that writes its own bytes.
import type { IncomingHttpHeaders } from 'node:http';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { type Agent, request as httpsRequest } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';
import type { Leaf } from '../credentials/pki.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export interface RequestOptions {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Buffer;
  readonly agent?: Agent;
}

interface Target {
  readonly port: number;
  readonly ca: { readonly cert: string };
}

/** Rejects when the answer does not end as it should. */
export function ask(
  { port, ca }: Target,
  { method = 'GET', path = '/', headers = {}, body, agent = undefined }: RequestOptions = {},
  tls: Partial<Leaf> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    // Node frames no body of a DELETE by itself.
    const length =
      body === undefined || 'transfer-encoding' in headers
        ? {}
        : { 'content-length': Buffer.byteLength(body) };
    const request = httpsRequest(
      {
        host: '127.0.0.1',
        port,
        method,
        path,
        headers: { ...length, ...headers } as Record<string, string>,
        ca: ca.cert,
        agent: agent ?? false,
        ...tls,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            rawHeaders: response.rawHeaders,
            body: Buffer.concat(chunks).toString('latin1'),
          }),
        );
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

export interface Http2Client {
  readonly session: ClientHttp2Session;
  ask(options?: RequestOptions & { readonly pseudo?: Record<string, string> }): Promise<Answer>;
  close(): Promise<void>;
}

export async function http2Client({ port, ca }: Target, tls: Partial<Leaf> = {}): Promise<Http2Client> {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: ca.cert, ...tls });
  session.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    session.once('connect', () => resolve());
    session.once('error', reject);
  });
  return {
    session,
    ask: ({ method = 'GET', path = '/', headers = {}, body, pseudo = {} } = {}) =>
      new Promise((resolve, reject) => {
        const given = { ':method': method, ':path': path, ...pseudo, ...headers };
        const stream = session.request(given, { endStream: body === undefined });
        const chunks: Buffer[] = [];
        let answered: IncomingHttpHeaders & { ':status'?: number } = {};
        let raw: readonly string[] = [];
        stream.on('response', (received, _flags, rawHeaders) => {
          answered = received as never;
          raw = (rawHeaders as unknown as string[] | undefined) ?? [];
        });
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('error', reject);
        stream.on('close', () => {
          if (stream.rstCode !== 0) reject(new Error(`stream reset: ${stream.rstCode}`));
          else
            resolve({
              status: answered[':status'] ?? 0,
              headers: answered,
              rawHeaders: raw,
              body: Buffer.concat(chunks).toString('latin1'),
            });
        });
        if (body !== undefined) stream.end(body);
      }),
    close: () =>
      new Promise((resolve) => {
        if (session.destroyed) {
          resolve();
          return;
        }
        session.once('close', () => resolve());
        session.destroy();
      }),
  };
}

export interface RawClient {
  readonly socket: TLSSocket;
  text: string;
  /** Resolves when the connection has ended, whichever way. */
  readonly ended: Promise<void>;
}

export async function rawClient(
  { port, ca }: Target,
  bytes = '',
  tls: Partial<Leaf> = {},
): Promise<RawClient> {
  const socket = connect({
    host: '127.0.0.1',
    port,
    ca: ca.cert,
    servername: 'localhost',
    ALPNProtocols: ['http/1.1'],
    ...tls,
  });
  const client: RawClient = {
    socket,
    text: '',
    ended: new Promise((resolve) => socket.once('close', () => resolve())),
  };
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    client.text += chunk.toString('latin1');
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', () => resolve());
    socket.once('error', reject);
  });
  if (bytes !== '') socket.write(bytes, 'latin1');
  return client;
}

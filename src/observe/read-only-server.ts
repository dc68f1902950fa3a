// A small HTTP server that answers GET and HEAD and nothing else: the base of the admin server and of the metrics
// listener. Bounded in connections, headers and time, as others than the operator may reach it. Owns its HTTP server.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';

export interface Answer {
  readonly status: number;
  readonly contentType?: string;
  readonly body: string;
}

export interface ReadOnlyServerDeps {
  readonly listen: HostPort;
  readonly log: Pick<Logger, 'warn'>;
  /** Several processes of one user may share the port (SO_REUSEPORT). */
  readonly reusePort?: boolean;
  /** `admin`, `metrics`: for the log. */
  readonly name: string;
  /** The path without its query. */
  answer(path: string): Promise<Answer> | Answer;
}

export interface ReadOnlyServer {
  /** The bound address. */
  readonly address: string;
  stop(): Promise<void>;
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  { answer, log, name }: ReadOnlyServerDeps,
): Promise<void> {
  const send = ({ status, contentType = 'text/plain; charset=utf-8', body }: Answer): void => {
    response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return send({ status: 405, body: 'only GET and HEAD\n' });
  }
  try {
    send(await answer((request.url ?? '/').split('?')[0] ?? '/'));
  } catch (error) {
    log.warn({ err: error, path: request.url }, `${name} request failed`);
    send({ status: 500, body: 'internal error; see the log\n' });
  }
}

/** Resolves when it is bound; rejects with the error of the bind. */
export async function startReadOnlyServer(deps: ReadOnlyServerDeps): Promise<ReadOnlyServer> {
  const { listen, log, name, reusePort = false } = deps;
  const server: Server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 30_000, maxHeaderSize: 8_192 },
    (request, response) => void handle(request, response, deps),
  );
  server.maxConnections = 64;
  const { host, port } = listen;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, reusePort }, () => {
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
        server.closeAllConnections();
      }),
  };
}

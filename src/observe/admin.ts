// The admin server: liveness, readiness, metrics and status on a loopback port. Read-only. Bytes keep
// flowing whether it works or not; it owns its HTTP server.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import type { Status } from '../model/status.ts';
import { type MetricSources, renderMetrics } from './metrics.ts';

export interface AdminDeps {
  readonly listen: HostPort;
  readonly log: Pick<Logger, 'warn' | 'info'>;
  status(): Status;
  readonly metrics: MetricSources;
  /** Several processes of one user may share the port (SO_REUSEPORT). */
  readonly reusePort?: boolean;
}

export interface AdminServer {
  /** The bound address. */
  readonly address: string;
  stop(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly contentType?: string;
  readonly body: string;
}

async function answer(path: string, deps: AdminDeps): Promise<Answer> {
  switch (path) {
    case '/livez':
      return { status: 200, body: 'ok\n' };
    case '/readyz':
    case '/healthz': {
      const { isReady, waitingFor } = deps.status();
      if (isReady) return { status: 200, body: 'ok\n' };
      const why = waitingFor ? `waiting for ${waitingFor.join(', ')}` : 'no usable endpoint';
      return { status: 503, body: `${why}; see /status\n` };
    }
    case '/status': {
      const body = `${JSON.stringify(deps.status(), null, 2)}\n`;
      return { status: 200, contentType: 'application/json', body };
    }
    case '/metrics':
      return { status: 200, ...(await renderMetrics(deps.metrics)) };
    default:
      return { status: 404, body: 'known paths: /livez /readyz /healthz /metrics /status\n' };
  }
}

async function handle(request: IncomingMessage, response: ServerResponse, deps: AdminDeps): Promise<void> {
  const send = ({ status, contentType = 'text/plain; charset=utf-8', body }: Answer): void => {
    response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return send({ status: 405, body: 'only GET and HEAD\n' });
  }
  try {
    send(await answer((request.url ?? '/').split('?')[0] ?? '/', deps));
  } catch (error) {
    deps.log.warn({ err: error, path: request.url }, 'admin request failed');
    send({ status: 500, body: 'internal error; see the log\n' });
  }
}

/** Starts the admin server. Throws FairleadError LISTEN_IN_USE or LISTEN_FAILED. */
export async function startAdmin(deps: AdminDeps): Promise<AdminServer> {
  const server: Server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 30_000, maxHeaderSize: 8_192 },
    (request, response) => void handle(request, response, deps),
  );
  server.maxConnections = 64;
  const { host, port } = deps.listen;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const code = error.code === 'EADDRINUSE' ? 'LISTEN_IN_USE' : 'LISTEN_FAILED';
      const where = formatHostPort(deps.listen);
      reject(new FairleadError(code, `admin address ${where}: ${error.message}`, { cause: error }));
    });
    server.listen({ host, port, reusePort: deps.reusePort ?? false }, resolve);
  });
  server.on('error', (err) => deps.log.warn({ err }, 'admin server error'));
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

// The admin server: liveness, readiness, metrics and status on a loopback port. Read-only. Bytes keep
// flowing whether it works or not.
import type { Logger } from 'pino';
import type { HostPort } from '../model/endpoint.ts';
import type { Status } from '../model/status.ts';
import { type MetricSources, renderMetrics } from './metrics.ts';
import { type Answer, type ReadOnlyServer, startReadOnlyServer } from './read-only-server.ts';
import { listenError } from '../lib/bind.ts';

export interface AdminDeps {
  readonly listen: HostPort;
  readonly log: Pick<Logger, 'warn' | 'info'>;
  status(): Status;
  readonly metrics: MetricSources;
  /** Several processes of one user may share the port (SO_REUSEPORT). */
  readonly reusePort?: boolean;
}

export type AdminServer = ReadOnlyServer;

async function answer(path: string, deps: AdminDeps): Promise<Answer> {
  switch (path) {
    case '/livez':
    // As nginx-proxy and HAProxy answer it on Kubespray's health port: whoever asks it as liveness must not have the
    // agent restarted because the API servers are away.
    case '/healthz':
      return { status: 200, body: 'ok\n' };
    case '/readyz': {
      const { isReady, stopping, waitingFor } = deps.status();
      if (isReady) return { status: 200, body: 'ok\n' };
      if (stopping) return { status: 503, body: `stopping, until ${stopping.until} at the latest\n` };
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

/** Starts the admin server. Throws FairleadError LISTEN_IN_USE or LISTEN_FAILED. */
export async function startAdmin(deps: AdminDeps): Promise<AdminServer> {
  const { listen, log, reusePort = false } = deps;
  const reply = (path: string) => answer(path, deps);
  try {
    return await startReadOnlyServer({ listen, log, reusePort, name: 'admin', answer: reply });
  } catch (cause) {
    throw await listenError(listen, cause, 'admin address');
  }
}

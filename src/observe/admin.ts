// The admin server: liveness, readiness, metrics and status on a loopback port. Read-only. Bytes keep
// flowing whether it works or not.
import type { Logger } from 'pino';
import type { HostPort } from '../model/endpoint.ts';
import type { Status } from '../model/status.ts';
import type { Rendering } from './rendering.ts';
import { type Answer, type ReadOnlyServer, startReadOnlyServer } from './read-only-server.ts';
import { listenError } from '../lib/bind.ts';

/** What /readyz says. Any process may ask every few seconds, so it must cost next to nothing. */
export type Readiness = Pick<Status, 'isReady' | 'stopping' | 'waitingFor'>;

/** What costs time to make; the addresses of one agent share it. */
export interface AdminPages {
  readonly status: Rendering;
  readonly metrics: Rendering;
}

export interface AdminDeps {
  readonly listen: HostPort;
  readonly log: Pick<Logger, 'warn' | 'info'>;
  readiness(): Readiness;
  readonly pages: AdminPages;
  /** See ReadOnlyServerDeps. */
  readonly hostNames?: readonly string[];
  /** Several processes of one user may share the port (SO_REUSEPORT). */
  readonly reusePort?: boolean;
}

export type AdminServer = ReadOnlyServer;

async function page(rendering: Rendering): Promise<Answer> {
  return { status: 200, ...(await rendering.page()) };
}

function answer(path: string, deps: AdminDeps): Promise<Answer> | Answer {
  switch (path) {
    case '/livez':
    // As nginx-proxy and HAProxy answer it on Kubespray's health port: whoever asks it as liveness must not have the
    // agent restarted because the API servers are away.
    case '/healthz':
      return { status: 200, body: 'ok\n' };
    case '/readyz': {
      const { isReady, stopping, waitingFor } = deps.readiness();
      if (isReady) return { status: 200, body: 'ok\n' };
      if (stopping) return { status: 503, body: `stopping, until ${stopping.until} at the latest\n` };
      const why = waitingFor ? `waiting for ${waitingFor.join(', ')}` : 'no usable endpoint';
      return { status: 503, body: `${why}; see /status\n` };
    }
    case '/status':
      return page(deps.pages.status);
    case '/metrics':
      return page(deps.pages.metrics);
    default:
      return { status: 404, body: 'known paths: /livez /readyz /healthz /metrics /status\n' };
  }
}

/** Starts the admin server. Throws FairleadError LISTEN_IN_USE or LISTEN_FAILED. */
export async function startAdmin(deps: AdminDeps): Promise<AdminServer> {
  const { listen, log, reusePort = false, hostNames = [] } = deps;
  const reply = (path: string) => answer(path, deps);
  try {
    return await startReadOnlyServer({ listen, log, reusePort, hostNames, name: 'admin', answer: reply });
  } catch (cause) {
    throw await listenError(listen, cause, 'admin address');
  }
}

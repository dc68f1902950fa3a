// The metrics listener: /metrics and nothing else, on an address that other hosts may reach. The node serves
// without it: an address that cannot be bound yet (a network that comes up late, a predecessor that is not
// gone) is logged and tried again. Owns its server and its timer.
import type { Logger } from 'pino';
import type { Clock, Timer } from '../model/clock.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { codeOf } from '../model/error-text.ts';
import type { Rendering } from './rendering.ts';
import { type Answer, type ReadOnlyServer, startReadOnlyServer } from './read-only-server.ts';

export interface MetricsListenerDeps {
  readonly listen: HostPort;
  readonly log: Pick<Logger, 'warn' | 'info'>;
  readonly clock: Pick<Clock, 'schedule'>;
  readonly metrics: Rendering;
  /** See ReadOnlyServerDeps. */
  readonly hostNames?: readonly string[];
}

export interface MetricsListener {
  /** Nothing fires afterwards. Idempotent. */
  stop(): Promise<void>;
}

const retryMs = 5_000;

async function answer(path: string, metrics: Rendering): Promise<Answer> {
  if (path === '/metrics') return { status: 200, ...(await metrics.page()) };
  return { status: 404, body: 'known path: /metrics\n' };
}

/** Resolves after the first attempt to bind, whatever came of it. */
export async function startMetricsListener(deps: MetricsListenerDeps): Promise<MetricsListener> {
  const { listen, log, clock, metrics, hostNames = [] } = deps;
  let server: ReadOnlyServer | undefined;
  let timer: Timer | undefined;
  let isStopped = false;
  let attempt: Promise<void>;
  let lastCode: string | undefined;

  const bind = async (): Promise<void> => {
    try {
      server = await startReadOnlyServer({
        listen,
        log,
        name: 'metrics',
        hostNames,
        answer: (path) => answer(path, metrics),
      });
      log.info({ address: server.address }, 'serving metrics');
    } catch (error) {
      const code = codeOf(error) ?? 'unknown';
      // Once for each reason: attempts continue as long as the agent runs.
      if (code !== lastCode) {
        log.warn(
          { address: formatHostPort(listen), code },
          'cannot listen for metrics; retrying. Clients are not affected',
        );
      }
      lastCode = code;
      if (!isStopped) {
        timer = clock.schedule(retryMs, () => {
          attempt = bind();
        });
      }
    }
  };

  attempt = bind();
  await attempt;
  return {
    async stop() {
      isStopped = true;
      timer?.cancel();
      await attempt;
      await server?.stop();
      server = undefined;
    },
  };
}

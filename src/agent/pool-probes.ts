// The health checks of one pool as its configuration and credentials want them, and what is counted and logged of them.
import type { Logger } from 'pino';
import { checkSteps } from './options.ts';
import type { PoolCredentials } from './pool-credentials.ts';
import type { PoolConfig } from '../config/config.ts';
import { ProbeConnection } from '../health/probe.ts';
import { type ProbeResult, reasonOf } from '../health/verdict.ts';
import { checkIdentity } from '../kubernetes/server-identity.ts';
import type { Endpoint, EndpointId } from '../model/endpoint.ts';
import { formatReason } from '../model/snapshot.ts';
import { ProbeCounters } from '../observe/metrics.ts';

export interface PoolProbesDeps {
  readonly log: Pick<Logger, 'info'>;
  readonly userAgent: string;
  readonly credentials: Pick<PoolCredentials, 'current' | 'target'>;
  config(): PoolConfig;
  /** Every connection to an endpoint of the pool begins with a PROXY protocol header. */
  sendsProxy(): boolean;
}

export class PoolProbes {
  readonly counters = new ProbeCounters();
  readonly #deps: PoolProbesDeps;

  constructor(deps: PoolProbesDeps) {
    this.#deps = deps;
  }

  connect(endpoint: Endpoint, sni?: string): ProbeConnection {
    const { credentials, config, sendsProxy, userAgent } = this.#deps;
    const target = credentials.target();
    const { check, port } = config().health;
    return new ProbeConnection({
      endpoint: port === undefined ? endpoint : { ...endpoint, port },
      ...target,
      token: () => credentials.current.token,
      ...(sni !== undefined && { sni }),
      check,
      sendProxy: sendsProxy(),
      steps: checkSteps(config()),
      userAgent,
      checkIdentity: (certificate) => checkIdentity(endpoint, certificate, target.credentials.serverName),
    });
  }

  observe(endpoint: EndpointId, result: ProbeResult, durationMs: number): void {
    const { log, config } = this.#deps;
    const reason = reasonOf(result);
    const { code, status } = reason;
    if (config().health.logChecks) {
      const fields = { endpoint, result: formatReason(reason), durationMs: Math.round(durationMs) };
      log.info(fields, 'health check');
    }
    this.counters.observe(
      endpoint,
      formatReason({ code, ...(status !== undefined && { status }) }),
      durationMs,
    );
  }
}

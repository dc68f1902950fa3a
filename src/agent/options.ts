// From the configuration to the options of each part. Pure.
import type { PoolConfig, StatusRange } from '../config/config.ts';
import { etcdProblem } from '../health/etcd.ts';
import type { HealthOptions } from '../health/health.ts';
import type { CheckStep } from '../health/probe.ts';
import type { PassthroughOptions } from '../passthrough/tunnel/options.ts';
import type { CredentialOptions } from '../kubernetes/load-credentials.ts';

function includes(ranges: readonly StatusRange[], status: number): boolean {
  return ranges.some(({ from, to }) => status >= from && status <= to);
}

export function checkSteps({ health }: Pick<PoolConfig, 'health'>): readonly CheckStep[] {
  const isEtcd = health.expectBody === 'etcd';
  return health.steps.map(({ path, expectStatus }) => {
    const isExpected = (status: number) => includes(expectStatus, status);
    if (!isEtcd) return { path, isExpected };
    const judged = { path, isExpected, bodyProblem: etcdProblem };
    if (/^\/health(\?|$)/.test(path)) return judged;
    // /readyz and /livez answer in lines of text, from etcd 3.5.11 on; before that /health is what there is.
    return { path, isExpected, whenMissing: { ...judged, path: '/health' } };
  });
}

export function healthOptions({ health }: PoolConfig): HealthOptions {
  const { intervalMs, standbyIntervalMs, fastIntervalMs, timeoutMs, reconnectMs, rise, startupGraceMs } =
    health;
  return { intervalMs, standbyIntervalMs, fastIntervalMs, timeoutMs, reconnectMs, rise, startupGraceMs };
}

/** `limits`: what the descriptors of this process allow. */
export function passthroughOptions(
  { dial, tunnels }: PoolConfig,
  limits: { readonly maxTunnels: number; readonly maxHalfOpenDials: number },
): Partial<PassthroughOptions> {
  return {
    raceDelayMs: dial.raceDelayMs,
    allDownDeadlineMs: dial.allDownDeadlineMs,
    maxHalfOpenDials: Math.min(dial.maxHalfOpenDials, limits.maxHalfOpenDials),
    firstFlightTimeoutMs: dial.firstFlightTimeoutMs,
    lastCandidateTimeoutMs: dial.lastCandidateTimeoutMs,
    replayBudgetPercent: dial.replayBudgetPercent,
    replayMinPerSecond: dial.replayMinPerSecond,
    maxTunnels: Math.min(tunnels.max ?? Number.POSITIVE_INFINITY, limits.maxTunnels),
    idleTimeoutMs: tunnels.idleTimeoutMs,
    halfCloseTimeoutMs: tunnels.halfCloseTimeoutMs,
    keepAliveDelayMs: tunnels.keepAliveDelayMs,
    keepAliveIntervalMs: tunnels.keepAliveIntervalMs,
    keepAliveCount: tunnels.keepAliveCount,
  };
}

/** The files to read, and the service account where the configuration and the pod allow it. */
export function credentialOptions(
  { credentials }: Pick<PoolConfig, 'credentials'>,
  serviceAccount: { readonly dir: string; readonly exists: boolean; readonly host?: string },
): CredentialOptions {
  const { kubeconfig, caFile, clientCertFile, clientKeyFile, tokenFile, serverName, inCluster } = credentials;
  const isNothingElse = [kubeconfig, clientCertFile, tokenFile].every((file) => file === undefined);
  const isInCluster = inCluster === true || (inCluster === 'auto' && isNothingElse && serviceAccount.exists);
  return {
    ...(kubeconfig !== undefined && { kubeconfig }),
    ...(caFile !== undefined && { caFile }),
    ...(clientCertFile !== undefined && { clientCertFile }),
    ...(clientKeyFile !== undefined && { clientKeyFile }),
    ...(tokenFile !== undefined && { tokenFile }),
    ...(serverName !== undefined && { serverName }),
    ...(isInCluster && { serviceAccountDir: serviceAccount.dir }),
    ...(serviceAccount.host !== undefined && { serviceHost: serviceAccount.host }),
  };
}

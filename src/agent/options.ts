// From the configuration to the options of each part. Pure.
import { healthStepsOf, type PoolConfig } from '../config/config.ts';
import { includesStatus } from '../config/statuses.ts';
import { etcdProblem } from '../health/etcd.ts';
import type { CheckStep } from '../health/probe.ts';
import type { HttpSettings } from '../http/options.ts';
import { fixedPassthroughOptions, type PassthroughOptions } from '../passthrough/tunnel/options.ts';
import type { TunnelLimits } from '../passthrough/tunnel/tunnel-limit.ts';
import type { CredentialOptions } from '../kubernetes/load-credentials.ts';

export function checkSteps({ health }: Pick<PoolConfig, 'health'>): readonly CheckStep[] {
  const isEtcd = health.expectBody === 'etcd';
  return healthStepsOf(health).map(({ path, expectStatus }) => {
    const isExpected = (status: number) => includesStatus(expectStatus, status);
    if (!isEtcd) return { path, isExpected };
    const judged = { path, isExpected, bodyProblem: etcdProblem };
    if (/^\/health(\?|$)/.test(path)) return judged;
    // /readyz and /livez answer in lines of text, from etcd 3.5.11 on; before that /health is what there is.
    return { path, isExpected, whenMissing: { ...judged, path: '/health' } };
  });
}

/** `limits`: what the descriptors of this process allow. */
export function passthroughOptions({ dial, tunnels }: PoolConfig, limits: TunnelLimits): PassthroughOptions {
  const { max = Number.POSITIVE_INFINITY } = tunnels;
  return {
    ...fixedPassthroughOptions,
    ...dial,
    ...tunnels,
    maxHalfOpenDials: Math.min(dial.maxHalfOpenDials, limits.maxHalfOpenDials),
    maxTunnels: Math.min(max, limits.maxTunnels),
  };
}

/** `maxConnections`: what the tunnels of this process may be, as requests come beside them. */
export function httpOptions({ dial, tunnels }: PoolConfig, maxConnections: number): HttpSettings {
  return { ...dial, ...tunnels, maxConnections };
}

/** The files to read, and the service account where the configuration and the pod allow it. */
export function credentialOptions(
  { credentials }: Pick<PoolConfig, 'credentials'>,
  serviceAccount: { readonly dir: string; readonly exists: boolean; readonly host?: string },
): CredentialOptions {
  const { inCluster, ...files } = credentials;
  const isNothingElse = [files.kubeconfig, files.clientCertFile, files.tokenFile].every(
    (file) => file === undefined,
  );
  const isInCluster = inCluster === true || (inCluster === 'auto' && isNothingElse && serviceAccount.exists);
  return {
    ...files,
    ...(isInCluster && { serviceAccountDir: serviceAccount.dir }),
    ...(serviceAccount.host !== undefined && { serviceHost: serviceAccount.host }),
  };
}

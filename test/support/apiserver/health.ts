// Health endpoints in Kubernetes' own text format (staging/src/k8s.io/apiserver/pkg/server/healthz/healthz.go).
// Pure: which checks fail comes in, status and text go out.

export type HealthPath = 'readyz' | 'livez' | 'healthz';

export interface HealthAnswer {
  readonly status: number;
  readonly body: string;
}

const hooks = [
  'start-apiserver-admission-initializer',
  'generic-apiserver-start-informers',
  'priority-and-fairness-config-consumer',
  'priority-and-fairness-filter',
  'storage-object-count-tracker-hook',
  'start-apiextensions-informers',
  'start-apiextensions-controllers',
  'crd-informer-synced',
  'start-system-namespaces-controller',
  'peer-endpoint-reconciler-controller',
  'start-cluster-authentication-info-controller',
  'start-kube-apiserver-identity-lease-controller',
  'start-kube-apiserver-identity-lease-garbage-collector',
  'storage-readiness',
  'start-legacy-token-tracking-controller',
  'start-service-ip-repair-controllers',
  'rbac/bootstrap-roles',
  'scheduling/bootstrap-system-priority-classes',
  'priority-and-fairness-config-producer',
  'bootstrap-controller',
  'start-kubernetes-service-cidr-controller',
  'aggregator-reload-proxy-client-cert',
  'start-kube-aggregator-informers',
  'apiservice-status-local-available-controller',
  'apiservice-status-remote-available-controller',
  'apiservice-registration-controller',
  'apiservice-wait-for-first-sync',
  'apiservice-discovery-controller',
  'kube-apiserver-autoregistration',
].map((name) => `poststarthook/${name}`);

const tail = [
  'autoregister-completion',
  'poststarthook/apiservice-openapi-controller',
  'poststarthook/apiservice-openapiv3-controller',
];

/** The checks behind each path, in the order in which they are shown. */
export const checksOf: Record<HealthPath, readonly string[]> = {
  readyz: ['ping', 'log', 'etcd', 'etcd-readiness', 'informer-sync', ...hooks, ...tail, 'shutdown'],
  livez: ['ping', 'log', 'etcd', ...hooks, ...tail],
  healthz: ['ping', 'log', 'etcd', ...hooks, ...tail],
};

/** Those that ask etcd. */
export const storeChecks = ['etcd', 'etcd-readiness'] as const;
export type StoreCheckName = (typeof storeChecks)[number];

/** The hooks that are late when an API server starts. */
export const startupHooks = ['poststarthook/rbac/bootstrap-roles', 'poststarthook/bootstrap-controller'];

/**
 * Answers `/readyz` and its siblings.
 * @param failing names of checks that fail; names that the path has not are shown at the end as extra checks
 * @param excluded values of `?exclude=`
 */
export function answerHealth(
  path: HealthPath,
  failing: ReadonlySet<string>,
  { isVerbose = false, excluded = [] }: { isVerbose?: boolean; excluded?: readonly string[] } = {},
): HealthAnswer {
  const unmatched = new Set(excluded);
  const known = checksOf[path];
  const checks = [...known, ...[...failing].filter((name) => !known.includes(name))];
  let text = '';
  let hasFailed = false;
  for (const name of checks) {
    if (excluded.includes(name)) {
      unmatched.delete(name);
      text += `[+]${name} excluded: ok\n`;
    } else if (failing.has(name)) {
      hasFailed = true;
      text += `[-]${name} failed: reason withheld\n`;
    } else {
      text += `[+]${name} ok\n`;
    }
  }
  if (unmatched.size > 0) {
    const names = [...unmatched].sort().map((name) => `"${name}"`);
    text += `warn: some health checks cannot be excluded: no matches for ${names.join(', ')}\n`;
  }
  // Always verbose on failure.
  if (hasFailed) return { status: 500, body: `${text}${path} check failed\n` };
  return { status: 200, body: isVerbose ? `${text}${path} check passed\n` : 'ok' };
}

/** Answers `/readyz/<check>`; undefined when there is no such check. */
export function answerOneCheck(
  path: HealthPath,
  check: string,
  failing: ReadonlySet<string>,
): HealthAnswer | undefined {
  if (failing.has(check)) return { status: 500, body: `internal server error: ${check} failed\n` };
  return checksOf[path].includes(check) ? { status: 200, body: 'ok' } : undefined;
}

// Calico's own address of the API server: ConfigMap kubernetes-services-endpoint, which its pods take as environment
// (installed from manifests: kube-system) or its operator hands on (tigera-operator).
import { FairleadError } from '../../model/errors.ts';
import { isLoopback } from '../../model/host.ts';
import type { KubeApi, KubeObject } from '../../kubernetes/kube-api.ts';
import { lineDiff } from '../../lib/line-diff.ts';
import { type DataValues, dataOf, notPointed, pointData, restoreData } from './data-change.ts';
import {
  digestOf,
  labelOf,
  metadataOf,
  type ObjectChange,
  type ObjectRef,
  pathOf,
  readSaved,
  type Saved,
} from './object-change.ts';
import type { ClusterTarget, Wanted } from './target.ts';

const name = 'kubernetes-services-endpoint';
const keys = ['KUBERNETES_SERVICE_HOST', 'KUBERNETES_SERVICE_PORT'] as const;
const operatorNamespace = 'tigera-operator';

/** The operator's ConfigMap where the operator is, else that of an installation from manifests. */
async function find(
  api: KubeApi,
  given?: string,
): Promise<{ ref: ObjectRef; object: KubeObject | undefined }> {
  const isOperated = async () => (await api.find(`/api/v1/namespaces/${operatorNamespace}`)) !== undefined;
  const namespace = given ?? ((await isOperated()) ? operatorNamespace : 'kube-system');
  const ref: ObjectRef = { kind: 'configmap', namespace, name };
  return { ref, object: await api.find(pathOf(ref)) };
}

function shown(values: DataValues): string {
  return Object.entries(values)
    .filter(([, value]) => value !== null)
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('');
}

async function plan(
  api: KubeApi,
  { address, verifiedName, isForced, namespace }: Wanted,
): Promise<ObjectChange[]> {
  const { ref, object } = await find(api, namespace);
  const warnings: string[] = [];
  if (ref.namespace === operatorNamespace && isLoopback(address.host)) {
    const problem =
      'older versions of the Tigera operator also pass this address to pods outside the host network ' +
      '(calico-kube-controllers, the Calico API server), where Fairlead does not listen on the loopback address';
    if (!isForced) throw new FairleadError('CLUSTER_REFUSED', `${labelOf(ref)}: ${problem}`);
    warnings.push(problem);
  }
  warnings.push(...(await verifiedName([address.host])).warnings);
  const current = dataOf(object, keys);
  const next: DataValues = { [keys[0]]: address.host, [keys[1]]: String(address.port) };
  const diff = lineDiff(labelOf(ref), shown(current), shown(next));
  if (object) return [pointData(ref, object, { current, next, diff, warnings })];
  const after = digestOf(next);
  const saved = JSON.stringify({ before: null, after } satisfies Saved);
  const { annotations } = metadataOf({}, saved);
  const created = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace: ref.namespace, name, annotations },
    data: next,
  };
  return [{ ref, warnings, fingerprint: after, action: 'create', diff, object: created }];
}

async function planUndo(api: KubeApi, namespace?: string): Promise<ObjectChange[]> {
  const { ref, object } = await find(api, namespace);
  const saved = readSaved(ref, object);
  if (!object || !saved) return [notPointed(ref)];
  const current = dataOf(object, keys);
  const before = { ...dataOf(undefined, keys), ...(saved.before as DataValues | null) };
  const isOurs = saved.after === digestOf(current);
  const members = Object.keys((object.data ?? {}) as object);
  const { resourceVersion = '' } = object.metadata ?? {};
  const base = { ref, warnings: [], fingerprint: digestOf(before) };
  if (isOurs && saved.before === null && members.length === keys.length) {
    return [{ ...base, action: 'delete', diff: lineDiff(labelOf(ref), shown(current), ''), resourceVersion }];
  }
  // Whoever wrote another address since wants that one.
  const next = isOurs ? before : current;
  const warnings = isOurs ? [] : ['has had its address changed since it was pointed, and keeps the new one'];
  const diff = lineDiff(labelOf(ref), shown(current), shown(next));
  return [restoreData(ref, object, { current, next, diff, warnings })];
}

export const calico: ClusterTarget = {
  plan,
  planUndo,
  readers: ([change]) =>
    change?.ref.namespace === operatorNamespace
      ? []
      : [
          { kind: 'daemonset', namespace: change?.ref.namespace ?? 'kube-system', name: 'calico-node' },
          { kind: 'deployment', namespace: change?.ref.namespace ?? 'kube-system', name: 'calico-typha' },
        ],
  notes: [
    "Calico's operator restarts its pods. If it does not do so within a few minutes, delete the operator's pod.",
  ],
};

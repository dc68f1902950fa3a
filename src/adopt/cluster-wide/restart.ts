// Rolls the pods that read what was changed at their start, as `kubectl rollout restart` does, once for each change.
import { FairleadError } from '../../model/errors.ts';
import { type KubeApi, mergePatch, refusal } from '../../kubernetes/kube-api.ts';
import { labelOf, type ObjectRef, pathOf } from './object-change.ts';

/** Beside kubectl's own: says for which state of the object the pods were restarted. */
export const restartedFor = 'fairlead/restarted-for';

export type Restarted = 'restarted' | 'already' | 'absent';

/** Rejects with API_REFUSED, and with CLUSTER_REFUSED when the workload changes at the same time. */
export async function restart(
  api: KubeApi,
  ref: ObjectRef,
  { fingerprint, nowMs }: { readonly fingerprint: string; readonly nowMs: number },
): Promise<Restarted> {
  const path = pathOf(ref);
  const object = await api.find(path);
  if (!object) return 'absent';
  const template = (object.spec as { template?: { metadata?: { annotations?: Record<string, string> } } })
    ?.template;
  if (template?.metadata?.annotations?.[restartedFor] === fingerprint) return 'already';
  const annotations = {
    'kubectl.kubernetes.io/restartedAt': new Date(nowMs).toISOString(),
    [restartedFor]: fingerprint,
  };
  const { resourceVersion } = object.metadata ?? {};
  const body = { metadata: { resourceVersion }, spec: { template: { metadata: { annotations } } } };
  const answer = await api.ask({ method: 'PATCH', path, body, contentType: mergePatch });
  if (answer.status === 409)
    throw new FairleadError(
      'CLUSTER_REFUSED',
      `${labelOf(ref)} was changed by another client in the meantime`,
    );
  if (answer.status !== 200) throw refusal('PATCH', path, answer);
  return 'restarted';
}

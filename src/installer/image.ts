// Which image the static pod runs: the one that this very pod runs, so that kubelet has pulled it before the
// manifest is written, with the credentials for it and at a time when pulling may fail without harm. Pure.
import type { KubeObject } from '../kubernetes/kube-api.ts';
import { fieldsOf, isRecord, listOf } from '../lib/guards.ts';

const containersOf = (value: unknown) => listOf(value).filter(isRecord);

/** By digest where the runtime knows one; undefined when the pod has no such container. */
export function imageOf(pod: KubeObject, container = 'fairlead'): string | undefined {
  const spec = containersOf(fieldsOf(pod.spec).containers);
  const status = containersOf(fieldsOf(pod.status).containerStatuses);
  const written = spec.find(({ name }) => name === container)?.image;
  if (typeof written !== 'string') return undefined;
  if (written.includes('@sha256:')) return written;
  const id = status.find(({ name }) => name === container)?.imageID;
  // containerd: repository@sha256:...; docker-shim's old form has a scheme before it. A bare sha256:... is the id
  // of an image that was loaded by hand: no name to find it by, so the written one stays.
  const digest =
    typeof id === 'string' ? /^(?:[a-z-]+:\/\/)?([^@]+@sha256:[0-9a-f]{64})$/.exec(id)?.[1] : undefined;
  return digest ?? written;
}

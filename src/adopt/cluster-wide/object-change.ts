// One change of one object of the cluster: what it is, what kubectl would have to be told, and making it. A change is
// held to the version of the object that it was planned for, and keeps in an annotation what was there before.
import { createHash } from 'node:crypto';
import { FairleadError } from '../../model/errors.ts';
import { type KubeApi, type KubeObject, mergePatch, refusal } from '../../kubernetes/kube-api.ts';
import { parseJson } from '../../lib/bounded-json.ts';
import { type Fields, fieldsOf, isRecord, isString } from '../../lib/guards.ts';

export type WorkloadKind = 'daemonset' | 'deployment';

export interface ObjectRef {
  readonly kind: 'configmap' | WorkloadKind;
  readonly namespace: string;
  readonly name: string;
}

export type ObjectChange = {
  readonly ref: ObjectRef;
  readonly warnings: readonly string[];
  /** Of what the object says afterwards: its readers are restarted once for each. */
  readonly fingerprint: string;
} & (
  | { readonly action: 'nothing'; readonly why: string }
  | {
      readonly action: 'patch';
      readonly diff: string;
      readonly patch: object;
      /** The patch must not be shown, as it repeats a text that holds credentials. */
      readonly isSecret?: boolean;
    }
  | { readonly action: 'create'; readonly diff: string; readonly object: object }
  | { readonly action: 'delete'; readonly diff: string; readonly resourceVersion: string }
);

/** Holds what was there before, so that an undo needs nothing but the object. */
export const savedAnnotation = 'fairlead/before-pointing';

export type Values = Fields;

export interface Saved {
  /** null: the object itself was not there. */
  readonly before: Values | null;
  /** Digest of what was written: the object may have been changed since. */
  readonly after: string;
}

const refused = (message: string) => new FairleadError('CLUSTER_REFUSED', message);

export const labelOf = ({ kind, namespace, name }: ObjectRef) => `${kind} ${namespace}/${name}`;

/** The same for the same values, whatever the order of members. */
export function digestOf(values: Values): string {
  const inOrder = (_key: string, value: unknown) =>
    isRecord(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value;
  return createHash('sha256').update(JSON.stringify(values, inOrder)).digest('hex').slice(0, 32);
}

/** Undefined when the object has not been pointed. Throws CLUSTER_REFUSED when the annotation is not Fairlead's. */
export function readSaved(ref: ObjectRef, object: KubeObject | undefined): Saved | undefined {
  const text = object?.metadata?.annotations?.[savedAnnotation];
  if (text === undefined) return undefined;
  const { before, after } = fieldsOf(parseJson(text));
  if ((before === null || isRecord(before)) && isString(after)) return { before, after };
  throw refused(`${labelOf(ref)}: the annotation ${savedAnnotation} is invalid`);
}

/** The annotation of an object that says `current` and is to say `next`. */
export function annotationFor(saved: Saved | undefined, current: Values, next: Values): string {
  // Pointed once more: what was there before the first time counts, unless another client has written since.
  const before = saved && saved.after === digestOf(current) ? saved.before : current;
  return JSON.stringify({ before, after: digestOf(next) } satisfies Saved);
}

/** The object's own part of a patch: the version that it is for, and the annotation (null takes it away). */
export function metadataOf(object: KubeObject, annotation: string | null) {
  const { resourceVersion } = object.metadata ?? {};
  return {
    ...(resourceVersion !== undefined && { resourceVersion }),
    annotations: { [savedAnnotation]: annotation },
  };
}

export function pathOf({ kind, namespace, name }: ObjectRef): string {
  const base = kind === 'configmap' ? '/api/v1' : '/apis/apps/v1';
  return `${base}/namespaces/${namespace}/${kind}s/${name}`;
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** The same change for those who make it themselves; undefined when there is none, or it must not be shown. */
export function kubectlFor(change: ObjectChange): string | undefined {
  const { kind, namespace, name } = change.ref;
  switch (change.action) {
    case 'nothing':
      return undefined;
    case 'patch':
      if (change.isSecret) return undefined;
      return `kubectl -n ${namespace} patch ${kind} ${name} --type merge -p ${quoted(JSON.stringify(change.patch))}`;
    case 'create':
      return `echo ${quoted(JSON.stringify(change.object))} | kubectl create -f -`;
    case 'delete':
      return `kubectl -n ${namespace} delete ${kind} ${name}`;
  }
}

/** Rejects with CLUSTER_REFUSED when the object is not as it was any more, and with API_REFUSED. */
export async function applyChange(api: KubeApi, change: ObjectChange): Promise<void> {
  const path = pathOf(change.ref);
  const request = requestFor(change, path);
  if (!request) return;
  const answer = await api.ask(request);
  if (answer.status >= 200 && answer.status < 300) return;
  if (answer.status === 409 || answer.status === 404) {
    throw refused(
      `${labelOf(change.ref)} was changed by another client in the meantime; that change was kept`,
    );
  }
  throw refusal(request.method, request.path, answer);
}

function requestFor(change: ObjectChange, path: string) {
  switch (change.action) {
    case 'nothing':
      return undefined;
    case 'patch':
      return { method: 'PATCH', path, body: change.patch, contentType: mergePatch } as const;
    case 'create':
      return { method: 'POST', path: path.replace(/\/[^/]*$/, ''), body: change.object } as const;
    case 'delete': {
      const { resourceVersion } = change;
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { resourceVersion } };
      return { method: 'DELETE', path, body } as const;
    }
  }
}

// Changes of a ConfigMap's data: the parts that all ConfigMaps have in common. Pure.
import { FairleadError } from '../../model/errors.ts';
import type { KubeObject } from '../../kubernetes/kube-api.ts';
import {
  annotationFor,
  digestOf,
  labelOf,
  metadataOf,
  type ObjectChange,
  type ObjectRef,
  readSaved,
  type Saved,
} from './object-change.ts';

/** Members of a ConfigMap's data; null: not there. */
export type DataValues = Readonly<Record<string, string | null>>;

export function dataOf(object: KubeObject | undefined, keys: readonly string[]): DataValues {
  const data = (object?.data ?? {}) as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    keys.map((key) => [key, typeof data[key] === 'string' ? (data[key] as string) : null]),
  );
}

export interface DataChange {
  readonly current: DataValues;
  readonly next: DataValues;
  readonly diff: string;
  readonly warnings?: readonly string[];
  readonly isSecret?: boolean;
}

const isSame = (a: DataValues, b: DataValues) => digestOf(a) === digestOf(b);

export function pointData(ref: ObjectRef, object: KubeObject, change: DataChange): ObjectChange {
  const { current, next, diff, warnings = [], isSecret = false } = change;
  const base = { ref, warnings, fingerprint: digestOf(next) };
  if (isSame(current, next)) return { ...base, action: 'nothing', why: 'already points there' };
  const annotation = annotationFor(readSaved(ref, object), current, next);
  const patch = { metadata: metadataOf(object, annotation), data: next };
  return { ...base, action: 'patch', diff, patch, ...(isSecret && { isSecret }) };
}

export function restoreData(ref: ObjectRef, object: KubeObject, change: DataChange): ObjectChange {
  const { current, next, diff, warnings = [], isSecret = false } = change;
  const patch = {
    metadata: metadataOf(object, null),
    ...(!isSame(current, next) && { data: next }),
  };
  const base = { ref, warnings, fingerprint: digestOf(next) };
  return { ...base, action: 'patch', diff, patch, ...(isSecret && { isSecret }) };
}

export const notPointed = (ref: ObjectRef): ObjectChange => ({
  ref,
  warnings: [],
  fingerprint: '',
  action: 'nothing',
  why: 'has not been pointed (it has no Fairlead annotation)',
});

export const changedSince = 'has changed since it was pointed; only the address is restored';

/** The text that was there before under `key`; throws where the annotation has none. */
export function savedText(ref: ObjectRef, saved: Saved, key: string): string {
  const text = saved.before?.[key];
  if (typeof text === 'string') return text;
  throw new FairleadError('CLUSTER_REFUSED', `${labelOf(ref)}: its annotation lacks ${key}`);
}

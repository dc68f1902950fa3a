// Plans and makes a change of one cluster-wide object, and takes it back.
import { isDeepStrictEqual } from 'node:util';
import { type KubeApi, type KubeObject, mergePatch } from '../api.ts';
import { FairleadError } from '../../model/errors.ts';
import { beforeAnnotation, type ClusterTarget, type NewServer } from './target.ts';

export interface ClusterPlan {
  readonly path: string;
  readonly method: 'PATCH' | 'POST' | 'DELETE' | 'nothing';
  readonly body?: Readonly<Record<string, unknown>>;
  readonly why: string;
}

interface Remembered {
  readonly values: Readonly<Record<string, string | null>>;
  /** There was no such object. */
  readonly isNew?: boolean;
}

function remembered(object: KubeObject): Remembered | undefined {
  const text = object.metadata?.annotations?.[beforeAnnotation];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Remembered;
  } catch (cause) {
    throw new FairleadError('INSTALL_REFUSED', `the annotation ${beforeAnnotation} is damaged`, { cause });
  }
}

function nameAndNamespace(path: string): { name: string; namespace: string; collection: string } {
  const parts = path.split('/');
  const name = parts.at(-1) ?? '';
  return { name, namespace: parts.at(-3) ?? '', collection: parts.slice(0, -1).join('/') };
}

export async function planChange(
  api: KubeApi,
  target: ClusterTarget,
  server: NewServer,
  namespace?: string,
): Promise<ClusterPlan> {
  const path = target.path(namespace);
  const object = await api.find(path);
  if (!object) {
    if (!target.mayCreate)
      throw new FairleadError('INSTALL_REFUSED', `the cluster has no ${target.kind} at ${path}`);
    const { name, namespace: where, collection } = nameAndNamespace(path);
    const before: Remembered = { values: {}, isNew: true };
    const metadata = { name, namespace: where, annotations: { [beforeAnnotation]: JSON.stringify(before) } };
    const body = { apiVersion: 'v1', kind: target.kind, metadata, data: target.point({}, server) };
    return { path: collection, method: 'POST', body, why: 'there is none yet' };
  }
  const values = target.read(object);
  const next = target.point(values, server);
  if (isDeepStrictEqual(values, next)) return { path, method: 'nothing', why: 'it is as it should be' };
  // What was there before the first change counts.
  const before = remembered(object) ?? { values };
  const metadata = {
    resourceVersion: object.metadata?.resourceVersion,
    annotations: { [beforeAnnotation]: JSON.stringify(before) },
  };
  return { path, method: 'PATCH', body: { metadata, ...target.patch(object, next) }, why: 'changed' };
}

export async function planUndo(
  api: KubeApi,
  target: ClusterTarget,
  namespace?: string,
): Promise<ClusterPlan> {
  const path = target.path(namespace);
  const object = await api.find(path);
  const before = object && remembered(object);
  if (!object || !before) return { path, method: 'nothing', why: 'Fairlead has not changed it' };
  if (before.isNew) return { path, method: 'DELETE', why: 'there was none' };
  const values = target.restore(target.read(object), before.values);
  const metadata = {
    resourceVersion: object.metadata?.resourceVersion,
    annotations: { [beforeAnnotation]: null },
  };
  return { path, method: 'PATCH', body: { metadata, ...target.patch(object, values) }, why: 'put back' };
}

/** Rejects with API_REFUSED; 409 when somebody else has changed the object meanwhile. */
export async function makeChange(api: KubeApi, { path, method, body }: ClusterPlan): Promise<void> {
  if (method === 'nothing') return;
  const contentType = method === 'PATCH' ? { contentType: mergePatch } : {};
  await api.must({ method, path, ...(body && { body }), ...contentType });
}

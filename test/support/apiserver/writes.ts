// Writes of resources: create, update, patch, delete. Checked as far as clients can tell the difference.
import { randomUUID } from 'node:crypto';
import { parse as parseYaml } from 'yaml';
import type { Exchange } from './exchange.ts';
import { apiVersionOf, type Kind, keyOf, keyPrefix, kinds } from './kinds.ts';
import type { KubeObject } from './objects.ts';
import { applyJsonPatch, applyMergePatch } from './patch.ts';
import { decodeProtobuf, isProtobuf } from './protobuf.ts';
import type { RequestInfo } from './request-info.ts';
import { fromStore, type ReadContext, representationFor } from './resources.ts';
import { alreadyExists, badRequest, conflict, failure, notFound, StatusError } from './status.ts';
import type { StoredValue, WriteResult } from './store.ts';
import { represent } from './table.ts';
import { withRevision } from './watch-stream.ts';

type Handler = (exchange: Exchange, kind: Kind, info: RequestInfo, context: ReadContext) => Promise<void>;

export const createObject: Handler = async (exchange, kind, info, context) => {
  const object = complete(kind, info, await readObject(exchange));
  const { namespace, name = '' } = object.metadata;
  if (namespace && !(await exists(context, namespace))) {
    throw new StatusError(notFound({ group: '', resource: 'namespaces' }, namespace));
  }
  const key = keyOf(kind, namespace, name);
  if (isDryRun(exchange)) return answer(exchange, kind, 201, object, 0);
  const result = await context.inTime(context.store.put(key, object, { expect: 'absent' }));
  if (!result.ok) throw new StatusError(alreadyExists(kind, name));
  return answer(exchange, kind, 201, object, result.revision);
};

export const updateObject: Handler = async (exchange, kind, info, context) => {
  const sent = await readObject(exchange);
  const current = await find(kind, info, context);
  const expect = versionOf(sent);
  if (expect !== undefined && expect !== current.revision) throw conflictOf(kind, info);
  await replace(exchange, kind, info, context, current, sent);
};

export const patchObject: Handler = async (exchange, kind, info, context) => {
  const type = (exchange.headers['content-type'] ?? '').split(';')[0];
  const body = parseBody(await exchange.body());
  if (type === 'application/apply-patch+yaml' || type === 'application/apply-patch+cbor') {
    const { name = '', namespace } = info.resource ?? {};
    const key = keyOf(kind, kind.isNamespaced ? namespace : undefined, name);
    if (!(await context.inTime(context.store.get(key)))) {
      const object = complete(kind, info, body as KubeObject);
      if (isDryRun(exchange)) return answer(exchange, kind, 201, object, 0);
      const result = await context.inTime(context.store.put(key, object, { expect: 'absent' }));
      if (result.ok) return answer(exchange, kind, 201, object, result.revision);
    }
  }
  const current = await find(kind, info, context);
  const before = fromStore(current);
  // Strategic merge differs only in lists that have merge keys; no kind here has one that matters.
  const after =
    type === 'application/json-patch+json'
      ? applyJsonPatch(before, body)
      : applyMergePatch(before, body as Record<string, unknown>);
  if (versionOf(after as KubeObject) !== current.revision) throw conflictOf(kind, info);
  return replace(exchange, kind, info, context, current, after as KubeObject);
};

export const deleteObject: Handler = async (exchange, kind, info, context) => {
  await exchange.body();
  const current = await find(kind, info, context);
  const name = info.resource?.name ?? '';
  if (!isDryRun(exchange)) {
    const result = await context.inTime(context.store.delete(current.key));
    if (!result.ok) throw new StatusError(notFound(kind, name));
    if (kind.resource === 'namespaces') await empty(context, name);
  }
  const details = {
    name,
    ...(kind.group && { group: kind.group }),
    kind: kind.resource,
    uid: current.value.metadata.uid,
  };
  await exchange.json(200, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details });
};

export const deleteCollection: Handler = async (exchange, kind, info, context) => {
  await exchange.body();
  const prefix = keyPrefix(kind, kind.isNamespaced ? info.resource?.namespace : undefined);
  const result = await context.inTime(context.store.list(prefix));
  for (const { key } of result.ok ? result.items : []) await context.inTime(context.store.delete(key));
  await exchange.json(200, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' });
};

async function replace(
  exchange: Exchange,
  kind: Kind,
  info: RequestInfo,
  context: ReadContext,
  current: StoredValue,
  next: KubeObject,
): Promise<void> {
  const { uid, creationTimestamp, generation } = current.value.metadata;
  const { resourceVersion: _old, ...metadata } = complete(kind, info, next).metadata;
  const { metadata: _metadata, ...fields } = next;
  const kept: KubeObject = {
    ...typeOf(kind),
    ...fields,
    metadata: { ...metadata, ...(uid && { uid }), ...(creationTimestamp && { creationTimestamp }) },
  };
  if (kind.hasGeneration) kept.metadata.generation = generation ?? 1;
  // A write that changes nothing gets no new resourceVersion.
  if (isSame(kept, current.value)) return answer(exchange, kind, 200, kept, current.revision);
  if (kind.hasGeneration) kept.metadata.generation = (generation ?? 1) + 1;
  if (isDryRun(exchange)) return answer(exchange, kind, 200, kept, current.revision);
  const result: WriteResult = await context.inTime(
    context.store.put(current.key, kept, { expect: current.revision }),
  );
  if (!result.ok) throw conflictOf(kind, info);
  return answer(exchange, kind, 200, kept, result.revision);
}

async function answer(
  exchange: Exchange,
  kind: Kind,
  code: number,
  object: KubeObject,
  revision: number,
): Promise<void> {
  await exchange.json(code, represent(kind, withRevision(object, revision), representationFor(exchange)));
}

async function find(kind: Kind, info: RequestInfo, context: ReadContext): Promise<StoredValue> {
  const { namespace, name = '' } = info.resource ?? {};
  const key = keyOf(kind, kind.isNamespaced ? namespace : undefined, name);
  const current = await context.inTime(context.store.get(key));
  if (!current) throw new StatusError(notFound(kind, name));
  return current;
}

async function exists(context: ReadContext, namespace: string): Promise<boolean> {
  const key = keyOf({ group: '', resource: 'namespaces' }, undefined, namespace);
  return (await context.inTime(context.store.get(key))) !== undefined;
}

async function empty(context: ReadContext, namespace: string): Promise<void> {
  for (const kind of kinds.filter(({ isNamespaced }) => isNamespaced)) {
    const result = await context.inTime(context.store.list(keyPrefix(kind, namespace)));
    for (const { key } of result.ok ? result.items : []) await context.inTime(context.store.delete(key));
  }
}

/** A new object with everything that a server fills in. */
export function complete(kind: Kind, info: RequestInfo, sent: KubeObject): KubeObject {
  const metadata = sent.metadata ?? {};
  const { namespace } = info.resource ?? {};
  const generated = metadata.generateName && `${metadata.generateName}${randomUUID().slice(0, 5)}`;
  const name = metadata.name ?? info.resource?.name ?? generated;
  if (!name) {
    const message = `${kind.kind} "" is invalid: metadata.name: Required value: name or generateName is required`;
    throw new StatusError(failure(422, 'Invalid', message));
  }
  if (sent.kind !== undefined && sent.kind !== kind.kind) {
    throw new StatusError(badRequest(`${sent.kind} in the body does not match the ${kind.kind} of the path`));
  }
  if (info.resource?.name !== undefined && name !== info.resource.name) {
    const message = `the name of the object (${name}) does not match the name on the URL (${info.resource.name})`;
    throw new StatusError(badRequest(message));
  }
  const { metadata: _metadata, kind: _kind, apiVersion: _apiVersion, ...fields } = sent;
  return {
    ...typeOf(kind),
    metadata: {
      ...metadata,
      name,
      ...(kind.isNamespaced && { namespace: namespace ?? 'default' }),
      uid: randomUUID(),
      ...(kind.hasGeneration && { generation: 1 }),
      creationTimestamp: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    },
    ...kind.defaults?.(sent),
    ...fields,
  };
}

function typeOf(kind: Kind) {
  return { kind: kind.kind, apiVersion: apiVersionOf(kind) };
}

function versionOf({ metadata }: KubeObject): number | undefined {
  return metadata?.resourceVersion ? Number(metadata.resourceVersion) : undefined;
}

function conflictOf(kind: Kind, info: RequestInfo): StatusError {
  return new StatusError(conflict(kind, info.resource?.name ?? ''));
}

function isDryRun(exchange: Exchange): boolean {
  return exchange.parameter('dryRun') === 'All';
}

/** Equality of JSON values, whatever the order of their fields. */
function isSame(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** The object in the body of a request, in any format that clients send. */
export async function readObject(exchange: Exchange): Promise<KubeObject> {
  const object = parseBody(await exchange.body());
  if (typeof object !== 'object' || object === null || Array.isArray(object)) {
    throw new StatusError(badRequest('the body of the request is not an object'));
  }
  return object as KubeObject;
}

/** Protobuf, JSON, or YAML, of which JSON is a part but slower to parse. */
function parseBody(body: Buffer): unknown {
  if (isProtobuf(body)) return decodeProtobuf(body);
  const text = body.toString();
  try {
    return JSON.parse(text);
  } catch {
    try {
      return parseYaml(text);
    } catch (cause) {
      throw new StatusError(badRequest(`the body of the request cannot be parsed: ${String(cause)}`));
    }
  }
}

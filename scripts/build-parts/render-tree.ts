// Renders a folder of manifests/ as `kubectl kustomize` does, for what these folders use of it, and keeps the comments,
// which kustomize drops from patches and headers. Throws for anything else; test/integration compares with kubectl.
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  type Document,
  isMap,
  isScalar,
  isSeq,
  type Node,
  parseAllDocuments,
  parseDocument,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { configMapName } from '../../src/manifest/config-map-name.ts';
import { podSpecPath, renameConfigMap } from '../../src/manifest/parameters.ts';

interface Patch {
  readonly path?: string;
  readonly patch?: string;
  readonly target?: { readonly kind: string; readonly name: string };
}

interface Kustomization {
  readonly resources?: readonly string[];
  readonly components?: readonly string[];
  readonly patches?: readonly Patch[];
  readonly images?: readonly { name: string; newName: string; digest: string }[];
  readonly configMapGenerator?: readonly { name: string; namespace: string; files: readonly string[] }[];
  readonly generatorOptions?: { readonly immutable?: boolean };
}

const known = new Set([
  'apiVersion',
  'kind',
  'resources',
  'components',
  'patches',
  'images',
  'configMapGenerator',
  'generatorOptions',
]);
const read = (file: string) => readFileSync(file, 'utf8');

/** The objects of a folder, each a document with its comments. */
export function renderTree(folder: string): Document[] {
  const objects: Document[] = [];
  renderInto(objects, folder);
  nameConfigMaps(objects);
  return objects;
}

function renderInto(objects: Document[], folder: string): void {
  const kustomization = parseDocument(read(join(folder, 'kustomization.yaml'))).toJS() as Kustomization;
  const unknown = Object.keys(kustomization).filter((key) => !known.has(key));
  if (unknown.length > 0) throw new Error(`${folder}: ${unknown.join(', ')} cannot be rendered`);
  for (const resource of kustomization.resources ?? []) {
    const path = join(folder, resource);
    if (existsSync(join(path, 'kustomization.yaml'))) renderInto(objects, path);
    else objects.push(...(parseAllDocuments(read(path)) as Document[]));
  }
  for (const { name, namespace, files } of kustomization.configMapGenerator ?? []) {
    const data = Object.fromEntries(files.map((file) => [basename(file), read(join(folder, file))]));
    const { immutable } = kustomization.generatorOptions ?? {};
    const content = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace } };
    const text = JSON.stringify({ ...content, ...(immutable && { immutable }), data });
    const map = parseDocument('{}') as unknown as Document;
    map.contents = map.createNode(JSON.parse(text)) as never;
    objects.push(map);
  }
  for (const component of kustomization.components ?? []) renderInto(objects, join(folder, component));
  for (const patch of kustomization.patches ?? []) applyPatch(objects, patch, folder);
  for (const { name, newName, digest } of kustomization.images ?? []) {
    for (const object of objects) {
      const path = podSpecPath(object);
      const containers = path && object.getIn([...path, 'containers']);
      for (const container of isSeq(containers) ? containers.items : [])
        if (isMap(container) && container.get('image') === name)
          container.set('image', `${newName}@${digest}`);
    }
  }
}

function applyPatch(objects: readonly Document[], { path, patch, target }: Patch, folder: string): void {
  const document = parseDocument(patch ?? read(join(folder, path ?? '')));
  const { contents } = document;
  const sought = target ?? (document.toJS() as { kind: string; metadata: { name: string } });
  const name = 'metadata' in sought ? sought.metadata.name : sought.name;
  for (const object of objects) {
    if (object.get('kind') !== sought.kind || object.getIn(['metadata', 'name']) !== name) continue;
    if (isSeq(contents)) for (const operation of contents.items) applyOperation(object, operation as YAMLMap);
    else merge(object.contents as unknown as YAMLMap, contents as unknown as YAMLMap);
  }
}

/** One operation of a JSON patch (RFC 6902). */
function applyOperation(object: Document, operation: YAMLMap): void {
  const pointer = String(operation.get('path')).split('/').slice(1);
  const path = pointer.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const value = operation.get('value', true) as Node;
  const kind = operation.get('op');
  if (kind !== 'add' && kind !== 'replace')
    throw new Error(`the operation ${String(kind)} cannot be rendered`);
  if (path.at(-1) === '-') (object.getIn(path.slice(0, -1)) as YAMLSeq).add(value);
  else object.setIn(path, value);
}

/** By what the elements of these lists are known; other lists are replaced whole. */
const mergeKeys: Readonly<Record<string, string>> = {
  containers: 'name',
  env: 'name',
  volumes: 'name',
  volumeMounts: 'mountPath',
};

/** A strategic merge patch. */
function merge(into: YAMLMap, patch: YAMLMap): void {
  for (const pair of patch.items) {
    const key = String(isScalar(pair.key) ? pair.key.value : pair.key);
    const had = into.get(key, true);
    const mergeKey = mergeKeys[key];
    if (isMap(had) && isMap(pair.value)) merge(had, pair.value);
    else if (isSeq(had) && isSeq(pair.value) && mergeKey !== undefined) mergeLists(had, pair.value, mergeKey);
    else if (into.has(key)) into.set(key, pair.value);
    else into.items.push(pair);
  }
}

/** The patch's elements come first, as kustomize has it. */
function mergeLists(into: YAMLSeq, patch: YAMLSeq, key: string): void {
  const first: unknown[] = [];
  for (const element of patch.items) {
    if (!isMap(element)) throw new Error(`an element without ${key} cannot be rendered`);
    const at = into.items.findIndex((item) => isMap(item) && item.get(key) === element.get(key));
    const [had] = at < 0 ? [] : into.items.splice(at, 1);
    if (element.get('$patch') === 'delete') continue;
    if (isMap(had)) merge(had, element);
    first.push(had ?? element);
  }
  into.items.unshift(...first);
}

/** Gives ConfigMaps the names that their contents make, also where pods mount them. */
function nameConfigMaps(objects: readonly Document[]): void {
  for (const map of objects.filter((object) => object.get('kind') === 'ConfigMap')) {
    const { metadata, data } = map.toJS() as { metadata: { name: string }; data: Record<string, string> };
    renameConfigMap(objects, metadata.name, configMapName(metadata.name, data));
  }
}

// What a client asks to get instead of the objects themselves: server-printed tables (kubectl get) and
// metadata only. https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
import { apiVersionOf, type Kind } from './kinds.ts';
import type { KubeObject } from './objects.ts';

export type Representation = 'object' | 'table' | 'metadata';

/** The first representation that the Accept header names and that the server has; undefined: none (406). */
export function negotiate(accept: string | undefined): Representation | undefined {
  if (!accept) return 'object';
  for (const clause of accept.split(',')) {
    const [type = '', ...parameters] = clause.split(';').map((part) => part.trim());
    if (!['application/json', '*/*', 'application/*', 'application/yaml'].includes(type)) continue;
    if (parameters.includes('as=Table') && parameters.includes('v=v1')) return 'table';
    if (
      parameters.includes('as=PartialObjectMetadata') ||
      parameters.includes('as=PartialObjectMetadataList')
    ) {
      return 'metadata';
    }
    if (!parameters.some((parameter) => parameter.startsWith('as='))) return 'object';
  }
  return undefined;
}

/** What goes on the wire for one object (of an answer or a watch event). */
export function represent(
  kind: Kind,
  object: KubeObject,
  as: Representation,
  { includeObject = 'Metadata', hasColumns = true } = {},
): unknown {
  if (as === 'object') return object;
  if (as === 'metadata') return metadataOnly(object);
  return table(kind, [object], object.metadata.resourceVersion, { includeObject, hasColumns });
}

/** What goes on the wire for a list. */
export function representList(
  kind: Kind,
  items: readonly KubeObject[],
  metadata: Record<string, unknown>,
  as: Representation,
  includeObject = 'Metadata',
): unknown {
  if (as === 'table') {
    return { ...table(kind, items, undefined, { includeObject, hasColumns: true }), metadata };
  }
  if (as === 'metadata') {
    const type = { kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1' };
    return { ...type, metadata, items: items.map(metadataOnly) };
  }
  // As in a real list, the items carry neither kind nor apiVersion.
  const bare = items.map(({ kind: _kind, apiVersion: _version, ...rest }) => rest);
  return { kind: `${kind.kind}List`, apiVersion: apiVersionOf(kind), metadata, items: bare };
}

function metadataOnly({ metadata }: KubeObject) {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata };
}

function table(
  kind: Kind,
  objects: readonly KubeObject[],
  resourceVersion: string | undefined,
  { includeObject, hasColumns }: { includeObject: string; hasColumns: boolean },
) {
  const columns = [
    { name: 'Name', cell: (object: KubeObject) => object.metadata.name ?? '' },
    ...kind.columns,
    { name: 'Age', cell: (object: KubeObject) => age(object.metadata.creationTimestamp) },
  ];
  const definitions = columns.map((column) => ({
    name: column.name,
    type: 'string',
    format: column.name === 'Name' ? 'name' : '',
    description: '',
    priority: 'priority' in column ? (column.priority ?? 0) : 0,
  }));
  const rows = objects.map((object) => ({
    cells: columns.map(({ cell }) => cell(object)),
    object: includeObject === 'Object' ? object : includeObject === 'None' ? null : metadataOnly(object),
  }));
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: resourceVersion === undefined ? {} : { resourceVersion },
    columnDefinitions: hasColumns ? definitions : null,
    rows,
  };
}

/** Like `duration.HumanDuration` of apimachinery, in its rough shape. */
function age(creationTimestamp: string | undefined): string {
  if (!creationTimestamp) return '<unknown>';
  const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(creationTimestamp)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`;
}

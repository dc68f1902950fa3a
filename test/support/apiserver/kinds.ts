// The resources that the stand-in serves. Storage is generic: one more line here is one more resource.
import type { EndpointSlice, KubeObject } from './objects.ts';
import type { ResourceName } from './status.ts';

export interface Column {
  readonly name: string;
  readonly cell: (object: KubeObject) => string | number;
  /** 1: only with -o wide. */
  readonly priority?: number;
}

export interface Kind extends ResourceName {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly kind: string;
  readonly singular: string;
  readonly shortNames?: readonly string[];
  readonly isNamespaced: boolean;
  /** Columns between Name and Age of a server-printed table. */
  readonly columns: readonly Column[];
  /** Fields that a bookmark carries because Go marshals them even when empty. */
  readonly emptyFields?: Readonly<Record<string, unknown>>;
  /** metadata.generation counts changes. */
  readonly hasGeneration?: boolean;
  /** Fields that a new object gets. */
  readonly defaults?: (object: KubeObject) => Record<string, unknown>;
}

const core = { group: '', version: 'v1' } as const;
const apps = { group: 'apps', version: 'v1' } as const;

function sizeOf(value: unknown): number {
  return typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
}

function listed(items: readonly (string | number)[]): string {
  if (items.length === 0) return '<unset>';
  const shown = items.slice(0, 3).join(',');
  return items.length > 3 ? `${shown} + ${items.length - 3} more...` : shown;
}

export const kinds: readonly Kind[] = [
  {
    ...core,
    resource: 'namespaces',
    kind: 'Namespace',
    singular: 'namespace',
    shortNames: ['ns'],
    isNamespaced: false,
    columns: [{ name: 'Status', cell: () => 'Active' }],
    defaults: () => ({ spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } }),
  },
  {
    ...core,
    resource: 'configmaps',
    kind: 'ConfigMap',
    singular: 'configmap',
    shortNames: ['cm'],
    isNamespaced: true,
    columns: [{ name: 'Data', cell: (object) => sizeOf(object.data) + sizeOf(object.binaryData) }],
  },
  {
    ...core,
    resource: 'nodes',
    kind: 'Node',
    singular: 'node',
    shortNames: ['no'],
    isNamespaced: false,
    columns: [],
    emptyFields: { spec: {}, status: {} },
  },
  {
    ...core,
    resource: 'pods',
    kind: 'Pod',
    singular: 'pod',
    shortNames: ['po'],
    isNamespaced: true,
    columns: [{ name: 'Status', cell: () => 'Running' }],
    emptyFields: { spec: { containers: null }, status: {} },
    defaults: () => ({ status: { phase: 'Running' } }),
  },
  {
    ...core,
    resource: 'services',
    kind: 'Service',
    singular: 'service',
    shortNames: ['svc'],
    isNamespaced: true,
    columns: [],
    emptyFields: { spec: {}, status: { loadBalancer: {} } },
  },
  {
    ...apps,
    resource: 'daemonsets',
    kind: 'DaemonSet',
    singular: 'daemonset',
    shortNames: ['ds'],
    isNamespaced: true,
    hasGeneration: true,
    columns: [],
  },
  {
    ...apps,
    resource: 'deployments',
    kind: 'Deployment',
    singular: 'deployment',
    shortNames: ['deploy'],
    isNamespaced: true,
    hasGeneration: true,
    columns: [],
  },
  {
    group: 'coordination.k8s.io',
    version: 'v1',
    resource: 'leases',
    kind: 'Lease',
    singular: 'lease',
    isNamespaced: true,
    columns: [
      {
        name: 'Holder',
        cell: (object) =>
          String((object.spec as { holderIdentity?: string } | undefined)?.holderIdentity ?? ''),
      },
    ],
    emptyFields: { spec: {} },
  },
  {
    group: 'discovery.k8s.io',
    version: 'v1',
    resource: 'endpointslices',
    kind: 'EndpointSlice',
    singular: 'endpointslice',
    isNamespaced: true,
    hasGeneration: true,
    columns: [
      { name: 'AddressType', cell: (object) => (object as EndpointSlice).addressType ?? '' },
      {
        name: 'Ports',
        cell: (object) => listed(((object as EndpointSlice).ports ?? []).map(({ port }) => port ?? '*')),
      },
      {
        name: 'Endpoints',
        cell: (object) => listed(((object as EndpointSlice).endpoints ?? []).flatMap((e) => e.addresses)),
      },
    ],
    // Measured: a bookmark of this kind looks like an empty slice without a name.
    emptyFields: { addressType: '', endpoints: null, ports: null },
  },
];

export function apiVersionOf({ group, version }: { group: string; version: string }): string {
  return group ? `${group}/${version}` : version;
}

export function findKind(group: string, version: string, resource: string): Kind | undefined {
  return kinds.find((kind) => kind.group === group && kind.version === version && kind.resource === resource);
}

/** Groups other than the core group, with their versions. */
export function groupVersions(): { group: string; version: string }[] {
  const seen = new Map(kinds.filter(({ group }) => group).map((kind) => [apiVersionOf(kind), kind]));
  return [...seen.values()].map(({ group, version }) => ({ group, version }));
}

/** The prefix of a kind's keys in the store; with a namespace, of that namespace's. */
export function keyPrefix(kind: ResourceName, namespace?: string): string {
  const base = `/registry/${kind.group || 'core'}/${kind.resource}/`;
  return namespace ? `${base}${namespace}/` : base;
}

export function keyOf(kind: ResourceName, namespace: string | undefined, name: string): string {
  return `${keyPrefix(kind, namespace)}${name}`;
}

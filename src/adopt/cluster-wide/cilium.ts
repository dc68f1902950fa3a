// Cilium's address of the API server. Its Helm values k8sServiceHost and k8sServicePort become nothing but environment
// variables of the agent, its init containers and the operator; cilium-config has no such key.
import { isDeepStrictEqual } from 'node:util';
import { FairleadError } from '../../model/errors.ts';
import type { KubeApi, KubeObject } from '../../kubernetes/kube-api.ts';
import { lineDiff } from '../../lib/line-diff.ts';
import { dataOf, notPointed } from './data-change.ts';
import {
  annotationFor,
  digestOf,
  labelOf,
  metadataOf,
  type ObjectChange,
  type ObjectRef,
  pathOf,
  readSaved,
  type Values,
} from './object-change.ts';
import type { ClusterTarget, Wanted } from './target.ts';

const workloadsIn = (namespace = 'kube-system') =>
  [
    { kind: 'daemonset', namespace, name: 'cilium' },
    { kind: 'deployment', namespace, name: 'cilium-operator' },
  ] as const satisfies readonly ObjectRef[];
/** With one of these Cilium goes to a list of API servers by itself and does not look at the environment. */
const ownLists = ['k8s-api-server-urls', 'k8s-api-server'] as const;

const variables = ['KUBERNETES_SERVICE_HOST', 'KUBERNETES_SERVICE_PORT'] as const;
/** Containers that speak to the API; others only where they have the variables already. */
const speakers = ['config', 'cilium-agent', 'clean-cilium-state', 'cilium-operator'];

interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly [member: string]: unknown;
}
interface Container {
  readonly name: string;
  readonly env?: readonly Variable[];
  readonly [member: string]: unknown;
}
type Lists = Readonly<Record<'initContainers' | 'containers', readonly Container[]>>;

const refused = (message: string) => new FairleadError('CLUSTER_REFUSED', message);

interface PodSpec extends Partial<Lists> {
  readonly hostNetwork?: boolean;
}
const podSpec = ({ spec }: KubeObject): PodSpec =>
  (spec as { template?: { spec?: PodSpec } } | undefined)?.template?.spec ?? {};

function listsOf(object: KubeObject): Lists {
  const { initContainers = [], containers = [] } = podSpec(object);
  return { initContainers, containers };
}

const lists = ['initContainers', 'containers'] as const;

const variableOf = ({ env = [] }: Container, name: string) => env.find((one) => one.name === name) ?? null;

/** `containers/NAME/VARIABLE` to its entry, for the containers that matter; null: it has none. */
function valuesOf(all: Lists): Record<string, Variable | null> {
  const values: Record<string, Variable | null> = {};
  for (const list of lists) {
    for (const container of all[list]) {
      const has = variables.some((name) => variableOf(container, name));
      if (!has && !speakers.includes(container.name)) continue;
      for (const name of variables) {
        values[`${list}/${container.name}/${name}`] = variableOf(container, name);
      }
    }
  }
  return values;
}

/** The lists with those entries; everything else stays, order included. */
function withValues(all: Lists, values: Values): Lists {
  const changed = (list: (typeof lists)[number]) =>
    all[list].map((container) => {
      let { env } = container;
      for (const name of variables) {
        const wanted = values[`${list}/${container.name}/${name}`] as Variable | null | undefined;
        if (wanted === undefined) continue;
        const isThere = env?.some((one) => one.name === name) ?? false;
        if (wanted === null) env = env?.filter((one) => one.name !== name);
        else if (isThere) env = env?.map((one) => (one.name === name ? wanted : one));
        else env = [...(env ?? []), wanted];
      }
      const { env: _env, ...rest } = container;
      return env && (env.length > 0 || container.env?.length === 0) ? { ...rest, env } : rest;
    });
  return { initContainers: changed('initContainers'), containers: changed('containers') };
}

function shown(values: Values): string {
  return Object.entries(values)
    .flatMap(([where, entry]) => {
      if (entry === null) return [];
      const { value } = entry as Variable;
      return [`${where}: ${value ?? '(from elsewhere)'}\n`];
    })
    .join('');
}

function changeOf(ref: ObjectRef, object: KubeObject, next: Values, annotation: string | null): ObjectChange {
  const all = listsOf(object);
  const current = valuesOf(all);
  const edited = withValues(all, next);
  const { initContainers, containers } = edited;
  const isChanged = !isDeepStrictEqual(edited, all);
  const spec = { template: { spec: { ...(initContainers.length > 0 && { initContainers }), containers } } };
  const patch = { metadata: metadataOf(object, annotation), ...(isChanged && { spec }) };
  const diff = lineDiff(labelOf(ref), shown(current), shown({ ...current, ...next }));
  return { ref, warnings: [], fingerprint: digestOf(next), action: 'patch', diff, patch };
}

async function plan(api: KubeApi, { address, verifiedName, namespace }: Wanted): Promise<ObjectChange[]> {
  const workloads = workloadsIn(namespace);
  const config: ObjectRef = { ...workloads[0], kind: 'configmap', name: 'cilium-config' };
  const [agent, operator] = await Promise.all(workloads.map((ref) => api.find(pathOf(ref))));
  if (!agent) throw refused(`there is no ${labelOf(workloads[0])}: this cluster has no Cilium`);
  const own = dataOf(await api.find(pathOf(config)), ownLists);
  const list = ownLists.find((key) => own[key]);
  if (list !== undefined) {
    throw refused(
      `${labelOf(config)} has ${list}: Cilium connects to these API servers directly and ignores ` +
        'k8sServiceHost; remove the list (Helm value k8s.apiServerURLs) before pointing it at Fairlead',
    );
  }
  const found = [agent, operator].flatMap((object, index) => {
    const ref = workloads[index];
    return object && ref ? [{ ref, object }] : [];
  });
  for (const { ref, object } of found) {
    if (podSpec(object).hostNetwork !== true)
      throw refused(
        `${labelOf(ref)} does not use the host network: Fairlead does not listen on its loopback address`,
      );
  }
  const { warnings } = await verifiedName([address.host]);
  return found.map(({ ref, object }): ObjectChange => {
    const current = valuesOf(listsOf(object));
    const texts: Readonly<Record<string, string>> = {
      [variables[0]]: address.host,
      [variables[1]]: String(address.port),
    };
    const next = Object.fromEntries(
      Object.keys(current).map((where) => {
        const name = where.slice(where.lastIndexOf('/') + 1);
        return [where, { name, value: texts[name] }];
      }),
    );
    if (isDeepStrictEqual(current, next)) {
      const why = 'already points there';
      return { ref, warnings, fingerprint: digestOf(next), action: 'nothing', why };
    }
    return { ...changeOf(ref, object, next, annotationFor(readSaved(ref, object), current, next)), warnings };
  });
}

async function planUndo(api: KubeApi, namespace?: string): Promise<ObjectChange[]> {
  return Promise.all(
    workloadsIn(namespace).map(async (ref): Promise<ObjectChange> => {
      const object = await api.find(pathOf(ref));
      const saved = readSaved(ref, object);
      if (!object || !saved?.before) return notPointed(ref);
      const current = valuesOf(listsOf(object));
      if (saved.after === digestOf(current)) return changeOf(ref, object, saved.before, null);
      // As a Helm upgrade does: it has written its own values, and those count.
      const kept = changeOf(ref, object, current, null);
      return {
        ...kept,
        warnings: ['has had its address changed since it was pointed, and keeps the new one'],
      };
    }),
  );
}

export const cilium: ClusterTarget = {
  plan,
  planUndo,
  readers: () => [],
  notes: [
    'Kubernetes replaces the pods because their template changes.',
    'A Helm upgrade reverts this unless it sets the same values: helm upgrade cilium cilium/cilium -n kube-system --reuse-values ' +
      '--set k8sServiceHost=HOST --set k8sServicePort=PORT',
  ],
};

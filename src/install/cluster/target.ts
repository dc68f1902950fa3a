// What of the cluster names the API server's address for all nodes at once, and how each is changed: as a merge
// patch of one object, with what was there kept in an annotation, so that it can be put back. Pure.
import { parseDocument } from 'yaml';
import type { HostPort } from '../../model/endpoint.ts';
import { formatHostPort } from '../../model/endpoint.ts';
import { FairleadError } from '../../model/errors.ts';
import { configMapPath, type KubeObject } from '../api.ts';
import { type ClusterChange, editKubeconfig, readKubeconfigText } from '../kubeconfig-text.ts';

export const beforeAnnotation = 'fairlead/before';

/** The address that the cluster is to use. */
export interface NewServer {
  readonly address: HostPort;
  /** Undefined: the address itself is in the certificates. */
  readonly tlsServerName?: string;
}

/** Values by name; null: there was none. */
type Values = Readonly<Record<string, string | null>>;

export interface ClusterTarget {
  readonly path: (namespace?: string) => string;
  readonly kind: string;
  /** What is to be done for the change to take effect, and what to know of it. */
  readonly notes: (server: NewServer) => readonly string[];
  /** Every node uses it, so each must have a listener on the address. */
  readonly isForEveryNode: boolean;
  /** May be made where there is none. */
  readonly mayCreate?: boolean;
  /** The values that the object has now. */
  read(object: KubeObject): Values;
  /** The values that it is to have. */
  point(values: Values, server: NewServer): Values;
  /** The values that it had, where those of others have changed since. */
  restore(values: Values, before: Values): Values;
  /** The part of a merge patch that gives it these values. */
  patch(object: KubeObject, values: Values): Record<string, unknown>;
}

const refuse = (message: string) => new FairleadError('INSTALL_REFUSED', message);

const dataOf = (object: KubeObject) => (object.data ?? {}) as Readonly<Record<string, string>>;

/** A ConfigMap with some keys of interest. */
function configMap(
  keys: readonly string[],
  namespace: string,
  name: string,
): Pick<ClusterTarget, 'path' | 'kind' | 'read' | 'patch' | 'restore'> {
  return {
    kind: 'ConfigMap',
    path: (other = namespace) => configMapPath(other, name),
    read: (object) => Object.fromEntries(keys.map((key) => [key, dataOf(object)[key] ?? null])),
    patch: (_object, data) => ({ data }),
    restore: (_values, before) => before,
  };
}

const proxyKey = 'kubeconfig.conf';

function editProxy(
  text: string,
  changes: (name: string) => Omit<ClusterChange, 'cluster'> | undefined,
): string {
  const reading = readKubeconfigText(text);
  if (!reading.ok) throw refuse(`kube-proxy's kubeconfig ${reading.problem}`);
  const edited = editKubeconfig(
    text,
    reading.value.clusters.flatMap(({ name }) => {
      const change = changes(name);
      return change ? [{ cluster: name, ...change }] : [];
    }),
  );
  if (!edited.ok) throw refuse(`kube-proxy's kubeconfig: ${edited.problem}`);
  return edited.value.text;
}

const kubeProxy: ClusterTarget = {
  ...configMap([proxyKey], 'kube-system', 'kube-proxy'),
  isForEveryNode: true,
  notes: () => ['kube-proxy reads it at start: kubectl -n kube-system rollout restart daemonset/kube-proxy'],
  point(values, { address, tlsServerName = null }) {
    const text = values[proxyKey];
    if (!text) throw refuse(`the ConfigMap has no ${proxyKey}: this kube-proxy is not kubeadm's`);
    const server = `https://${formatHostPort(address)}`;
    return { [proxyKey]: editProxy(text, () => ({ server, tlsServerName })) };
  },
  restore(values, before) {
    const [text, original] = [values[proxyKey], before[proxyKey]];
    if (!text || !original) return before;
    const reading = readKubeconfigText(original);
    if (!reading.ok) return before;
    const edited = editProxy(text, (name) => {
      const was = reading.value.clusters.find((cluster) => cluster.name === name);
      return was && { server: was.server, tlsServerName: was.tlsServerName ?? null };
    });
    return { [proxyKey]: edited };
  },
};

const kubeadmKey = 'ClusterConfiguration';

function setEndpoint(text: string, endpoint: unknown): string {
  const document = parseDocument(text, { logLevel: 'silent' });
  if (document.errors.length > 0) throw refuse(`${kubeadmKey} is not YAML`);
  if (endpoint === undefined) document.delete('controlPlaneEndpoint');
  else document.set('controlPlaneEndpoint', endpoint);
  return document.toString({ lineWidth: 0 });
}

const kubeadm: ClusterTarget = {
  ...configMap([kubeadmKey], 'kube-system', 'kubeadm-config'),
  isForEveryNode: false,
  notes: ({ address }) => [
    `kubeadm writes it into kubelet.conf of every node that joins${
      address.host.startsWith('127.') || address.host === '::1' || address.host === 'localhost'
        ? '; a joining node has no agent yet, so join with --discovery-file or --discovery-token at a control-plane address'
        : ''
    }`,
  ],
  point(values, { address }) {
    const text = values[kubeadmKey];
    if (!text) throw refuse(`the ConfigMap has no ${kubeadmKey}`);
    return { [kubeadmKey]: setEndpoint(text, formatHostPort(address)) };
  },
  restore(values, before) {
    const [text, original] = [values[kubeadmKey], before[kubeadmKey]];
    if (!text || !original) return before;
    const was: unknown = parseDocument(original, { logLevel: 'silent' }).get('controlPlaneEndpoint');
    const restored = setEndpoint(text, was);
    // Whoever wrote it had another style: where nothing else has changed, the very text comes back.
    return { [kubeadmKey]: restored === setEndpoint(original, was) ? original : restored };
  },
};

const hostKey = 'KUBERNETES_SERVICE_HOST';
const portKey = 'KUBERNETES_SERVICE_PORT';
const serviceValues = ({ address: { host, port } }: NewServer): Values => ({
  [hostKey]: host,
  [portKey]: String(port),
});

const calico: ClusterTarget = {
  ...configMap([hostKey, portKey], 'kube-system', 'kubernetes-services-endpoint'),
  isForEveryNode: true,
  mayCreate: true,
  notes: () => [
    'with the Tigera operator it lives in tigera-operator (--namespace tigera-operator), and the operator restarts what uses it',
    'otherwise: kubectl -n kube-system rollout restart daemonset/calico-node deployment/calico-kube-controllers',
  ],
  point: (_values, server) => serviceValues(server),
};

interface Container {
  readonly name: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}
type PodSpec = { readonly containers?: readonly Container[]; readonly initContainers?: readonly Container[] };
const podSpec = (object: KubeObject) =>
  ((object.spec as { template?: { spec?: PodSpec } } | undefined)?.template?.spec ?? {}) as PodSpec;
const lists = ['containers', 'initContainers'] as const;

const cilium: ClusterTarget = {
  kind: 'DaemonSet',
  path: (namespace = 'kube-system') => `/apis/apps/v1/namespaces/${namespace}/daemonsets/cilium`,
  isForEveryNode: true,
  notes: ({ address: { host, port } }) => [
    'where Helm manages Cilium, change its values instead, or the next upgrade puts the old ones back:',
    `  helm upgrade cilium cilium/cilium -n kube-system --reuse-values --set k8sServiceHost=${host} --set k8sServicePort=${port}`,
    'the operator has the same two variables: kubectl -n kube-system set env deployment/cilium-operator ' +
      `${hostKey}=${host} ${portKey}=${port}`,
  ],
  read(object) {
    const values: Record<string, string | null> = {};
    for (const list of lists) {
      for (const { name, env = [] } of podSpec(object)[list] ?? []) {
        for (const key of [hostKey, portKey])
          values[`${list}/${name}/${key}`] = env.find((one) => one.name === key)?.value ?? null;
      }
    }
    return values;
  },
  point(values, server) {
    const wanted = serviceValues(server);
    return Object.fromEntries(
      Object.keys(values).map((key) => [key, wanted[key.split('/')[2] ?? ''] ?? null]),
    );
  },
  restore: (_values, before) => before,
  patch(object, values) {
    const spec = podSpec(object);
    const changed = lists.flatMap((list) => {
      const containers = spec[list];
      if (!containers) return [];
      const next = containers.map((container) => {
        const others = (container.env ?? []).filter(({ name }) => name !== hostKey && name !== portKey);
        const own = [hostKey, portKey].flatMap((key) => {
          const value = values[`${list}/${container.name}/${key}`];
          return typeof value === 'string' ? [{ name: key, value }] : [];
        });
        return { ...container, env: [...others, ...own] };
      });
      return [[list, next]];
    });
    return { spec: { template: { spec: Object.fromEntries(changed) } } };
  },
};

export const clusterTargets = { 'kube-proxy': kubeProxy, kubeadm, cilium, calico } as const;
export type TargetName = keyof typeof clusterTargets;

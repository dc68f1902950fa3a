// The manifests that the program prints: the folders of manifests/ as they were rendered when the program was built
// (trees/, by scripts/manifests.ts), with the parameters of this call. Pure but for loading the tree.
import { createHash } from 'node:crypto';
import { type Document, isMap, isScalar, isSeq, parseAllDocuments } from 'yaml';
import { changeConfig, setImage, withEndpoints } from './parameters.ts';

const trees = {
  'static-pod': async () => (await import('./trees/tree-static-pod.ts')).tree,
  installer: async () => (await import('./trees/tree-installer.ts')).tree,
  'installer-replace-proxy': async () => (await import('./trees/tree-installer-replace-proxy.ts')).tree,
  'point-kubelets': async () => (await import('./trees/tree-point-kubelets.ts')).tree,
  remove: async () => (await import('./trees/tree-remove.ts')).tree,
  agent: async () => (await import('./trees/tree-agent.ts')).tree,
  monitoring: async () => (await import('./trees/tree-monitoring.ts')).tree,
} as const;

export type ManifestName = keyof typeof trees;
export const manifestNames = Object.keys(trees) as ManifestName[];

export interface ManifestParameters {
  readonly image?: string;
  /** HOST:PORT each; empty: those of the configuration. */
  readonly endpoints: readonly string[];
  /** The agent's configuration, as text. */
  readonly config?: string;
  /** A comment above everything. */
  readonly header: string;
}

const toText = { lineWidth: 0, directives: false } as const;

export async function renderManifest(name: ManifestName, parameters: ManifestParameters): Promise<string> {
  const { image, endpoints, config, header } = parameters;
  const objects = parseAllDocuments(await trees[name]()) as Document[];
  if (image !== undefined) setImage(objects, image);
  if (name === 'static-pod') {
    const [pod] = objects;
    if (pod && config !== undefined) setChecksum(pod, config);
    if (pod && endpoints.length > 0) runWithoutFile(pod, endpoints);
  } else {
    if (config !== undefined) changeConfig(objects, () => config);
    if (endpoints.length > 0) changeConfig(objects, (text) => withEndpoints(text, endpoints));
  }
  return `${header}---\n${objects.map((object) => object.toString(toText)).join('---\n')}`;
}

/** Another configuration is another manifest, with which kubelet restarts the pod. */
function setChecksum(pod: Document, config: string): void {
  const checksum = createHash('sha256').update(config).digest('hex');
  pod.setIn(['metadata', 'annotations', 'fairlead/config-checksum'], checksum);
}

/** What the example configuration says, as flags: the node then needs no file but the manifest. */
function runWithoutFile(pod: Document, endpoints: readonly string[]): void {
  // Where the parser leaves the comment above a document.
  const [first] = isMap(pod.contents) ? pod.contents.items : [];
  if (isScalar(first?.key)) {
    first.key.commentBefore =
      ' The agent as a static pod: kubelet starts it from a file, so that it needs no API server to come up.';
  }
  const container = pod.getIn(['spec', 'containers', 0]);
  if (!isMap(container)) throw new Error('the pod has no container');
  const flags = [
    '--kubeconfig',
    '/etc/kubernetes/kubelet.conf',
    '--cache-file',
    '/var/lib/fairlead/endpoints.json',
  ];
  // In place of --config FILE; the other arguments of the tree stay.
  const args = container.get('args');
  const at = isSeq(args) ? args.toJSON().indexOf('--config') : -1;
  if (!isSeq(args) || at < 0) throw new Error('the container has no --config');
  const given = [...flags, ...endpoints.flatMap((each) => ['--endpoints', each])];
  args.items.splice(at, 2, ...given.map((each) => pod.createNode(each)));
  const drop = (list: unknown) => {
    if (!isSeq(list)) return;
    list.items = list.items.filter((item) => !isMap(item) || item.get('name') !== 'config');
  };
  drop(container.get('volumeMounts'));
  drop(pod.getIn(['spec', 'volumes']));
}

// kube-proxy's kubeconfig: a member of one ConfigMap for all nodes, as kubeadm and Kubespray write it.
import { FairleadError } from '../../model/errors.ts';
import type { KubeApi, KubeObject } from '../../kubernetes/kube-api.ts';
import {
  type EditedKubeconfig,
  editKubeconfig,
  type KubeconfigCluster,
  type KubeconfigText,
  pointingProblem,
  readKubeconfigText,
} from '../kubeconfig-text.ts';
import { changesBack } from '../point.ts';
import { nameCandidates } from '../server-names.ts';
import { formatDiff, invertEdits } from '../text-edit.ts';
import { changedSince, dataOf, notPointed, pointData, restoreData, savedText } from './data-change.ts';
import { digestOf, labelOf, type ObjectChange, type ObjectRef, pathOf, readSaved } from './object-change.ts';
import type { ClusterTarget, Wanted } from './target.ts';

const ref: ObjectRef = { kind: 'configmap', namespace: 'kube-system', name: 'kube-proxy' };
const key = 'kubeconfig.conf';
const where = `${labelOf(ref)}: ${key}`;

const refused = (message: string) => new FairleadError('CLUSTER_REFUSED', message);

/** A token or a key in the text: the whole of it is part of a patch, which then is not shown. */
const holdsCredentials = (text: string) => /(?:token|password|client-key-data)['"]?\s*:/.test(text);

function read(text: string): KubeconfigText {
  const reading = readKubeconfigText(text);
  if (!reading.ok) throw refused(`${where} ${reading.problem}`);
  return reading.value;
}

function textOf(object: KubeObject): string {
  const text = dataOf(object, [key])[key];
  if (typeof text !== 'string')
    throw refused(`${labelOf(ref)} has no ${key}; kubeadm and Kubespray put it there`);
  return text;
}

function clusterOf({ clusters, currentCluster }: KubeconfigText): KubeconfigCluster {
  const cluster = clusters.find(({ name }) => name === currentCluster);
  if (!cluster) throw refused(`${where} has no current context that names a cluster`);
  const problem = pointingProblem(cluster);
  if (problem !== undefined) throw refused(`${where}: cluster "${cluster.name}" ${problem}`);
  return cluster;
}

function edit(text: string, changes: Parameters<typeof editKubeconfig>[1]): EditedKubeconfig {
  const edited = editKubeconfig(text, changes);
  if (!edited.ok) throw refused(`${where}: ${edited.problem}`);
  return edited.value;
}

async function plan(api: KubeApi, wanted: Wanted): Promise<ObjectChange[]> {
  const object = await api.find(pathOf(ref));
  if (!object) {
    throw refused(
      `there is no ${labelOf(ref)}: this cluster has no kube-proxy, or one that was not set up by kubeadm`,
    );
  }
  const text = textOf(object);
  const reading = read(text);
  const cluster = clusterOf(reading);
  const { address, server, tlsServerName } = wanted;
  const candidates =
    tlsServerName === undefined ? nameCandidates(address.host, cluster.tlsServerName) : [tlsServerName];
  const { name, warnings } = await wanted.verifiedName(candidates);
  const isNeeded = cluster.tlsServerName !== undefined || name !== address.host;
  const { text: next, edits } = edit(text, [
    { cluster: cluster.name, server, ...(isNeeded && { tlsServerName: name }) },
  ]);
  return [
    pointData(ref, object, {
      current: { [key]: text },
      next: { [key]: next },
      diff: formatDiff(where, text, edits, reading.secrets),
      warnings,
      isSecret: holdsCredentials(text),
    }),
  ];
}

async function planUndo(api: KubeApi): Promise<ObjectChange[]> {
  const object = await api.find(pathOf(ref));
  const saved = readSaved(ref, object);
  if (!object || !saved) return [notPointed(ref)];
  const [text, original] = [textOf(object), savedText(ref, saved, key)];
  const reading = read(text);
  const current = { [key]: text };
  const isSecret = holdsCredentials(text);
  if (saved.after === digestOf(current)) {
    const { edits } = edit(original, changesBack(reading, read(original)));
    const diff = formatDiff(where, text, invertEdits(original, edits), reading.secrets);
    return [restoreData(ref, object, { current, next: { [key]: original }, diff, isSecret })];
  }
  const { text: next, edits } = edit(text, changesBack(read(original), reading));
  const diff = edits.length > 0 ? formatDiff(where, text, edits, reading.secrets) : '';
  const warnings = [changedSince];
  return [restoreData(ref, object, { current, next: { [key]: next }, diff, warnings, isSecret })];
}

export const kubeProxy: ClusterTarget = {
  plan,
  planUndo,
  readers: () => [{ kind: 'daemonset', namespace: 'kube-system', name: 'kube-proxy' }],
  notes: [
    "`kubeadm upgrade` rewrites this ConfigMap from ClusterConfiguration's controlPlaneEndpoint. Run this command again afterwards.",
  ],
};

// kubeadm's ClusterConfiguration: controlPlaneEndpoint, from which kubeadm writes the kubeconfigs of new control-plane
// nodes, and kube-proxy's at an upgrade.
import { formatHostPort } from '../../model/endpoint.ts';
import { FairleadError } from '../../model/errors.ts';
import type { KubeApi, KubeObject } from '../../kubernetes/kube-api.ts';
import { formatDiff, invertEdits } from '../text-edit.ts';
import { changedSince, dataOf, notPointed, pointData, restoreData, savedText } from './data-change.ts';
import { digestOf, labelOf, type ObjectChange, type ObjectRef, pathOf, readSaved } from './object-change.ts';
import type { ClusterTarget, Wanted } from './target.ts';
import { editMember, type EditedText, memberOf } from './yaml-member.ts';

const ref: ObjectRef = { kind: 'configmap', namespace: 'kube-system', name: 'kubeadm-config' };
const key = 'ClusterConfiguration';
const member = 'controlPlaneEndpoint';
const where = `${labelOf(ref)}: ${key}`;

const refused = (message: string) => new FairleadError('CLUSTER_REFUSED', message);

function textOf(object: KubeObject): string {
  const text = dataOf(object, [key])[key];
  if (typeof text !== 'string') throw refused(`${labelOf(ref)} has no ${key}`);
  return text;
}

function edit(text: string, value: string | null): EditedText {
  const edited = editMember(text, member, value, 'kind');
  if (!edited.ok) throw refused(`${where} ${edited.problem}`);
  return edited.value;
}

async function plan(api: KubeApi, { address, verifiedName }: Wanted): Promise<ObjectChange[]> {
  const object = await api.find(pathOf(ref));
  if (!object) throw refused(`there is no ${labelOf(ref)}: this cluster was not created by kubeadm`);
  const text = textOf(object);
  // The kubeconfigs that kubeadm writes have no tls-server-name.
  const { warnings } = await verifiedName([address.host]);
  const { text: next, edits } = edit(text, formatHostPort(address));
  const diff = formatDiff(where, text, edits);
  return [pointData(ref, object, { current: { [key]: text }, next: { [key]: next }, diff, warnings })];
}

async function planUndo(api: KubeApi): Promise<ObjectChange[]> {
  const object = await api.find(pathOf(ref));
  const saved = readSaved(ref, object);
  if (!object || !saved) return [notPointed(ref)];
  const [text, original] = [textOf(object), savedText(ref, saved, key)];
  const current = { [key]: text };
  const before = memberOf(original, member);
  if (!before.ok) throw refused(`${where} ${before.problem}`);
  if (saved.after === digestOf(current)) {
    const now = memberOf(text, member);
    const { edits } = edit(original, (now.ok ? now.value : undefined) ?? null);
    const diff = formatDiff(where, text, invertEdits(original, edits));
    return [restoreData(ref, object, { current, next: { [key]: original }, diff })];
  }
  const { text: next, edits } = edit(text, before.value ?? null);
  const diff = edits.length > 0 ? formatDiff(where, text, edits) : '';
  return [restoreData(ref, object, { current, next: { [key]: next }, diff, warnings: [changedSince] })];
}

export const kubeadm: ClusterTarget = {
  plan,
  planUndo,
  readers: () => [],
  notes: [
    'This takes effect the next time kubeadm runs. Joining nodes still use the address in cluster-info.',
  ],
};

// Where kubeadm and Kubespray keep what matters on a node, and which role that makes it.
import { access } from 'node:fs/promises';
import { resolveBelow } from '../lib/below-root.ts';

export const nodePaths = {
  kubeletKubeconfig: '/etc/kubernetes/kubelet.conf',
  /** Gone, or left behind, once kubelet has its certificate. */
  bootstrapKubeconfig: '/etc/kubernetes/bootstrap-kubelet.conf',
  apiServerManifest: '/etc/kubernetes/manifests/kube-apiserver.yaml',
} as const;

export type NodeRole = 'control-plane' | 'worker';

/** A node with kube-apiserver's static pod manifest is a control-plane node: so kubeadm and Kubespray run it. */
export async function nodeRole(root: string): Promise<NodeRole> {
  return (await exists(root, nodePaths.apiServerManifest)) ? 'control-plane' : 'worker';
}

export async function exists(root: string, path: string): Promise<boolean> {
  try {
    await access(await resolveBelow(root, path));
    return true;
  } catch {
    return false;
  }
}

// Static pods of other load balancers (Kubespray's nginx-proxy and haproxy) that Fairlead takes the place of:
// moved out of kubelet's directory, and moved back when Fairlead goes.
import { basename, join } from 'node:path';
import { readStaticPods } from '../doctor/static-pods.ts';
import type { NodeFiles } from './node-files.ts';

/** Not below the directory of the static pods: kubelet reads every file there. */
export const replacedDirectory = '/etc/kubernetes/fairlead-replaced';

/** As Kubespray names its pods. Others that run nginx or HAProxy may do anything, and stay. */
const proxyNames: readonly string[] = ['nginx-proxy', 'haproxy'];

/** Manifests of these load balancers, as the node names them. */
export async function proxyManifests(root: string): Promise<string[]> {
  const pods = await readStaticPods(root);
  return pods.filter(({ name }) => proxyNames.includes(name)).map(({ file }) => file);
}

export async function setAside(files: NodeFiles, manifests: readonly string[]): Promise<void> {
  for (const manifest of manifests) await files.move(manifest, join(replacedDirectory, basename(manifest)));
}

async function replacedNames(files: NodeFiles): Promise<string[]> {
  // Unreadable is not empty: a proxy that was set aside would never be restored.
  return (await files.list(replacedDirectory)).filter((name) => !name.startsWith('.'));
}

/** Whether another load balancer is on the node, or comes back when Fairlead goes. */
export async function isProxyThere(files: NodeFiles): Promise<boolean> {
  return (await replacedNames(files)).length > 0 || (await proxyManifests(files.root)).length > 0;
}

/** The names of the manifests that were restored. */
export async function restoreProxies(files: NodeFiles, podDirectory: string): Promise<string[]> {
  const names = await replacedNames(files);
  for (const name of names) await files.move(join(replacedDirectory, name), join(podDirectory, name));
  await files.removeEmpty(replacedDirectory);
  return names;
}

// Static pods of other load balancers (Kubespray's nginx-proxy and haproxy) that Fairlead takes the place of:
// moved out of kubelet's directory, and moved back when Fairlead goes.
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { resolveBelow } from '../below-root.ts';
import { otherLoadBalancers, readStaticPods } from '../doctor/static-pods.ts';
import type { NodeFiles } from './node-files.ts';

/** Not below the directory of the static pods: kubelet reads every file there. */
export const replacedDirectory = '/etc/kubernetes/fairlead-replaced';

/** Manifests of other load balancers, as the node names them. */
export async function proxyManifests(root: string): Promise<string[]> {
  return otherLoadBalancers(await readStaticPods(root)).map(({ file }) => file);
}

export async function setAside(files: NodeFiles, manifests: readonly string[]): Promise<void> {
  for (const manifest of manifests) await files.move(manifest, join(replacedDirectory, basename(manifest)));
}

/** The names of what was given back. */
export async function giveBack(files: NodeFiles, podDirectory: string): Promise<string[]> {
  const directory = await resolveBelow(files.root, replacedDirectory);
  const names = (await readdir(directory).catch(() => [])).filter((name) => !name.startsWith('.'));
  for (const name of names) await files.move(join(replacedDirectory, name), join(podDirectory, name));
  await files.removeEmpty(replacedDirectory);
  return names;
}

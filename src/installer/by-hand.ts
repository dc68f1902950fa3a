// The static pod of an agent that was adopted by hand (docs/adopt.md). The installer's agent replaces it: where both share
// the port, after the new one serves; where the old one does not share, it is set aside first, and comes back when the new
// one does not serve.
import { basename, join } from 'node:path';
import { readStaticPods } from '../doctor/static-pods.ts';
import type { NodeFiles } from './node-files.ts';
import { manifestName, slots } from './static-pod.ts';

/** Not below the directory of the static pods, and not where load balancers are kept, which return when Fairlead goes. */
const setAsideDirectory = '/etc/kubernetes/fairlead-by-hand';
/** As manifests/static-pod has it. */
const podName = 'fairlead';

/** Its manifests, as the node names them. */
export async function byHandManifests(root: string): Promise<string[]> {
  const own = slots.map(manifestName);
  const pods = await readStaticPods(root);
  return pods
    .filter(({ name, file }) => name === podName && !own.includes(basename(file)))
    .map(({ file }) => file);
}

export async function setByHandAside(files: NodeFiles, manifests: readonly string[]): Promise<void> {
  for (const manifest of manifests) await files.move(manifest, join(setAsideDirectory, basename(manifest)));
}

/** The names of the manifests that were restored. */
export async function restoreByHand(files: NodeFiles, podDirectory: string): Promise<string[]> {
  const names = await files.list(setAsideDirectory);
  for (const name of names) await files.move(join(setAsideDirectory, name), join(podDirectory, name));
  await files.removeEmpty(setAsideDirectory);
  return names;
}

/** Once another agent serves in its place, or Fairlead leaves the node. */
export async function discardByHand(files: NodeFiles): Promise<void> {
  for (const name of await files.list(setAsideDirectory)) await files.remove(join(setAsideDirectory, name));
  await files.removeEmpty(setAsideDirectory);
}

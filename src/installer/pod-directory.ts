// Where this node's static pods go. The installer sees the directories of the node that are mounted into its pod, and no
// others: one that is not there must not be made in the container, where kubelet never looks.
import { lstat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { resolveBelow } from '../lib/below-root.ts';
import { FairleadError } from '../model/errors.ts';
import { defaultDirectory, kubeletConfig, staticPodDirectory } from '../doctor/static-pods.ts';
import type { NodeFiles } from './node-files.ts';

/** As given, else as kubelet's configuration says. Rejects with INSTALL_REFUSED, and the mount to add. */
export async function findPodDirectory(files: NodeFiles, given?: string): Promise<string> {
  const { root } = files;
  if (
    given === undefined &&
    (await files.stat(kubeletConfig)) === undefined &&
    (await isLink(root, kubeletConfig))
  ) {
    const real = await realPath(root, kubeletConfig);
    throw refusal(
      `kubelet's configuration ${kubeletConfig} is a link to ${real}, which`,
      dirname(real),
      root,
    );
  }
  const directory = given ?? (await staticPodDirectory(root));
  if ((await files.stat(directory))?.isDirectory()) return directory;
  const real = await realPath(root, directory);
  // Below /etc/kubernetes, which is always mounted: it is made.
  if (directory === defaultDirectory && real === directory) return directory;
  const link = real === directory ? '' : `, a link to ${real}`;
  const why = given === undefined ? 'staticPodPath' : '--pod-manifest-path';
  throw refusal(`kubelet takes static pods from ${directory} (${why})${link}, which`, real, root);
}

const refusal = (what: string, directory: string, root: string) =>
  new FairleadError(
    'INSTALL_REFUSED',
    root === '/'
      ? `${what} does not exist: create it, or correct the setting`
      : `${what} does not exist below ${root}: add a hostPath volume for ${directory} to the installer, mounted at ` +
          `${join(root, directory)} (docs/manifests.md, Directories of the node)`,
  );

/** As the node knows it. */
async function realPath(root: string, path: string): Promise<string> {
  return join('/', (await resolveBelow(root, path)).slice(root === '/' ? 0 : root.length));
}

async function isLink(root: string, path: string): Promise<boolean> {
  const at = join(await resolveBelow(root, dirname(path)), basename(path));
  const stats = await lstat(at).catch(() => undefined);
  return stats?.isSymbolicLink() ?? false;
}

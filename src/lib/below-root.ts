// Paths below a root directory, as a chroot would see them: for a node's file system that is mounted
// somewhere else (/host in a pod), and for tests. Absolute symlinks, such as kubelet's
// kubelet-client-current.pem, stay below the root.
import { readlink } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { codeOf } from '../model/error-text.ts';

/** As the kernel (MAXSYMLINKS). */
const maxLinks = 40;

/**
 * The real path of `path` below `root`: every symlink is followed, `..` ends at the root. What does not
 * exist stays as it is written, so that the caller's own error names it. Throws on a loop of symlinks.
 */
export async function resolveBelow(root: string, path: string): Promise<string> {
  const pending = path.split(sep);
  let done: string[] = [];
  let links = 0;
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      done.pop();
      continue;
    }
    const link = await linkTarget(join(root, ...done, name));
    if (link === undefined) {
      done.push(name);
      continue;
    }
    links += 1;
    if (links > maxLinks) throw new Error(`${path}: too many symlinks, or a loop of them`);
    if (link.startsWith(sep)) done = [];
    pending.unshift(...link.split(sep));
  }
  return join(root, ...done);
}

async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    // EINVAL: no symlink. Everything else shows again when the file is used.
    if (codeOf(error) !== undefined) return undefined;
    throw error;
  }
}

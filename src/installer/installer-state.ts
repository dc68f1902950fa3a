// What the installer notes on a node for its own next pass, in a directory that no agent mounts: whoever could write there
// could have root restart kubelet, or restore another load balancer. Owns the directory.
import { join } from 'node:path';
import { FairleadError } from '../model/errors.ts';
import { nodePaths } from '../adopt/node-paths.ts';
import { backupSuffix } from '../adopt/point.ts';
import { resolveBelow } from '../lib/below-root.ts';
import type { NodeFiles } from './node-files.ts';

export const stateDirectory = '/var/lib/fairlead-installer';
/** There while kubelet is being pointed; its content is the Lease of the turn. */
export const pointingPath = join(stateDirectory, 'pointing');
/** There while an agent that has taken a proxy's place has not served yet: whoever finds it restores the proxy. */
export const takingOverPath = join(stateDirectory, 'taking-over');
/** What net.ipv4.tcp_migrate_req was. */
export const rememberedPath = join(stateDirectory, 'tcp_migrate_req.before');
/** There once the notes of the release before have been moved. */
const movedPath = join(stateDirectory, 'moved');

/** Where 0.1.0 kept the same notes: in the agent's directory. */
const oldDirectory = '/var/lib/fairlead';
const oldNotes: readonly { readonly name: string; readonly to: string; readonly looksLike: RegExp }[] = [
  { name: 'pointing', to: pointingPath, looksLike: /^fairlead-turn-\d{1,3}\n$/ },
  { name: 'taking-over', to: takingOverPath, looksLike: /^$/ },
  { name: 'tcp_migrate_req.before', to: rememberedPath, looksLike: /^[01]$/ },
];

/**
 * Makes the directory, root's alone, and moves the notes of the release before: once, as from then on only the agent
 * writes where they were.
 */
export async function openState(files: NodeFiles): Promise<void> {
  await files.makePrivate(stateDirectory);
  if ((await files.stat(movedPath)) !== undefined) return;
  for (const { name, to, looksLike } of oldNotes) {
    const note = await oldNote(files, join(oldDirectory, name));
    if (note === undefined || !looksLike.test(note)) continue;
    // A pointing that was cut short has left a backup beside kubelet's kubeconfig, where the agent cannot write.
    if (to === pointingPath && !(await hasBackup(files))) continue;
    await files.put(to, Buffer.from(note), 0o600);
  }
  await files.put(movedPath, Buffer.from(''), 0o600);
  for (const { name } of oldNotes) await files.remove(join(oldDirectory, name));
}

/** Removes the directory and all that the installer has put there. */
export async function removeState(files: NodeFiles): Promise<void> {
  for (const { name } of oldNotes) await files.remove(join(oldDirectory, name));
  for (const path of [pointingPath, takingOverPath, rememberedPath, movedPath]) await files.remove(path);
  await files.removeEmpty(stateDirectory);
}

/** Undefined where there is none, or what is there was not written by an installer. */
async function oldNote(files: NodeFiles, path: string): Promise<string | undefined> {
  return (await files.readDistrusted(path))?.toString('latin1');
}

async function hasBackup(files: NodeFiles): Promise<boolean> {
  const target = await resolveBelow(files.root, nodePaths.kubeletKubeconfig);
  return (await files.stat(`${target.slice(files.root.length)}${backupSuffix}`)) !== undefined;
}

/** Refuses agents that could write where root's notes or instructions are. */
export function refuseToShare(agentDirectories: readonly string[], podDirectory: string): void {
  const own = [stateDirectory, podDirectory, '/etc/fairlead', '/etc/kubernetes', '/var/lib/kubelet'];
  for (const directory of agentDirectories) {
    const shared = own.find(
      (path) => path === directory || path.startsWith(`${directory.replace(/\/$/, '')}/`),
    );
    if (shared === undefined) continue;
    throw new FairleadError(
      'INSTALL_REFUSED',
      `the agent could write to ${directory}, and therefore to ${shared}, which only root may change. Mount it with readOnly: true in ` +
        'the static pod, and keep the list of API servers (discovery.cacheFile) in a separate directory',
    );
  }
}

// The static pod of an agent that was adopted by hand (docs/adopt.md). The installer's agent replaces it: where both share
// the port, after the new one serves; where the old one does not share, it is set aside first, and comes back when the new
// one does not serve.
import { basename, join } from 'node:path';
import { readStaticPods } from '../doctor/static-pods.ts';
import { type Pace, waitUntil } from '../lib/wait-until.ts';
import type { AgentView } from './agent-view.ts';
import type { NodeFiles } from './node-files.ts';
import { manifestName, slots } from './static-pod.ts';
import { enableTcpMigrateReq, restoreTcpMigrateReq } from './tcp-migrate-req.ts';

/** Not below the directory of the static pods, and not where load balancers are kept, which return when Fairlead goes. */
const setAsideDirectory = '/etc/kubernetes/fairlead-by-hand';
/** As manifests/static-pod has it. */
const podName = 'fairlead';
const pollMs = 200;
/** 5 s: kubelet needs a second or two to end a pod after its manifest. */
const answersUntilGone = 25;

interface RetireDeps extends Pace {
  readonly files: NodeFiles;
  readonly log: { info(fields: object, message: string): void };
  readonly leaveWithinMs: number;
}

type View = () => Promise<AgentView | undefined>;

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

/**
 * Removes an agent that shares its port with the one that serves now. Its configuration stays: an operator wrote it.
 * `own`: the new agent; `shared`: the admin address of both, where either answers, as the kernel chooses, because the old
 * one has none of its own. The manifests that were removed.
 */
export async function retireByHand(
  deps: RetireDeps,
  { own, shared }: { readonly own: View; readonly shared: View },
): Promise<readonly string[]> {
  const { files, log, leaveWithinMs } = deps;
  const manifests = await byHandManifests(files.root);
  if (manifests.length === 0) return [];
  const why = await enableTcpMigrateReq(files);
  if (why !== undefined) log.info({ reason: why }, 'tcp_migrate_req is not changed');
  for (const manifest of manifests) await files.remove(manifest);
  log.info({ manifests }, 'removing the agent that was adopted by hand');
  let answersInARow = 0;
  const isGone = async () => {
    const [mine, either] = [await own(), await shared()];
    const isOther = either !== undefined && either.startedAtMs !== mine?.startedAtMs;
    answersInARow = isOther ? 0 : answersInARow + 1;
    return answersInARow >= answersUntilGone || undefined;
  };
  await waitUntil(isGone, { withinMs: leaveWithinMs, everyMs: pollMs }, deps);
  await restoreTcpMigrateReq(files);
  return manifests;
}

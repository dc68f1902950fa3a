// Points this node's kubelet at its agent, as one of many: waits for its turn, points, restarts kubelet, and sees that
// kubelet's Lease is renewed afterwards. If it is not, everything is put back and the rollout is halted. What is
// under way is noted on disk before the first change, so that a run that was cut short is put back, not forgotten.
import { messageOf } from '../model/error-text.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { type KubeApi, leasePath } from '../kubernetes/kube-api.ts';
import { nodePaths } from '../adopt/node-paths.ts';
import { applyPlan, planPointing, planRestoring } from '../adopt/point.ts';
import { readKubeconfigText } from '../adopt/kubeconfig-text.ts';
import type { NameChoice, NameChoiceInput } from '../adopt/server-names.ts';
import { openState, pointingPath } from './installer-state.ts';
import type { NodeFiles } from './node-files.ts';
import { leaseSpec, type RolloutSemaphore } from './rollout-semaphore.ts';
import { type Pace, waitUntil } from '../lib/wait-until.ts';

export interface PointKubeletOptions {
  readonly node: string;
  /** Nodes at a time. */
  readonly count: number;
  /** The agent's listener. */
  readonly address: HostPort;
  /** The API servers behind it. */
  readonly endpoints: readonly HostPort[];
  /** How long kubelet may take to renew its Lease twice: every 10 s, and 40 s make a node NotReady. */
  readonly confirmWithinMs: number;
}

export interface PointKubeletDeps extends Pace {
  readonly files: NodeFiles;
  readonly api: KubeApi;
  readonly semaphore: RolloutSemaphore;
  readonly restartKubelet: () => Promise<void>;
  /** Kept between calls: the file that was last found pointed; until when the last answer holds. */
  readonly seen: { pointed?: string; waits?: { readonly untilMs: number; readonly answer: string } };
  readonly random?: () => number;
  /** Connections that the agent has carried since it started, those of now with them. */
  readonly tunnels: () => Promise<number>;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
  readonly chooseName?: (input: NameChoiceInput) => Promise<NameChoice>;
}

/** Half of the longest time between two looks whether it is a node's turn: thousands of nodes may wait. */
const askAgainMs = 30_000;
const stopped = 'the installer was stopped; the next run starts over';

/** Says where it stands: `pointed`, `waits for its turn`, or why not. */
export async function pointKubelet(options: PointKubeletOptions, deps: PointKubeletDeps): Promise<string> {
  const { node, count, address, endpoints } = options;
  const { files, semaphore, log, chooseName, seen } = deps;
  await openState(files);
  if ((await files.read(pointingPath)) !== undefined) {
    // No failure of the node's: it has another try.
    await restoreKubelet('it was interrupted', deps);
    await files.remove(pointingPath);
  }
  const server = `https://${formatHostPort(address)}`;
  const text = (await files.read(nodePaths.kubeletKubeconfig))?.toString('utf8') ?? '';
  if (text === seen.pointed) return 'pointed';
  /** Connects to the listener and to every API server: not at each look, and not by every node at once. */
  const plan = async () => {
    const [found] = await planPointing({
      files: [nodePaths.kubeletKubeconfig],
      root: files.root,
      address,
      server,
      endpoints,
      tlsServerName: 'auto',
      clusters: 'current',
      ...(chooseName && { chooseName }),
    });
    if (found?.action === 'point') return found;
    seen.pointed = text;
    return undefined;
  };
  if (namesServer(text, server) && !(await plan())) return 'pointed';
  if (seen.waits && deps.nowMs() < seen.waits.untilMs) return seen.waits.answer;
  const { random = Math.random } = deps;
  const waits = (answer: string) => {
    seen.waits = { untilMs: deps.nowMs() + askAgainMs * (1 + random()), answer };
    return answer;
  };
  const halted = await semaphore.halted();
  if (halted !== undefined) return waits(`halted: ${halted}`);
  const turn = await semaphore.acquire(count);
  if (turn === undefined) return waits('waiting for its turn');
  try {
    // Another node may have failed between the two reads.
    const haltedSince = await semaphore.halted();
    if (haltedSince !== undefined) return `halted: ${haltedSince}`;
    const planned = await plan().catch((error: unknown) => {
      waits(messageOf(error));
      throw error;
    });
    if (!planned) return 'pointed';
    log.info({ turn }, 'pointing kubelet at this node');
    await files.put(pointingPath, Buffer.from(`${turn}\n`), 0o600);
    const problem = await pointAndConfirm(planned, options, deps);
    if (problem === stopped) return problem;
    if (problem !== undefined) return await restoreAndHalt(problem, node, deps);
    await files.remove(pointingPath);
    log.info({}, "kubelet's Lease is renewed, and the agent has new connections");
    return 'pointed';
  } finally {
    await semaphore
      .release(turn)
      .catch((error: unknown) => log.warn({ reason: messageOf(error) }, 'cannot release the turn'));
  }
}

function namesServer(text: string, server: string): boolean {
  const reading = readKubeconfigText(text);
  if (!reading.ok) return false; // planning says what is wrong with it
  const { clusters, currentCluster } = reading.value;
  return clusters.find(({ name }) => name === currentCluster)?.server === server;
}

async function pointAndConfirm(
  plan: Parameters<typeof applyPlan>[0],
  { node, confirmWithinMs }: PointKubeletOptions,
  deps: PointKubeletDeps,
): Promise<string | undefined> {
  const { api, restartKubelet, tunnels, nowMs, isStopped = () => false } = deps;
  let before = 0;
  try {
    before = await tunnels();
    await applyPlan(plan, { nowMs: nowMs() });
    await restartKubelet();
  } catch (error) {
    return messageOf(error);
  }
  const renewed = async () => {
    const lease = await api.find(leasePath('kube-node-lease', node));
    return lease && leaseSpec(lease).renewTime;
  };
  // The old kubelet may renew once more while it ends; the times are the node's own, so only their change counts.
  const seen = new Set<string>();
  let problem = 'its Lease is not renewed';
  const isConfirmed = async () => {
    try {
      const time = await renewed();
      if (time) seen.add(time);
      // It is not known whose they are; but without one kubelet's is not among them. Fewer: it is another agent by now.
      if (seen.size >= 3 && (await tunnels()) !== before) return true;
      if (seen.size >= 3)
        problem = 'its Lease is renewed, but not through the agent: the agent has had no new connection';
    } catch (error) {
      problem = messageOf(error);
    }
    return undefined;
  };
  if (await waitUntil(isConfirmed, { withinMs: confirmWithinMs, everyMs: 500 }, deps)) return undefined;
  if (isStopped()) return stopped;
  return `${problem} within ${confirmWithinMs / 1000} s of the restart`;
}

async function restoreAndHalt(why: string, node: string, deps: PointKubeletDeps): Promise<string> {
  await restoreKubelet(why, deps);
  const reason = `${node}: kubelet was pointed and then restored: ${why}`;
  await deps.semaphore.halt(reason);
  await deps.files.remove(pointingPath);
  return `halted: ${reason}`;
}

async function restoreKubelet(
  why: string,
  { files, restartKubelet, nowMs, log }: PointKubeletDeps,
): Promise<void> {
  log.warn({ reason: why }, 'restoring kubelet');
  for (const plan of await planRestoring({ files: [nodePaths.kubeletKubeconfig], root: files.root }))
    await applyPlan(plan, { nowMs: nowMs() });
  await restartKubelet().catch((error: unknown) =>
    log.warn({ reason: messageOf(error) }, 'cannot restart kubelet'),
  );
}

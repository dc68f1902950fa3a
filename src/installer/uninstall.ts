// Takes Fairlead off a node: first the clients go back to what they had, then the agent, then its files. Every
// step is done only where there is something to do, so that a run that was cut short is gone on with by the next.
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { memoryFile } from '../discovery/cache-file.ts';
import { keptCaPath } from '../discovery/kept-ca-file.ts';
import { messageOf } from '../model/error-text.ts';
import { resolveBelow } from '../lib/below-root.ts';
import { applyHosts, planHosts } from '../adopt/hosts.ts';
import { managedHosts } from '../adopt/hosts-text.ts';
import { applyPlan, backupSuffix, planRestoring } from '../adopt/point.ts';
import { noStep, type OnStep } from '../lib/replace-file.ts';
import type { AgentView } from './agent-view.ts';
import { clientsOf, kubeconfigDirectories } from './agent-clients.ts';
import { restoreTcpMigrateReq } from './tcp-migrate-req.ts';
import { discardByHand } from './by-hand.ts';
import type { NodeFiles } from './node-files.ts';
import { openState, removeState } from './installer-state.ts';
import { restoreProxies, isProxyThere } from './proxy-pod.ts';
import {
  agentDirectories,
  caPath,
  configDirectory,
  configPath,
  manifestName,
  type Slot,
  slotName,
  slots,
} from './static-pod.ts';
import { type Pace, waitUntil } from '../lib/wait-until.ts';

export interface UninstallOptions {
  readonly podDirectory: string;
  readonly adminPorts: { readonly [S in Slot]: number };
  /** Where the agent kept its list. */
  readonly cacheFile: string;
  /** How long clients may take to leave the agent. */
  readonly graceMs: number;
}

export interface UninstallDeps extends Pace {
  readonly files: NodeFiles;
  readonly view: (port: number) => Promise<AgentView | undefined>;
  /** Undefined: kubelet is restarted by hand. */
  readonly restartKubelet?: () => Promise<void>;
  readonly onStep?: OnStep;
  readonly say: (line: string) => void;
}

export type Uninstalled = { readonly isDone: true } | { readonly isDone: false; readonly why: string };

const pollMs = 200;
const leaveWithinMs = 90_000;
/** Written before kubelet is restarted, so that a run that is cut short there restarts it again. */
export const restartPath = '/etc/kubernetes/fairlead-restart-kubelet';

export async function uninstall(options: UninstallOptions, deps: UninstallDeps): Promise<Uninstalled> {
  const { files, view, say } = deps;
  await distrustAgents(options, files);
  await openState(files);
  const kubelet = await undoKubeconfigs(deps);
  if (kubelet !== undefined) return { isDone: false, why: kubelet };
  const stranded = await strandedClients(options, files);
  if (stranded !== undefined) return { isDone: false, why: stranded };
  await undoHosts(deps);

  const views = () => Promise.all(slots.map((slot) => view(options.adminPorts[slot])));
  const until = (isMet: (view: AgentView | undefined) => boolean, withinMs: number) =>
    waitUntil(async () => (await views()).every(isMet) || undefined, { withinMs, everyMs: pollMs }, deps);
  await until((one) => (one?.tunnels ?? 0) === 0, options.graceMs);

  for (const slot of slots) {
    if (await files.remove(join(options.podDirectory, manifestName(slot)))) say(`${slotName(slot)} removed`);
  }
  for (const name of await restoreProxies(files, options.podDirectory)) say(`${name} restored`);
  await until((one) => one === undefined, leaveWithinMs);

  await discardByHand(files);
  await restoreTcpMigrateReq(files);
  for (const slot of slots) await files.remove(configPath(slot));
  await files.remove(caPath);
  await files.remove(options.cacheFile);
  await files.remove(keptCaPath(options.cacheFile));
  await files.remove(memoryFile(options.cacheFile));
  await removeState(files);
  for (const directory of [configDirectory, dirname(options.cacheFile)]) await files.removeEmpty(directory);
  return { isDone: true };
}

async function distrustAgents(
  { podDirectory, cacheFile }: UninstallOptions,
  files: NodeFiles,
): Promise<void> {
  const directories = [dirname(cacheFile)];
  for (const slot of slots) {
    const manifest = await files.read(join(podDirectory, manifestName(slot)));
    if (manifest) directories.push(...agentDirectories(manifest.toString('utf8')));
  }
  files.distrust(directories);
}

/** Undefined when kubelet is where it was before; else what is to be done first. */
async function undoKubeconfigs(deps: UninstallDeps): Promise<string | undefined> {
  const { files, restartKubelet, nowMs, onStep = noStep, say } = deps;
  const found: string[] = [];
  for (const file of await pointedFiles(files)) {
    if ((await files.stat(file)) !== undefined) found.push(file);
    else say(`warning: ${file}${backupSuffix} was not removed: ${file} no longer exists`);
  }
  const plans = (await planRestoring({ files: found, root: files.root })).filter(
    ({ action }) => action === 'restore',
  );
  if (plans.length > 0) await files.put(restartPath, Buffer.from(''));
  for (const plan of plans) {
    await applyPlan(plan, { nowMs: nowMs(), onStep });
    const isWhole = plan.write?.backup === 'return';
    say(`${plan.file} ${isWhole ? 'is restored' : 'names its API server again'}`);
  }
  if ((await files.read(restartPath)) === undefined) return undefined;
  if (!restartKubelet) {
    await files.remove(restartPath);
    return 'kubelet still connects through Fairlead until it is restarted: systemctl restart kubelet, then run this again';
  }
  try {
    await restartKubelet();
  } catch (error) {
    return `kubelet cannot be restarted: ${messageOf(error)}`;
  }
  await files.remove(restartPath);
  say('kubelet restarted');
  return undefined;
}

/** Those with a backup beside them, or beside the file that a symlink leads to. */
async function pointedFiles({ root }: NodeFiles): Promise<Set<string>> {
  const found = new Set<string>();
  for (const directory of kubeconfigDirectories) {
    const entries = await readdir(await resolveBelow(root, directory), { withFileTypes: true }).catch(
      () => [],
    );
    for (const entry of entries) {
      const path = join(directory, entry.name);
      if (entry.name.endsWith(backupSuffix)) found.add(path.slice(0, -backupSuffix.length));
      else if (entry.isSymbolicLink() && existsSync(`${await resolveBelow(root, path)}${backupSuffix}`))
        found.add(path);
    }
  }
  return found;
}

/** Undefined unless a client would lose its API server's address with the agent. */
async function strandedClients(
  { podDirectory }: UninstallOptions,
  files: NodeFiles,
): Promise<string | undefined> {
  // The address is that of the proxy which was there before, and comes back.
  if (await isProxyThere(files)) return undefined;
  const present: Slot[] = [];
  for (const slot of slots) {
    if ((await files.stat(join(podDirectory, manifestName(slot)))) !== undefined) present.push(slot);
  }
  const clients = await clientsOf(files, present);
  if (clients.length === 0) return undefined;
  const list = clients.map(({ file, server }) => `${file} (${server})`).join(', ');
  return (
    `the agent was not removed, because ${list} would then point at an address where no process listens, and there is no backup to ` +
    'restore. Set the address of an API server there, restart its client (systemctl restart kubelet), then run this again'
  );
}

async function undoHosts({ files, nowMs, onStep = noStep, say }: UninstallDeps): Promise<void> {
  const text = (await files.read('/etc/hosts'))?.toString('latin1');
  if (text === undefined) return;
  for (const name of managedHosts(text).keys()) {
    const plan = await planHosts({ root: files.root, name, addresses: [] });
    await applyHosts(plan, { nowMs: nowMs(), onStep });
    say(`/etc/hosts: ${name} restored`);
  }
}

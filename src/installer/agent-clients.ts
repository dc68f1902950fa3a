// Which kubeconfigs of a node name its own agent: to be known before the agent goes or its listener moves, because a
// kubelet without an API server takes the node with it. Reads only.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { isLoopback, isWildcard } from '../model/host.ts';
import { canonicalHost, type HostPort } from '../model/endpoint.ts';
import { resolveBelow } from '../lib/below-root.ts';
import { readFileText } from '../lib/read-file.ts';
import { readKubeconfigText } from '../adopt/kubeconfig-text.ts';
import { nodePaths, nodeRole } from '../adopt/node-paths.ts';
import type { NodeFiles } from './node-files.ts';
import { configPath, type Slot } from './static-pod.ts';
import { isMissingFile } from '../lib/errno.ts';
import { serverOf } from '../doctor/kubeconfig-checks.ts';

/** Where kubeconfigs are that were pointed; those elsewhere are undone by `fairlead kubeconfig point --undo`. */
export const kubeconfigDirectories = ['/etc/kubernetes', '/root/.kube'];

export interface NamedServer {
  readonly file: string;
  readonly server: string;
  readonly address: HostPort;
}

/** Where the agents of these slots listen for such clients; undefined: a configuration of theirs cannot be read. */
export async function listenersOf(
  { root }: NodeFiles,
  slots: readonly Slot[],
): Promise<readonly HostPort[] | undefined> {
  const found: HostPort[] = [];
  for (const slot of slots) {
    const file = await resolveBelow(root, configPath(slot));
    const loaded = await loadConfig({ file, env: {}, hostname: 'node', mustFindEndpoints: false });
    if (!loaded.ok) return undefined;
    found.push(...forKubeconfigs(loaded.config));
  }
  return found;
}

export const forKubeconfigs = ({ listeners }: Pick<Config, 'listeners'>): HostPort[] =>
  listeners.filter(({ type }) => type === 'passthrough').map(({ host, port }) => ({ host, port }));

/** Whether a client of this address comes out at one of the listeners. */
export function isServedBy(address: HostPort, listeners: readonly HostPort[]): boolean {
  return listeners.some(({ host, port }) => {
    if (port !== address.port) return false;
    if (canonicalHost(host) === canonicalHost(address.host)) return true;
    return (
      isLoopback(address.host) && (isWildcard(host) || (address.host === 'localhost' && isLoopback(host)))
    );
  });
}

/**
 * The clients of the agents in these slots. Where an agent's configuration cannot be read, every client of a
 * loopback address counts; but not on a control-plane node, whose API server is there itself.
 */
export async function clientsOf(files: NodeFiles, slots: readonly Slot[]): Promise<NamedServer[]> {
  if (slots.length === 0) return [];
  const servers = await namedServers(files.root);
  const listeners = await listenersOf(files, slots);
  if (listeners) return servers.filter(({ address }) => isServedBy(address, listeners));
  if ((await nodeRole(files.root)) === 'control-plane') return [];
  return servers.filter(({ address }) => isLoopback(address.host));
}

/**
 * Clients that an agent which was adopted by hand may have: of 127.0.0.1, ::1 and localhost, as its own configuration is
 * not read. None on a control-plane node, whose API server may be there.
 */
export async function clientsOfByHand({ root }: NodeFiles): Promise<NamedServer[]> {
  if ((await nodeRole(root)) === 'control-plane') return [];
  const usual = ['127.0.0.1', '::1', 'localhost'];
  return (await namedServers(root)).filter(({ address }) => usual.includes(canonicalHost(address.host)));
}

/** A missing file names no server. Any other unreadable file may name the agent, which is an error. */
function unlessAbsent<T>(fallback: T): (error: unknown) => T {
  return (error) => {
    if (isMissingFile(error)) return fallback;
    throw error;
  };
}

/** The node's own kubeconfigs and what they name, kubelet's first. Rejects when one cannot be read. */
async function namedServers(root: string): Promise<NamedServer[]> {
  const names: string[] = [nodePaths.kubeletKubeconfig];
  for (const directory of kubeconfigDirectories) {
    const found = readdir(await resolveBelow(root, directory), { withFileTypes: true });
    for (const entry of await found.catch(unlessAbsent([]))) {
      const { name } = entry;
      if (entry.isDirectory()) continue;
      if (/\.(conf|kubeconfig)$|^config$/.test(name) && !name.startsWith('.'))
        names.push(join(directory, name));
    }
  }
  const found: NamedServer[] = [];
  for (const file of new Set(names)) {
    const text = await readFileText(file, { locate: (path) => resolveBelow(root, path) }).catch(
      unlessAbsent(''),
    );
    const reading = readKubeconfigText(text);
    if (!reading.ok) continue; // no client reads it either
    for (const { server } of reading.value.clusters) {
      const address = serverOf(server);
      if (address) found.push({ file, server, address });
    }
  }
  return found;
}

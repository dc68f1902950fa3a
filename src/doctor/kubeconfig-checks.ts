// Finds the kubeconfigs of a node and judges where they lead.
import { isIP } from 'node:net';
import { formatHostPort, type HostPort, parseHostPort } from '../model/endpoint.ts';
import { messageOf } from '../model/error-text.ts';
import { resolveBelow } from '../lib/below-root.ts';
import { readFileText, UnreadableFile } from '../lib/read-file.ts';
import { addressesOf, managedHosts } from '../adopt/hosts-text.ts';
import { readKubeconfigText } from '../adopt/kubeconfig-text.ts';
import type { NodeRole } from '../adopt/node-paths.ts';
import { type Finding, finding } from './finding.ts';
import { isMissingFile } from '../lib/errno.ts';
import { isLocalhost } from '../model/host.ts';

/** Who uses it: kubelet must not lose its API server, for the others it is advice. */
interface KnownFile {
  readonly file: string;
  readonly client: string;
  readonly isCni?: boolean;
}

/** Where kubeadm, Kubespray and CNI plugins put kubeconfigs. */
export const knownKubeconfigs: readonly KnownFile[] = [
  { file: '/etc/kubernetes/kubelet.conf', client: 'kubelet' },
  { file: '/etc/kubernetes/bootstrap-kubelet.conf', client: 'a joining kubelet' },
  {
    file: '/etc/kubernetes/controller-manager.conf',
    client: 'kube-controller-manager',
  },
  { file: '/etc/kubernetes/scheduler.conf', client: 'kube-scheduler' },
  { file: '/etc/kubernetes/admin.conf', client: 'kubectl' },
  { file: '/etc/kubernetes/super-admin.conf', client: 'kubectl' },
  { file: '/root/.kube/config', client: 'kubectl' },
  { file: '/var/lib/kube-proxy/kubeconfig.conf', client: 'kube-proxy' },
  { file: '/etc/kubernetes/kube-proxy-kubeconfig.yaml', client: 'kube-proxy' },
  { file: '/etc/kubernetes/kube-proxy.conf', client: 'kube-proxy' },
  { file: '/etc/cni/net.d/calico-kubeconfig', client: 'the CNI plugin Calico', isCni: true },
  { file: '/etc/cni/net.d/multus.d/multus.kubeconfig', client: 'the CNI plugin Multus', isCni: true },
];

export interface FoundKubeconfig extends KnownFile {
  /** Where it leads: a name that /etc/hosts knows is an address here. */
  readonly server?: HostPort;
  /** The server as it is written. */
  readonly url: string;
  /** What the client verifies: `tls-server-name`, else the host of the server. */
  readonly name: string;
  readonly problem?: string;
}

export const findKubeconfigs = (root: string, hosts = '') => readKubeconfigs(root, knownKubeconfigs, hosts);

/** Reads those that exist; `hosts` is the node's /etc/hosts, for servers that are named there. */
export async function readKubeconfigs(
  root: string,
  files: readonly KnownFile[],
  hosts: string,
): Promise<FoundKubeconfig[]> {
  const found = await Promise.all(files.map((known) => readOne(root, known, hosts)));
  return found.filter((one) => one !== undefined);
}

async function readOne(root: string, known: KnownFile, hosts: string): Promise<FoundKubeconfig | undefined> {
  const unreadable = (problem: string) => ({ ...known, url: '', name: '', problem });
  try {
    const reading = readKubeconfigText(
      await readFileText(known.file, { locate: (file) => resolveBelow(root, file) }),
    );
    if (!reading.ok) return unreadable(reading.problem);
    const { clusters, currentCluster } = reading.value;
    const cluster = clusters.find(({ name }) => name === currentCluster);
    if (!cluster) return unreadable('has no current context that names a cluster');
    const server = serverOf(cluster.server);
    const [address] = server && isIP(server.host) === 0 ? addressesOf(hosts, server.host) : [];
    return {
      ...known,
      url: cluster.server,
      name: cluster.tlsServerName ?? server?.host ?? '',
      ...(server && { server: { host: address ?? server.host, port: server.port } }),
    };
  } catch (error) {
    if (isMissingFile(error)) return undefined;
    return unreadable(error instanceof UnreadableFile ? error.reason : messageOf(error));
  }
}

/** Where a server URL leads; undefined if it is not an https URL. */
export function serverOf(url: string): HostPort | undefined {
  const parsed = URL.parse(url);
  if (parsed?.protocol !== 'https:') return undefined;
  const result = parseHostPort(parsed.host, { defaultPort: 443 });
  return result.ok ? result.value : undefined;
}

export type Leads = 'to Fairlead' | 'to another local port' | 'past Fairlead' | 'nowhere known';

export function leadsTo(server: HostPort | undefined, listeners: readonly HostPort[]): Leads {
  if (!server) return 'nowhere known';
  const isListener = listeners.some(
    ({ host, port }) => port === server.port && (host === server.host || isLocalhost(server.host)),
  );
  if (isListener) return 'to Fairlead';
  return isLocalhost(server.host) ? 'to another local port' : 'past Fairlead';
}

export interface KubeconfigContext {
  readonly role: NodeRole;
  readonly listeners: readonly HostPort[];
  readonly isAgentRunning: boolean;
  /** The agent is a DaemonSet's pod, which a rebooted node could not start without an API server. */
  readonly isDaemonSet?: boolean;
  /** Something answers on the listeners, if only another proxy. */
  readonly isPortHeld: boolean;
}

export function judgeKubeconfigs(found: readonly FoundKubeconfig[], context: KubeconfigContext): Finding[] {
  return found.flatMap((kubeconfig) => [...judgeOne(kubeconfig, context)]);
}

function* judgeOne(kubeconfig: FoundKubeconfig, context: KubeconfigContext): Generator<Finding> {
  const { file, client, url, server, problem } = kubeconfig;
  const { role, listeners, isAgentRunning, isDaemonSet, isPortHeld } = context;
  if (problem !== undefined) {
    yield finding(
      'kubeconfig',
      'warning',
      `${file} ${problem}`,
      `Run the doctor as root, or check the file: kubectl config view --kubeconfig ${file}`,
    );
    return;
  }
  const isKubelet = client === 'kubelet';
  const where = server ? formatHostPort(server) : url;
  switch (leadsTo(server, listeners)) {
    case 'to Fairlead': {
      if (isKubelet && isDaemonSet)
        yield finding(
          'kubeconfig',
          'error',
          `${file} (${client}) points at ${where}, where a DaemonSet runs the agent: after a reboot kubelet could not learn of that pod`,
          `Run the agent for kubelet as a static pod or a systemd unit (docs/manifests.md), or revert: fairlead kubeconfig point --undo ${file}`,
        );
      else if (isAgentRunning || role === 'control-plane')
        yield finding('kubeconfig', 'ok', `${file} (${client}) points at ${where}`);
      else if (isPortHeld)
        yield finding(
          'kubeconfig',
          'info',
          `${file} (${client}) points at ${where}, where another program answers now`,
        );
      else
        yield finding(
          'kubeconfig',
          'error',
          `${file} (${client}) points at ${where}, where no process listens`,
          `Start Fairlead, or restore the original: fairlead kubeconfig point --undo ${file}`,
        );
      return;
    }
    case 'to another local port': {
      // A control-plane node's clients use the API server beside them.
      const severity = role === 'control-plane' ? 'ok' : isKubelet ? 'error' : 'warning';
      yield finding(
        'kubeconfig',
        severity,
        `${file} (${client}) points at ${where}, which is not a Fairlead listener`,
        severity === 'ok' ? undefined : `fairlead kubeconfig point ${file}`,
      );
      return;
    }
    case 'past Fairlead': {
      if (role === 'control-plane') {
        yield finding(
          'kubeconfig',
          'ok',
          `${file} (${client}) points at ${where}, as it should on a control-plane node`,
        );
        return;
      }
      // Before Fairlead serves this is as it must be.
      const severity = isAgentRunning && isKubelet ? 'warning' : 'info';
      const restart = isKubelet ? ' && systemctl restart kubelet' : '';
      yield finding(
        'kubeconfig',
        severity,
        `${file} (${client}) bypasses Fairlead and points at ${where}`,
        `fairlead kubeconfig point ${file}${restart}`,
      );
      return;
    }
    case 'nowhere known':
      yield finding(
        'kubeconfig',
        'info',
        `${file} (${client}) has the server ${JSON.stringify(url)}, which is not an https URL`,
      );
  }
}

/** Judges the names in /etc/hosts that Fairlead manages. */
export function judgeHosts(hosts: string): Finding[] {
  return [...managedHosts(hosts)].map(([name, addresses]) => {
    const others = addressesOf(hosts, name).filter((address) => !addresses.includes(address));
    if (others.length === 0) return finding('hosts', 'ok', `${name} resolves to ${addresses.join(' and ')}`);
    const what = `/etc/hosts maps ${name} to ${addresses.join(' and ')}, and also to ${others.join(' and ')}`;
    const again = addresses.map((address) => `--address ${address}`).join(' ');
    return finding('hosts', 'warning', what, `fairlead hosts --name ${name} ${again}`);
  });
}

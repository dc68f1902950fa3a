// Keeps kubelet away from an agent that a DaemonSet runs: after a reboot kubelet learns of that pod from an API
// server only, which it would have to reach through the pod.
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { processOn } from '../lib/port-holder.ts';
import { isLoopback } from '../model/host.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';

/** What the agent on the admin address reports; undefined: no answer. */
export interface AnsweringAgent {
  readonly deployment?: string | undefined;
  readonly listeners: readonly { readonly address: string }[];
}

/** kubeadm's and Kubespray's name, wherever the file is; and what lies in kubelet's own directory. */
export function isKubelets(file: string): boolean {
  return /^(bootstrap-)?kubelet\.conf$/.test(basename(file)) || file.startsWith('/var/lib/kubelet/');
}

/** The admin address may be another agent's, so the process that holds the port is asked as well. */
export async function isDaemonSetListener(
  address: HostPort,
  { agent, procDir = '/proc' }: { readonly agent: AnsweringAgent | undefined; readonly procDir?: string },
): Promise<boolean> {
  const listens = agent?.listeners.some((listener) => listener.address === formatHostPort(address));
  if (agent && listens) return agent.deployment === 'daemonset';
  if (!isLoopback(address.host)) return false;
  const holder = await processOn(address.port, procDir);
  if (!holder) return false;
  const environment = await readFile(join(procDir, holder.pid, 'environ'), 'utf8').catch(() => '');
  return environment.split('\0').includes('FAIRLEAD_DEPLOYMENT=daemonset');
}

/** Throws KUBELET_UNSAFE when one of the files is kubelet's and the address a DaemonSet's. */
export async function refuseDaemonSet(
  files: readonly string[],
  address: HostPort,
  agent: AnsweringAgent | undefined,
): Promise<void> {
  const kubelets = files.filter(isKubelets);
  if (kubelets.length === 0 || !(await isDaemonSetListener(address, { agent }))) return;
  throw new FairleadError(
    'KUBELET_UNSAFE',
    `${kubelets.join(', ')} is kubelet's, but the agent at ${formatHostPort(address)} is run by a DaemonSet: after a reboot ` +
      'kubelet could not learn of that pod, and the node would not come back. For kubelet, run the agent as a static pod or a ' +
      'systemd unit (docs/manifests.md), or skip this check with --allow-daemonset',
  );
}

// How many tunnels the process can carry with the descriptors it may open. Node cannot pause accepting: when
// descriptors run out, libuv accepts and closes each client, and the agent's own probes fail. So clients are
// refused earlier, while descriptors are left for everything else.
import { readFile } from 'node:fs/promises';

/** More than any node has local clients; bounds memory at roughly 20 KiB a tunnel. */
const maxUsefulTunnels = 10_000;

/** Runtime (about 30), listeners, probes and watch of a large control plane, admin connections, files. */
const reservedDescriptors = 160;

/** The soft limit in the text of /proc/self/limits; undefined when it has none or it is unlimited. */
export function parseDescriptorLimit(limitsText: string): number | undefined {
  const soft = /^Max open files\s+(\d+)\s/m.exec(limitsText)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

export interface TunnelLimits {
  readonly maxTunnels: number;
  readonly maxHalfOpenDials: number;
}

/** A tunnel needs two descriptors; half-open dials that may lose their race come on top. */
export function tunnelLimitFor(descriptorLimit: number | undefined): TunnelLimits {
  if (descriptorLimit === undefined) return { maxTunnels: maxUsefulTunnels, maxHalfOpenDials: 256 };
  const reserved = Math.min(reservedDescriptors, Math.floor(descriptorLimit / 2));
  const maxHalfOpenDials = Math.min(256, Math.max(4, Math.floor(descriptorLimit / 16)));
  const free = descriptorLimit - reserved - maxHalfOpenDials;
  return { maxTunnels: Math.max(1, Math.min(maxUsefulTunnels, Math.floor(free / 2))), maxHalfOpenDials };
}

/** What this process may do, read from /proc; without /proc the general limit. */
export async function readTunnelLimit(): Promise<TunnelLimits> {
  // No /proc (not Linux) is an expected answer, not a failure.
  const text = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  return tunnelLimitFor(parseDescriptorLimit(text));
}

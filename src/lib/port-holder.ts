// Who listens on a port of this host: Linux says it in /proc. Most of it may be hidden (another user's processes;
// in a pod, all processes but our own, while the sockets of the host network are there): then the user of the socket is
// what is left to name.
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';

const listening = '0A';

export interface PortProcess {
  readonly pid: string;
  readonly name: string;
}

export interface PortHolder {
  /** The users of the listening sockets, each once. */
  readonly uids: readonly number[];
  /** Absent when it cannot be seen. */
  readonly process?: PortProcess;
}

/** Who listens on the port; a holder without users when nothing can be seen. */
export async function holderOf(port: number, procDir = '/proc'): Promise<PortHolder> {
  const inodes = new Set<string>();
  const uids = new Set<number>();
  for (const table of ['tcp', 'tcp6']) {
    const text = await readFile(join(procDir, 'self/net', table), 'utf8').catch(() => '');
    for (const row of text.split('\n').slice(1)) {
      const [, local, , state, , , , uid, , inode] = row.trim().split(/\s+/);
      const isMeant = state === listening && Number.parseInt(local?.split(':')[1] ?? '', 16) === port;
      if (!isMeant || inode === undefined) continue;
      inodes.add(`socket:[${inode}]`);
      uids.add(Number(uid));
    }
  }
  const process = inodes.size === 0 ? undefined : await processWith(inodes, procDir);
  return { uids: [...uids], ...(process && { process }) };
}

/** The process that listens on the port; undefined when it cannot be seen. */
export async function processOn(port: number, procDir: string): Promise<PortProcess | undefined> {
  return (await holderOf(port, procDir)).process;
}

async function processWith(sockets: ReadonlySet<string>, procDir: string): Promise<PortProcess | undefined> {
  for (const pid of await readdir(procDir).catch(() => [])) {
    if (!/^\d+$/.test(pid)) continue;
    const descriptors = join(procDir, pid, 'fd');
    for (const descriptor of await readdir(descriptors).catch(() => [])) {
      const target = await readlink(join(descriptors, descriptor)).catch(() => '');
      if (!sockets.has(target)) continue;
      const name = await readFile(join(procDir, pid, 'comm'), 'utf8').catch(() => '');
      return { pid, name: name.trim() || 'a process' };
    }
  }
  return undefined;
}

/** `nginx (pid 7)`; undefined when nothing of it can be seen. */
export function shownHolder({ uids, process }: PortHolder): string | undefined {
  if (process) return `${process.name} (pid ${process.pid})`;
  if (uids.length === 0) return undefined;
  return `a process of uid ${uids.join(' and ')} that is not visible from here`;
}

/** `10.0.0.1:6443 is already in use by nginx (pid 7)`, and how to learn more where that is not all. */
export async function inUseText(address: HostPort, procDir = '/proc'): Promise<string> {
  const holder = await holderOf(address.port, procDir);
  const by = shownHolder(holder);
  const more = holder.process
    ? ''
    : `; on the node, as root, ss -ltnp 'sport = :${address.port}' shows the process`;
  return `${formatHostPort(address)} is already in use${by === undefined ? '' : ` by ${by}`}${more}`;
}

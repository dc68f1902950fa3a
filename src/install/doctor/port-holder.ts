// Who listens on a port of this host: Linux says it in /proc. Everything here may be unreadable (another
// user's processes, another root); then nobody is named.
import { readdir, readFile, readlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { HostPort } from '../../model/endpoint.ts';
import { codeOf, messageOf } from '../../model/error-text.ts';

export type PortState =
  | { readonly state: 'free' }
  | { readonly state: 'held'; readonly by?: string }
  /** The address family or the address does not exist here. */
  | { readonly state: 'no such address' }
  | { readonly state: 'refused'; readonly problem: string };

/** Binds the address for a moment: nothing else says for sure whether it can be bound. */
export async function portState(address: HostPort, procDir: string): Promise<PortState> {
  const error = await new Promise<unknown>((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen({ ...address, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
  if (error === undefined) return { state: 'free' };
  const code = codeOf(error);
  if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT') return { state: 'no such address' };
  if (code !== 'EADDRINUSE') return { state: 'refused', problem: messageOf(error) };
  const holder = await processOn(address.port, procDir);
  return { state: 'held', ...(holder && { by: `${holder.name} (pid ${holder.pid})` }) };
}

const listening = '0A';

export interface PortProcess {
  readonly pid: string;
  readonly name: string;
}

/** Who listens on the port; undefined when it cannot be seen. */
export async function processOn(port: number, procDir: string): Promise<PortProcess | undefined> {
  const inodes = new Set<string>();
  for (const table of ['tcp', 'tcp6']) {
    const text = await readFile(join(procDir, 'self/net', table), 'utf8').catch(() => '');
    for (const row of text.split('\n').slice(1)) {
      const [, local, , state, , , , , , inode] = row.trim().split(/\s+/);
      const isMeant = state === listening && Number.parseInt(local?.split(':')[1] ?? '', 16) === port;
      if (isMeant && inode !== undefined) inodes.add(`socket:[${inode}]`);
    }
  }
  if (inodes.size === 0) return undefined;
  for (const pid of await readdir(procDir).catch(() => [])) {
    if (!/^\d+$/.test(pid)) continue;
    const descriptors = join(procDir, pid, 'fd');
    for (const descriptor of await readdir(descriptors).catch(() => [])) {
      const target = await readlink(join(descriptors, descriptor)).catch(() => '');
      if (!inodes.has(target)) continue;
      const name = await readFile(join(procDir, pid, 'comm'), 'utf8').catch(() => '');
      return { pid, name: name.trim() || 'a process' };
    }
  }
  return undefined;
}

// net.ipv4.tcp_migrate_req, switched on while one agent hands its port to the next: with it the kernel (Linux
// 5.14 and newer) gives whoever waits in the queue of a socket that closes to another one on the same port,
// instead of resetting it. Put back afterwards; what it was before is on disk meanwhile, in case this process dies.
import { readFile, writeFile } from 'node:fs/promises';
import { messageOf } from '../model/error-text.ts';
import { resolveBelow } from '../lib/below-root.ts';
import { rememberedPath } from './installer-state.ts';
import type { NodeFiles } from './node-files.ts';

const setting = '/proc/sys/net/ipv4/tcp_migrate_req';

/** Undefined, or why it could not be switched on: then a connection in a million may be reset. */
export async function enableTcpMigrateReq(files: NodeFiles): Promise<string | undefined> {
  try {
    const path = await resolveBelow(files.root, setting);
    const before = (await readFile(path, 'utf8')).trim();
    if (before === '1') return undefined;
    await files.put(rememberedPath, Buffer.from(before), 0o600);
    await writeFile(path, '1');
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** Nothing happens where nothing was switched. */
export async function restoreTcpMigrateReq(files: NodeFiles): Promise<void> {
  const before = await files.read(rememberedPath);
  if (before === undefined) return;
  await writeFile(await resolveBelow(files.root, setting), before).catch(() => {}); // read-only now: it stays on
  await files.remove(rememberedPath);
}

// Sockets that are bound already and handed over by whoever starts the agent: systemd's socket activation
// (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS, descriptors from 3 on). The sockets outlive the agent, so that clients who
// come while it starts again wait in their queue. Which address each has is read from /proc.
import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalHost, formatHostPort, type HostPort } from '../../model/endpoint.ts';
import { FairleadError } from '../../model/errors.ts';

export interface InheritedSocket {
  readonly fd: number;
  /** Where it listens. */
  readonly address: HostPort;
}

export interface InheritedInput {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly procDir?: string;
}

const firstFd = 3;
const listening = '0A';

/** An address of /proc/net/tcp and tcp6: words of 32 bits in the order of the machine, which is little-endian. */
function hostOf(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) =>
    (word.match(/../g) ?? []).reverse().map((byte) => Number.parseInt(byte, 16)),
  );
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0)).toString(16),
  );
  return canonicalHost(groups.join(':'));
}

/** Addresses of the listening TCP sockets, by inode. */
function listeningSockets(procDir: string): Map<string, HostPort> {
  const found = new Map<string, HostPort>();
  for (const table of ['tcp', 'tcp6']) {
    let text = '';
    try {
      text = readFileSync(join(procDir, 'self/net', table), 'utf8');
    } catch {
      continue; // a host without IPv6 has no table of it
    }
    for (const row of text.split('\n').slice(1)) {
      const [, local = '', , state, , , , , , inode] = row.trim().split(/\s+/);
      const [host = '', port = ''] = local.split(':');
      if (state === listening && inode !== undefined)
        found.set(inode, { host: hostOf(host), port: Number.parseInt(port, 16) });
    }
  }
  return found;
}

/** Empty when the process was not started so. Throws LISTEN_FAILED for a descriptor that is not a listening TCP socket. */
export function inheritedSockets({ env, pid, procDir = '/proc' }: InheritedInput): InheritedSocket[] {
  if (env.LISTEN_PID !== String(pid)) return [];
  const count = /^\d{1,4}$/.test(env.LISTEN_FDS ?? '') ? Number(env.LISTEN_FDS) : 0;
  const sockets = count > 0 ? listeningSockets(procDir) : new Map<string, HostPort>();
  return Array.from({ length: count }, (_, index) => {
    const fd = firstFd + index;
    let target = '';
    try {
      target = readlinkSync(join(procDir, 'self/fd', String(fd)));
    } catch {
      // Said below.
    }
    const address = sockets.get(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? '');
    if (address) return { fd, address };
    throw new FairleadError(
      'LISTEN_FAILED',
      `descriptor ${fd}, passed by systemd or another program (LISTEN_FDS), is not a listening TCP socket: ` +
        'in the socket unit use ListenStream= with addresses and ports only, and not Accept=yes',
    );
  });
}

/** The descriptor for each of the addresses. Throws LISTEN_FAILED when one is left without a listener. */
export function assignSockets(
  sockets: readonly InheritedSocket[],
  listeners: readonly HostPort[],
): ReadonlyMap<string, number> {
  const wanted = new Set(listeners.map(formatHostPort));
  const assigned = new Map<string, number>();
  for (const { fd, address } of sockets) {
    const where = formatHostPort(address);
    if (!wanted.has(where)) {
      throw new FairleadError(
        'LISTEN_FAILED',
        `a socket on ${where} was passed in (LISTEN_FDS), but no passthrough listener has that address ` +
          `(they have: ${[...wanted].join(', ') || 'none'}): clients would wait there forever; add it to listeners, ` +
          'or remove it from the socket unit',
      );
    }
    assigned.set(where, fd);
  }
  return assigned;
}

// Many clients that stay: verified TLS connections with a client certificate, or plain ones, each with one answered
// request.
import { connect as connectPlain, type Socket } from 'node:net';
import { connect, createSecureContext } from 'node:tls';
import type { HostPort } from '../../src/model/endpoint.ts';
import type { TargetKind } from '../backend.ts';
import type { Workspace } from '../workspace.ts';

export interface OpenConnections {
  /** How many of them are still open. */
  readonly openCount: number;
  close(): Promise<void>;
}

async function openOne(
  address: HostPort,
  context: ReturnType<typeof createSecureContext> | undefined,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const ask = (): unknown => socket.write('GET /readyz HTTP/1.1\r\nHost: bench\r\n\r\n');
    const socket: Socket = context
      ? connect({ ...address, secureContext: context, ALPNProtocols: ['http/1.1'] }, ask)
      : connectPlain(address, ask);
    let head = '';
    socket.setEncoding('latin1');
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed before the answer')));
    socket.on('data', (text: string) => {
      head += text;
      if (!head.includes('\r\n\r\nok')) return;
      if (head.startsWith('HTTP/1.1 200')) resolve(socket);
      else reject(new Error(`unexpected answer: ${head.slice(0, 80)}`));
    });
  });
}

/** Opens `count` connections, 32 at a time; fails when one is not answered with 200. */
export async function openConnections({
  workspace,
  address,
  count,
  target = 'tls',
}: {
  workspace: Workspace;
  address: HostPort;
  target?: TargetKind;
  count: number;
}): Promise<OpenConnections> {
  const { cert, key } = workspace.client;
  const context = target === 'plain' ? undefined : createSecureContext({ ca: workspace.ca.cert, cert, key });
  const sockets: Socket[] = [];
  const isOpen = (socket: Socket): boolean => !socket.destroyed && socket.readable;
  const close = async (): Promise<void> => {
    const open = sockets.filter((socket) => !socket.closed);
    await Promise.all(
      open.map((socket) => new Promise((resolve) => socket.destroy().once('close', resolve))),
    );
  };
  try {
    while (sockets.length < count) {
      const batch = Math.min(32, count - sockets.length);
      const opened = await Promise.all(Array.from({ length: batch }, () => openOne(address, context)));
      sockets.push(...opened);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    get openCount() {
      return sockets.filter(isOpen).length;
    },
    close,
  };
}

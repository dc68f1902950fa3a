// Many clients that stay: verified TLS connections with a client certificate, each with one answered request.
import { connect, createSecureContext, type TLSSocket } from 'node:tls';
import type { HostPort } from '../../src/model/endpoint.ts';
import type { Workspace } from '../workspace.ts';

export interface OpenConnections {
  /** How many of them are still open. */
  readonly openCount: number;
  close(): Promise<void>;
}

async function openOne(
  address: HostPort,
  context: ReturnType<typeof createSecureContext>,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...address, secureContext: context, ALPNProtocols: ['http/1.1'] }, () => {
      socket.write('GET /readyz HTTP/1.1\r\nHost: bench\r\n\r\n');
    });
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
}: {
  workspace: Workspace;
  address: HostPort;
  count: number;
}): Promise<OpenConnections> {
  const { cert, key } = workspace.client;
  const context = createSecureContext({ ca: workspace.ca.cert, cert, key });
  const sockets: TLSSocket[] = [];
  const isOpen = (socket: TLSSocket): boolean => !socket.destroyed && socket.readable;
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

// A TLS server with one certificate, as the API server that a client meets through Fairlead.
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import type { Leaf } from '../credentials/pki.ts';

export interface TlsServer {
  readonly port: number;
  readonly address: string;
  close(): Promise<void>;
}

export async function startTlsServer({ cert, key }: Leaf, host = '127.0.0.1'): Promise<TlsServer> {
  const server = createServer({ cert, key }, (socket) => {
    socket.on('error', () => {});
    socket.resume();
  });
  server.on('tlsClientError', () => {});
  const sockets = new Set<{ destroy(): void }>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    address: `${host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

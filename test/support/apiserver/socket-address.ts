// Addresses of the store and of control ports: `unix:/path` or `host:port` (IPv6 in brackets). Unix sockets
// reach across network namespaces.
import { rmSync } from 'node:fs';
import type { Server } from 'node:net';
import { parseHostPort } from '../../../src/model/endpoint.ts';

/** What `net.connect` and `server.listen` take. */
export type SocketAddressOptions =
  | { readonly path: string }
  | { readonly host: string; readonly port: number };

export function parseSocketAddress(text: string): SocketAddressOptions {
  if (text.startsWith('unix:')) return { path: text.slice('unix:'.length) };
  const parsed = parseHostPort(text, { allowPortZero: true });
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.value;
}

/** Binds and returns the address in the same notation, with the real port. Takes over a Unix socket's file. */
export async function listenOn(server: Server, text: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const options = parseSocketAddress(text);
  // A process that was killed has left its file.
  if ('path' in options) rmSync(options.path, { force: true });
  server.once('error', reject);
  server.listen(options, resolve);
  await promise;
  server.off('error', reject);
  const address = server.address();
  if (typeof address === 'string' || address === null) return text;
  return address.family === 'IPv6'
    ? `[${address.address}]:${address.port}`
    : `${address.address}:${address.port}`;
}

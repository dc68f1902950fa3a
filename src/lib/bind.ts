// Binds a server to an address, with errors that say what to do. For listeners of every kind.
import { createServer, type ListenOptions, type Server } from 'node:net';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import { holderOf, inUseText, shownHolder } from './port-holder.ts';
import { codeOf, messageOf } from '../model/error-text.ts';
import { lacksAddress } from './errno.ts';

/** Connections that the kernel keeps for us while we are busy; net.core.somaxconn may lower it. */
const backlog = 4096;

export interface BindOptions {
  /** An address family that the host lacks is not an error. */
  readonly optional: boolean;
  /** Several processes of one user may share the port (SO_REUSEPORT). */
  readonly reusePort: boolean;
  /** A socket that is bound to the address already, handed over to this process. */
  readonly fd?: number | undefined;
}

/**
 * Resolves with the bound address, which differs from the wanted one when that had port 0; undefined where the host
 * lacks an optional one. Rejects with LISTEN_IN_USE or LISTEN_FAILED.
 */
export async function bind(
  server: Server,
  listen: HostPort,
  { optional, reusePort, fd }: BindOptions,
): Promise<HostPort | undefined> {
  const { host, port } = listen;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const where = fd === undefined ? { host, port, reusePort, ipv6Only: true } : { fd };
      server.listen({ ...where, backlog }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    if (optional && lacksAddress(error)) return undefined;
    throw await listenError(listen, error);
  }
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new TypeError('a TCP server must have an address');
  return { host: bound.address, port: bound.port };
}

export type PortState =
  | { readonly state: 'free' }
  | { readonly state: 'held'; readonly by?: string }
  /** The address family or the address does not exist here. */
  | { readonly state: 'no such address' }
  | { readonly state: 'refused'; readonly problem: string };

/** Binds the address for a moment: nothing else says for sure whether it can be bound. */
export async function portState(address: HostPort, procDir: string): Promise<PortState> {
  const error = await tryToListen({ ...address, exclusive: true });
  if (error === undefined) return { state: 'free' };
  if (lacksAddress(error)) return { state: 'no such address' };
  if (codeOf(error) !== 'EADDRINUSE') return { state: 'refused', problem: messageOf(error) };
  const by = shownHolder(await holderOf(address.port, procDir));
  return { state: 'held', ...(by !== undefined && { by }) };
}

/** Whether another process has the address: only then must a process share it to bind it. */
export async function isHeld({ host, port }: HostPort): Promise<boolean> {
  return codeOf(await tryToListen({ host, port, ipv6Only: true })) === 'EADDRINUSE';
}

/** The error of the bind; undefined when it worked, and the address is free again. */
function tryToListen(options: ListenOptions): Promise<unknown> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', resolve);
    server.listen(options, () => server.close(() => resolve(undefined)));
  });
}

/** LISTEN_IN_USE or LISTEN_FAILED. `what`: the setting, where it is not one of the listeners. */
export async function listenError(listen: HostPort, error: unknown, what?: string): Promise<FairleadError> {
  const start = what === undefined ? '' : `${what}: `;
  if (codeOf(error) === 'EADDRINUSE') {
    const elsewhere = what === undefined ? 'listen elsewhere with --listen' : 'choose another address';
    const message = `${start}${await inUseText(listen)}. Stop it, or ${elsewhere}`;
    return new FairleadError('LISTEN_IN_USE', message, { cause: error });
  }
  const why = lacksAddress(error)
    ? 'this host has no such address'
    : codeOf(error) === 'EACCES'
      ? 'this user may not bind the port; choose one above 1023 or grant CAP_NET_BIND_SERVICE'
      : messageOf(error);
  const message = `${start}cannot listen on ${formatHostPort(listen)}: ${why}`;
  return new FairleadError('LISTEN_FAILED', message, { cause: error });
}

// Binds a server to an address, with errors that say what to do. For listeners of every kind.
import { createServer, type Server } from 'node:net';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import { inUseText } from '../model/port-holder.ts';

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
    const { code } = error as NodeJS.ErrnoException;
    if (optional && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) return undefined;
    throw await listenError(listen, error as NodeJS.ErrnoException);
  }
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new TypeError('a TCP server has an address');
  return { host: bound.address, port: bound.port };
}

/** Whether another process has the address: only then can nobody bind it who does not share. */
export async function isHeld({ host, port }: HostPort): Promise<boolean> {
  const server = createServer();
  const error = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    server.once('error', resolve);
    server.listen({ host, port, ipv6Only: true }, () => resolve(undefined));
  });
  if (error) return error.code === 'EADDRINUSE';
  await new Promise((resolve) => server.close(resolve));
  return false;
}

async function listenError(listen: HostPort, error: NodeJS.ErrnoException): Promise<FairleadError> {
  const where = formatHostPort(listen);
  if (error.code === 'EADDRINUSE') {
    return new FairleadError(
      'LISTEN_IN_USE',
      `${await inUseText(listen)}. Stop it, or listen elsewhere with --listen`,
      { cause: error },
    );
  }
  const why =
    error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT'
      ? 'this host has no such address'
      : error.code === 'EACCES'
        ? 'this user may not bind the port; choose one above 1023 or grant CAP_NET_BIND_SERVICE'
        : error.message;
  return new FairleadError('LISTEN_FAILED', `cannot listen on ${where}: ${why}`, { cause: error });
}

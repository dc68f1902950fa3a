// A local address that accepts clients. Accepted connections are taken as raw handles from Node's server, because
// net.Server gives no way to read them into our own buffers; where a Node version does not offer that, the
// ordinary sockets of net.Server are used, at the price of memory and speed.
import { createServer, type Server, type Socket } from 'node:net';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { bind } from '../lib/bind.ts';
import type { TunnelTable } from './tunnel-table.ts';
import type { AcceptPolicy } from './tunnel/accept-policy.ts';
import type { ClientHandle } from './socket/node-handles.ts';
import type { Picker } from '../model/snapshot.ts';

export interface PassthroughListenerDeps {
  readonly listen: HostPort;
  readonly picker: Picker;
  readonly table: TunnelTable;
  /** An address that the host lacks is not an error: the listener is left out, for the caller to try again. */
  readonly optional?: boolean;
  /** Several processes of one user may share the port (SO_REUSEPORT). */
  readonly reusePort?: boolean;
  /** A socket that is bound to `listen` already. */
  readonly fd?: number | undefined;
  /** First flights that are not TLS may be sent to a second endpoint too. */
  readonly replayNonTls?: boolean;
  /** Which clients are accepted, and how many; absent: all. */
  readonly policy?: AcceptPolicy;
  /** Each connection to an endpoint begins with a PROXY protocol header. */
  readonly sendProxy?: boolean;
}

export interface PassthroughListener {
  /** The bound address; differs from the wanted one when that had port 0. */
  readonly address: HostPort;
  /** Accepts no more clients; tunnels stay. Idempotent. */
  stopAccepting(): Promise<void>;
}

/** The part of Node's server that has no public name. Missing in some version: the fallback is used. */
interface ServerHandle {
  onconnection?: (status: number, handle: ClientHandle | undefined) => void;
}

/** Resolves when the address is bound; undefined when an optional listener is left out. */
export async function startPassthroughListener({
  listen,
  picker,
  table,
  optional = false,
  reusePort = false,
  fd,
  replayNonTls = false,
  sendProxy = false,
  policy,
}: PassthroughListenerDeps): Promise<PassthroughListener | undefined> {
  const options = { picker, replayNonTls, sendProxy, ...(policy && { policy }) };
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
  const address = await bind(server, listen, { optional, reusePort, fd });
  if (address === undefined) return undefined;
  table.ownAddresses.add(address);
  server.on('error', (error) => table.acceptFailed(formatHostPort(address), error));
  let accepted = 0;
  takeConnections(server, (connection) => {
    accepted += 1;
    table.accept(connection, options);
  });

  return {
    address,
    async stopAccepting() {
      if (reusePort) await quietTurn(() => accepted);
      if (!server.listening) return;
      table.ownAddresses.remove(address);
      // Frees the port at once. Its callback would wait for clients where net.Server counts them.
      server.close();
    },
  };
}

/** After this many turns of the event loop it closes anyway. */
const maxTurns = 2_000;

/**
 * Resolves right behind a poll phase that had no client for us. Closing a socket resets every client that waits
 * in its queue, though another process listens on the same port, and so the close must come when the queue is empty. What
 * is left is the time of a few system calls; net.ipv4.tcp_migrate_req=1 closes that gap too (docs/cluster.md).
 */
async function quietTurn(acceptedSoFar: () => number): Promise<void> {
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  await turn();
  for (let turns = 0; turns < maxTurns; turns += 1) {
    const before = acceptedSoFar();
    await turn();
    if (acceptedSoFar() === before) return;
  }
}

function takeConnections(server: Server, accept: (connection: ClientHandle | Socket) => void): void {
  const { _handle: handle } = server as unknown as { _handle?: ServerHandle };
  const original = handle?.onconnection;
  if (handle === undefined || typeof original !== 'function') {
    server.on('connection', accept);
    return;
  }
  handle.onconnection = function onconnection(status, client) {
    if (status !== 0 || client === undefined) original.call(this, status, client);
    else accept(client);
  };
}

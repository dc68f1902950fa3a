// Makes the connections of a process and counts them: on bare handles where Node has passed the check (handle-check.ts), on
// net.Socket before that and otherwise. Both kinds may live at once.
import type { Socket } from 'node:net';
import type { Endpoint } from '../../model/endpoint.ts';
import { TcpHandleConnection, type TcpHandleContext } from './tcp-handle-connection.ts';
import type { Connection, ConnectionOwner } from './connection.ts';
import type { ClientHandle, NodeHandles } from './node-handles.ts';
import type { ReadBuffers } from './read-buffers.ts';
import { NetSocketConnections } from './net-socket-connection.ts';

export class ConnectionFactory {
  /** Connections whose descriptor is not closed yet. */
  openConnections = 0;
  readonly #buffers: ReadBuffers;
  readonly #sockets: NetSocketConnections;
  #handles: TcpHandleContext | undefined;
  #onAllClosed: (() => void)[] = [];

  constructor(buffers: ReadBuffers) {
    this.#buffers = buffers;
    this.#sockets = new NetSocketConnections(buffers, () => this.#forget());
  }

  /** From now on new connections are made on bare handles. */
  useHandles(node: NodeHandles): void {
    this.#handles = { node, buffers: this.#buffers, forget: () => this.#forget() };
  }

  /** Starts connecting. The owner hears `connectionOpened`, or `connectionFailed` and `connectionClosed`. */
  connect(endpoint: Endpoint, owner: ConnectionOwner): Connection {
    this.openConnections += 1;
    if (this.#handles) return TcpHandleConnection.connect(this.#handles, endpoint, owner);
    return this.#sockets.connect(endpoint, owner);
  }

  /** Takes an accepted connection, given as the handle that net.Server gets. */
  accept(handle: ClientHandle, owner: ConnectionOwner): Connection {
    this.openConnections += 1;
    // An inherited listener may be of another family than TCP.
    if (this.#handles && handle instanceof this.#handles.node.TcpHandle) {
      return TcpHandleConnection.accept(this.#handles, handle, owner);
    }
    return this.#sockets.accept(handle, owner);
  }

  /** The same for an ordinary socket of net.Server, which must have been made half-open and paused. */
  adopt(socket: Socket, owner: ConnectionOwner): Connection {
    this.openConnections += 1;
    return this.#sockets.adopt(socket, owner);
  }

  #forget(): void {
    this.openConnections -= 1;
    if (this.openConnections === 0) for (const resolve of this.#onAllClosed.splice(0)) resolve();
  }

  /** Resolves when no socket is left. */
  allClosed(): Promise<void> {
    if (this.openConnections === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onAllClosed.push(resolve));
  }
}

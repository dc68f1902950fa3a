// Makes the legs of a process and counts them: on bare handles where Node has passed the check (handle-check.ts), on
// net.Socket before that and otherwise. Both kinds may live at once.
import type { Socket } from 'node:net';
import type { Endpoint } from '../../model/endpoint.ts';
import { HandleLeg, type HandleLegHome } from './tcp-handle-connection.ts';
import type { Leg, LegMaker, LegOwner } from './connection.ts';
import type { ClientHandle, NodeHandles } from './node-handles.ts';
import type { ReadBuffers } from './read-buffers.ts';
import { SocketLegs } from './net-socket-connection.ts';

export class LegMakers implements LegMaker {
  openLegs = 0;
  readonly #buffers: ReadBuffers;
  readonly #sockets: SocketLegs;
  #handles: HandleLegHome | undefined;
  #onAllClosed: (() => void)[] = [];

  constructor(buffers: ReadBuffers) {
    this.#buffers = buffers;
    this.#sockets = new SocketLegs(buffers, this);
  }

  /** From now on new legs are made on bare handles. */
  useHandles(node: NodeHandles): void {
    this.#handles = { node, buffers: this.#buffers, forget: () => this.forget() };
  }

  connect(endpoint: Endpoint, owner: LegOwner): Leg {
    this.openLegs += 1;
    if (this.#handles) return HandleLeg.connect(this.#handles, endpoint, owner);
    return this.#sockets.connect(endpoint, owner);
  }

  /** Takes over an accepted connection, given as the handle that net.Server gets. */
  accept(handle: ClientHandle, owner: LegOwner): Leg {
    this.openLegs += 1;
    // An inherited listener may be of another family than TCP.
    if (this.#handles && handle instanceof this.#handles.node.TcpHandle) {
      return HandleLeg.accept(this.#handles, handle, owner);
    }
    return this.#sockets.accept(handle, owner);
  }

  /** The same for an ordinary socket of net.Server, which must have been made half-open and paused. */
  adopt(socket: Socket, owner: LegOwner): Leg {
    this.openLegs += 1;
    return this.#sockets.adopt(socket, owner);
  }

  forget(): void {
    this.openLegs -= 1;
    if (this.openLegs === 0) for (const resolve of this.#onAllClosed.splice(0)) resolve();
  }

  /** Resolves when no socket is left. */
  allClosed(): Promise<void> {
    if (this.openLegs === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onAllClosed.push(resolve));
  }
}

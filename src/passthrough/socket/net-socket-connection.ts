// Connections on net.Socket: what every Node has. Listeners are functions shared by all connections, so that a connection
// costs no closures. tcp-handle-connection.ts does the same for less, where Node's internals pass handle-check.ts.
import { Socket, type SocketConstructorOpts } from 'node:net';
import type { Endpoint } from '../../model/endpoint.ts';
import { type Connection, type ConnectionOwner, noOwner } from './connection.ts';
import type { ClientHandle } from './node-handles.ts';
import type { ReadBuffers } from './read-buffers.ts';

const nothing = Buffer.alloc(0);

class NetSocketConnection extends Socket implements Connection {
  owner: ConnectionOwner;
  ownBuffer: Buffer | undefined = undefined;
  isStaged = false;
  readonly #forget: () => void;
  #drained: ((error?: Error | null) => void) | undefined;

  constructor(options: SocketConstructorOpts, forget: () => void, owner: ConnectionOwner) {
    super(options);
    this.owner = owner;
    this.#forget = forget;
  }

  /**
   * The events that the data path lives by go straight to the owner. Six listeners and their dispatch for each
   * tunnel were a measurable part of a short connection's cost. No other code listens to these: a half-open socket's
   * own listener of 'end' has nothing to do.
   */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    switch (event) {
      case 'end':
        this.owner.connectionEnded(this);
        return true;
      case 'error':
        this.owner.connectionFailed(this, args[0] as NodeJS.ErrnoException);
        return true;
      case 'close':
        this.#closed();
        return true;
      case 'connect':
        super.emit(event);
        this.owner.connectionOpened(this);
        return true;
      default:
        return super.emit(event, ...args);
    }
  }

  notifyWhenDrained(): void {
    // 'drain' would need a low high-water mark, and then comes after every single write. An empty write behind
    // the pending one costs nothing until it is needed.
    this.#drained ??= (error) => {
      if (!error && !this.destroyed) this.owner.connectionDrained(this);
    };
    this.write(nothing, this.#drained);
  }

  hasPeer(): boolean {
    return hasPeer(this);
  }

  override resetAndDestroy(): this {
    if (!isShuttingDown(this)) return super.resetAndDestroy();
    // See isShuttingDown. With nothing left to write the FIN goes out within this turn of the loop.
    if (this.writableLength > 0) return this.destroy();
    return this.once('finish', () => super.resetAndDestroy());
  }

  #closed(): void {
    const { owner } = this;
    this.owner = noOwner;
    this.#forget();
    owner.connectionClosed(this);
  }
}

/**
 * The FIN has been asked for and is not out yet. In that state libuv refuses to close with a RST, Node reports
 * EINVAL, and the handle is never closed at all: the descriptor leaks, and the process spins in its exit
 * (uv_tcp_close_reset; seen with Node 26.10).
 */
function isShuttingDown(socket: Socket): boolean {
  return socket.writableEnded && !socket.writableFinished && !socket.destroyed;
}

/** `remoteAddress` is kept by Node after the first look; the handle asks the kernel. */
function hasPeer(socket: Socket): boolean {
  const { _handle: handle } = socket as unknown as { _handle?: { getpeername?(out: object): number } | null };
  return handle?.getpeername === undefined || handle.getpeername({}) === 0;
}

/** `net` calls `onread.callback` as a method of the socket; TypeScript's declaration does not say so. */
function onBytes(this: unknown, byteCount: number, buffer: Uint8Array): boolean {
  const connection = this as NetSocketConnection;
  return connection.owner.connectionRead(connection, buffer as Buffer, byteCount);
}

/** Never reached by one write, so that `write` needs no drain event; see `notifyWhenDrained`. */
const highWaterMark = 16 * 1024 * 1024;

export class NetSocketConnections {
  readonly #forget: () => void;
  readonly #buffers: ReadBuffers;
  readonly #acceptOptions: Omit<SocketConstructorOpts, 'handle'> & { handle?: ClientHandle };
  readonly #connectOptions: SocketConstructorOpts;

  constructor(buffers: ReadBuffers, forget: () => void) {
    this.#forget = forget;
    this.#buffers = buffers;
    const streamOptions = { writableHighWaterMark: highWaterMark };
    const halfOpen = { allowHalfOpen: true, onread: { buffer: buffers.next, callback: onBytes } };
    this.#acceptOptions = { ...streamOptions, ...halfOpen };
    // Not for accepted sockets: there the option makes a later setNoDelay(true) a no-op without setting anything.
    this.#connectOptions = { ...streamOptions, ...halfOpen, noDelay: true };
  }

  connect(endpoint: Endpoint, owner: ConnectionOwner): Connection {
    const connection = new NetSocketConnection(this.#connectOptions, this.#forget, owner);
    this.#buffers.prepareNewSocket();
    connection.connect({ host: endpoint.host, port: endpoint.port, autoSelectFamily: false });
    return connection;
  }

  /** Takes an accepted connection, given as the handle that net.Server gets. */
  accept(handle: ClientHandle, owner: ConnectionOwner): Connection {
    this.#buffers.prepareNewSocket(this.#buffers.firstRead);
    // `handle` is what net.Server itself passes; @types/node declares only its other use.
    // The options object is copied by the constructor, so one is enough.
    this.#acceptOptions.handle = handle;
    const connection = new NetSocketConnection(
      this.#acceptOptions as SocketConstructorOpts,
      this.#forget,
      owner,
    );
    connection.setNoDelay(true);
    return connection;
  }

  /** The same for an ordinary socket of net.Server, which must have been made half-open and paused. */
  adopt(socket: Socket, owner: ConnectionOwner): Connection {
    const connection: Connection = Object.assign(socket, {
      owner,
      ownBuffer: undefined,
      isStaged: false,
      hasPeer: () => hasPeer(socket),
      notifyWhenDrained() {
        socket.write(nothing, (error) => {
          if (!error && !socket.destroyed) connection.owner.connectionDrained(connection);
        });
      },
      resetAndDestroy() {
        return isShuttingDown(socket) ? socket.destroy() : Socket.prototype.resetAndDestroy.call(socket);
      },
    });
    socket.on('data', (chunk: Buffer) => {
      if (!connection.owner.connectionRead(connection, chunk, chunk.length)) socket.pause();
    });
    socket.on('end', () => connection.owner.connectionEnded(connection));
    socket.on('error', (error) => connection.owner.connectionFailed(connection, error));
    socket.on('close', () => {
      const { owner: last } = connection;
      connection.owner = noOwner;
      this.#forget();
      last.connectionClosed(connection);
    });
    socket.resume();
    return connection;
  }
}

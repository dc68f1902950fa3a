// One TCP connection of a tunnel, to the client or to an endpoint: a net.Socket that reads into buffers that
// we manage (see read-buffers.ts) and calls its owner directly. Listeners are functions shared by all legs, so
// that a connection costs no closures. The owner may change during the life of a leg.
import { Socket, type SocketConstructorOpts } from 'node:net';
import type { Endpoint } from '../model/endpoint.ts';
import type { ReadBuffers } from './read-buffers.ts';

/** Who decides what happens with a leg. None of these is called after `legClosed`. */
export interface LegOwner {
  legConnected(leg: Leg): void;
  /**
   * Bytes have come: the first `byteCount` of `buffer`, which is valid until this returns unless it is the
   * leg's own. Returns false to pause reading.
   */
  legRead(leg: Leg, buffer: Buffer, byteCount: number): boolean;
  /** Everything written so far has been taken by the kernel; called after `notifyWhenDrained`. */
  legDrained(leg: Leg): void;
  /** The other side has sent its FIN. */
  legEnded(leg: Leg): void;
  legFailed(leg: Leg, error: NodeJS.ErrnoException): void;
  /** The socket is gone, after an error or after both sides have ended. */
  legClosed(leg: Leg): void;
}

/** What a tunnel needs of a socket; tests have one without a socket. */
export interface Leg {
  owner: LegOwner;
  /** A read buffer that only this leg uses, while it has one. */
  ownBuffer: Buffer | undefined;
  readonly writableLength: number;
  readonly destroyed: boolean;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  setKeepAlive(enable: boolean, delayMs: number, intervalMs: number, count: number): unknown;
  write(bytes: Uint8Array): boolean;
  notifyWhenDrained(): void;
  /** Starts reading again after a pause. */
  resume(): unknown;
  /** Sends a FIN after what has been written. */
  end(): unknown;
  /** Sends what has been written, then closes both directions. */
  destroySoon(): void;
  /** Closes at once, dropping what has not been sent. */
  destroy(): unknown;
  /** Closes at once with a RST. */
  resetAndDestroy(): unknown;
}

/** Owns legs that nobody waits for any more. */
export const nobody: LegOwner = {
  legConnected() {},
  legRead: () => true,
  legDrained() {},
  legEnded() {},
  legFailed() {},
  legClosed() {},
};

const nothing = Buffer.alloc(0);

class SocketLeg extends Socket implements Leg {
  owner: LegOwner;
  ownBuffer: Buffer | undefined = undefined;
  readonly maker: SocketLegMaker;
  #drained: ((error?: Error | null) => void) | undefined;

  constructor(options: SocketConstructorOpts, maker: SocketLegMaker, owner: LegOwner) {
    super(options);
    this.owner = owner;
    this.maker = maker;
  }

  /**
   * The events that the data path lives by go straight to the owner. Six listeners and their dispatch for each
   * tunnel were a measurable part of a short connection's cost. Nobody else listens to these: a half-open socket's
   * own listener of 'end' has nothing to do.
   */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    switch (event) {
      case 'end':
        this.owner.legEnded(this);
        return true;
      case 'error':
        this.owner.legFailed(this, args[0] as NodeJS.ErrnoException);
        return true;
      case 'close':
        this.#closed();
        return true;
      case 'connect':
        super.emit(event);
        this.owner.legConnected(this);
        return true;
      default:
        return super.emit(event, ...args);
    }
  }

  notifyWhenDrained(): void {
    // 'drain' would need a low high-water mark, and then comes after every single write. An empty write behind
    // the pending one costs nothing until it is needed.
    this.#drained ??= (error) => {
      if (!error && !this.destroyed) this.owner.legDrained(this);
    };
    this.write(nothing, this.#drained);
  }

  override resetAndDestroy(): this {
    if (!isShuttingDown(this)) return super.resetAndDestroy();
    // See isShuttingDown. With nothing left to write the FIN goes out within this turn of the loop.
    if (this.writableLength > 0) return this.destroy();
    return this.once('finish', () => super.resetAndDestroy());
  }

  #closed(): void {
    const { owner } = this;
    this.owner = nobody;
    this.maker.forget();
    owner.legClosed(this);
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

/** `net` calls `onread.callback` as a method of the socket; TypeScript's declaration does not say so. */
function onBytes(this: unknown, byteCount: number, buffer: Uint8Array): boolean {
  const leg = this as SocketLeg;
  return leg.owner.legRead(leg, buffer as Buffer, byteCount);
}

/** Never reached by one write, so that `write` needs no drain event; see `notifyWhenDrained`. */
const highWaterMark = 16 * 1024 * 1024;

/** A raw connection as Node's TCP server handle passes it on; only ever given back to `net.Socket`. */
export type ClientHandle = object;

export interface LegMaker {
  /** Sockets that are not closed yet. */
  readonly openLegs: number;
  /** Starts connecting. The owner hears `legConnected`, or `legFailed` and `legClosed`. */
  connect(endpoint: Endpoint, owner: LegOwner): Leg;
}

export class SocketLegMaker implements LegMaker {
  openLegs = 0;
  readonly #buffers: ReadBuffers;
  readonly #acceptOptions: Omit<SocketConstructorOpts, 'handle'> & { handle?: ClientHandle };
  readonly #connectOptions: SocketConstructorOpts;
  #onAllClosed: (() => void)[] = [];

  constructor(buffers: ReadBuffers) {
    this.#buffers = buffers;
    const streamOptions = { writableHighWaterMark: highWaterMark };
    const halfOpen = { allowHalfOpen: true, onread: { buffer: buffers.next, callback: onBytes } };
    this.#acceptOptions = { ...streamOptions, ...halfOpen };
    // Not for accepted sockets: there the option makes a later setNoDelay(true) a no-op without setting anything.
    this.#connectOptions = { ...streamOptions, ...halfOpen, noDelay: true };
  }

  connect(endpoint: Endpoint, owner: LegOwner): Leg {
    const leg = new SocketLeg(this.#connectOptions, this, owner);
    this.openLegs += 1;
    this.#buffers.prepareNewSocket();
    leg.connect({ host: endpoint.host, port: endpoint.port, autoSelectFamily: false });
    return leg;
  }

  /** Takes over an accepted connection, given as the handle that net.Server gets. */
  accept(handle: ClientHandle, owner: LegOwner): Leg {
    this.#buffers.prepareNewSocket();
    // `handle` is what net.Server itself passes; @types/node declares only its other use.
    // The options object is copied by the constructor, so one is enough.
    this.#acceptOptions.handle = handle;
    const leg = new SocketLeg(this.#acceptOptions as SocketConstructorOpts, this, owner);
    this.openLegs += 1;
    leg.setNoDelay(true);
    return leg;
  }

  /** The same for an ordinary socket of net.Server, which must have been made half-open and paused. */
  adopt(socket: Socket, owner: LegOwner): Leg {
    const leg: Leg = Object.assign(socket, {
      owner,
      ownBuffer: undefined,
      notifyWhenDrained() {
        socket.write(nothing, (error) => {
          if (!error && !socket.destroyed) leg.owner.legDrained(leg);
        });
      },
      resetAndDestroy() {
        return isShuttingDown(socket) ? socket.destroy() : Socket.prototype.resetAndDestroy.call(socket);
      },
    });
    this.openLegs += 1;
    socket.on('data', (chunk: Buffer) => {
      if (!leg.owner.legRead(leg, chunk, chunk.length)) socket.pause();
    });
    socket.on('end', () => leg.owner.legEnded(leg));
    socket.on('error', (error) => leg.owner.legFailed(leg, error));
    socket.on('close', () => {
      const { owner: last } = leg;
      leg.owner = nobody;
      this.forget();
      last.legClosed(leg);
    });
    socket.resume();
    return leg;
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

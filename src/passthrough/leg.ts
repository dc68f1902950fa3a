// One TCP connection of a tunnel, to the client or to an endpoint: a net.Socket that reads into buffers that
// we manage (see read-buffers.ts) and calls its owner directly. Listeners are functions shared by all legs, so
// that a connection costs no closures. The owner may change during the life of a leg.
import { Socket, type SocketConstructorOpts } from 'node:net';
import type { Endpoint } from '../model/endpoint.ts';
import type { PassthroughOptions } from './options.ts';
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
    this.on('end', onEnd);
    this.on('error', onError);
    this.on('close', onClose);
  }

  notifyWhenDrained(): void {
    // 'drain' would need a low high-water mark, and then comes after every single write. An empty write behind
    // the pending one costs nothing until it is needed.
    this.#drained ??= (error) => {
      if (!error && !this.destroyed) this.owner.legDrained(this);
    };
    this.write(nothing, this.#drained);
  }
}

function onConnect(this: SocketLeg): void {
  this.owner.legConnected(this);
}

function onEnd(this: SocketLeg): void {
  this.owner.legEnded(this);
}

function onError(this: SocketLeg, error: NodeJS.ErrnoException): void {
  this.owner.legFailed(this, error);
}

function onClose(this: SocketLeg): void {
  const { owner } = this;
  this.owner = nobody;
  this.maker.forget(this);
  owner.legClosed(this);
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
  readonly #options: PassthroughOptions;
  readonly #acceptOptions: SocketConstructorOpts;
  readonly #connectOptions: SocketConstructorOpts;
  #onAllClosed: (() => void)[] = [];

  constructor(buffers: ReadBuffers, options: PassthroughOptions) {
    this.#buffers = buffers;
    this.#options = options;
    const streamOptions = { writableHighWaterMark: highWaterMark };
    this.#acceptOptions = {
      ...streamOptions,
      allowHalfOpen: true,
      onread: { buffer: buffers.next, callback: onBytes },
    };
    // Not for accepted sockets: there the option makes a later setNoDelay(true) a no-op without setting anything.
    this.#connectOptions = { ...this.#acceptOptions, noDelay: true };
  }

  connect(endpoint: Endpoint, owner: LegOwner): Leg {
    const leg = new SocketLeg(this.#connectOptions, this, owner);
    this.openLegs += 1;
    leg.on('connect', onConnect);
    this.#setKeepAlive(leg);
    this.#buffers.prepareNewSocket();
    leg.connect({ host: endpoint.host, port: endpoint.port, autoSelectFamily: false });
    return leg;
  }

  /** Takes over an accepted connection, given as the handle that net.Server gets. */
  accept(handle: ClientHandle, owner: LegOwner): Leg {
    this.#buffers.prepareNewSocket();
    // `handle` is what net.Server itself passes; @types/node declares only its other use.
    const options = { ...this.#acceptOptions, handle } as SocketConstructorOpts;
    const leg = new SocketLeg(options, this, owner);
    this.openLegs += 1;
    leg.setNoDelay(true);
    this.#setKeepAlive(leg);
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
      this.forget(leg);
      last.legClosed(leg);
    });
    this.#setKeepAlive(socket);
    socket.resume();
    return leg;
  }

  forget(leg: Leg): void {
    this.openLegs -= 1;
    if (leg.ownBuffer) {
      this.#buffers.release(leg.ownBuffer);
      leg.ownBuffer = undefined;
    }
    if (this.openLegs === 0) for (const resolve of this.#onAllClosed.splice(0)) resolve();
  }

  /** Resolves when no socket is left. */
  allClosed(): Promise<void> {
    if (this.openLegs === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onAllClosed.push(resolve));
  }

  #setKeepAlive(leg: Socket): void {
    const { keepAliveDelayMs, keepAliveIntervalMs, keepAliveCount } = this.#options;
    leg.setKeepAlive(true, keepAliveDelayMs, keepAliveIntervalMs, keepAliveCount);
  }
}

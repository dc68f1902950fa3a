// One TCP connection of a tunnel, to the client or to an endpoint, as the data path sees it. It reads into buffers
// that we manage (see read-buffers.ts) and calls its owner directly; the owner may change during its life. There are
// two kinds: handle-leg.ts on Node's bare TCP handles, and socket-leg.ts on net.Socket (leg-makers.ts chooses).
import type { Endpoint } from '../../model/endpoint.ts';

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
  /** The bytes must stay as they are until `writableLength` is 0 again. */
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

export interface LegMaker {
  /** Sockets that are not closed yet. */
  readonly openLegs: number;
  /** Starts connecting. The owner hears `legConnected`, or `legFailed` and `legClosed`. */
  connect(endpoint: Endpoint, owner: LegOwner): Leg;
}

/** What one leg needs of its maker. */
export interface LegHome {
  /** The leg's descriptor is closed. */
  forget(): void;
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

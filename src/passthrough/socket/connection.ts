// One TCP connection of a tunnel, to the client or to an endpoint, as the data path sees it. It reads into buffers
// that we manage (see read-buffers.ts) and calls its owner directly; the owner may change during its life. There are
// two kinds: tcp-handle-connection.ts on Node's bare TCP handles, and net-socket-connection.ts on net.Socket
// (connection-factory.ts chooses).

/** Who decides what happens with a connection. None of these is called after `connectionClosed`. */
export interface ConnectionOwner {
  connectionOpened(connection: Connection): void;
  /**
   * Bytes have come: the first `byteCount` of `buffer`, which is valid until this returns unless it is the
   * connection's own. Returns false to pause reading.
   */
  connectionRead(connection: Connection, buffer: Buffer, byteCount: number): boolean;
  /** Everything written so far has been taken by the kernel; called after `notifyWhenDrained`. */
  connectionDrained(connection: Connection): void;
  /** The other side has sent its FIN. */
  connectionEnded(connection: Connection): void;
  connectionFailed(connection: Connection, error: NodeJS.ErrnoException): void;
  /** The socket is gone, after an error or after both sides have ended. */
  connectionClosed(connection: Connection): void;
}

/** What a tunnel needs of a socket; tests have one without a socket. */
export interface Connection {
  owner: ConnectionOwner;
  /** A read buffer that only this connection uses, while it has one. */
  ownBuffer: Buffer | undefined;
  /** What it has read last waits in a staging buffer of its own. */
  isStaged: boolean;
  readonly writableLength: number;
  readonly destroyed: boolean;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  /** False once the other side has reset the connection or has been given up by keepalive, reading or not. */
  hasPeer(): boolean;
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

/** Owns connections that are of no interest any more. */
export const noOwner: ConnectionOwner = {
  connectionOpened() {},
  connectionRead: () => true,
  connectionDrained() {},
  connectionEnded() {},
  connectionFailed() {},
  connectionClosed() {},
};

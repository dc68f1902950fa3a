// The part of spdy-transport that the stand-in uses; it comes without types.
declare module 'spdy-transport' {
  import type { EventEmitter } from 'node:events';
  import type { Duplex } from 'node:stream';

  interface SpdyStream extends Duplex {
    readonly headers: Record<string, string>;
    respond(status: number, headers: Record<string, string>, callback?: () => void): void;
    close(): void;
  }

  interface SpdyConnection extends EventEmitter {
    readonly _spdyState: {
      readonly parser: {
        parseKVs(
          buffer: unknown,
          callback: (error: Error | null, headers: Record<string, string>) => void,
        ): void;
      };
    };
    start(version: number): void;
    on(event: 'stream', listener: (stream: SpdyStream) => void): this;
    on(event: 'error' | 'close', listener: (error?: Error) => void): this;
  }

  export const connection: {
    create(socket: Duplex, options: { protocol: 'spdy'; isServer: boolean }): SpdyConnection;
  };
}

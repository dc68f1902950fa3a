// Memory that sockets read into. All connections share one buffer, because a read is handled before the next one
// starts; only a connection whose bytes could not be handed on at once, or that is in the middle of a bulk transfer,
// holds a buffer of its own. So 500 idle tunnels cost no read memory at all, and bulk needs no allocation.

import { MemoryLedger } from './memory-ledger.ts';

/** Large enough that the per-read cost vanishes, small enough for a cache. */
export const readBufferBytes = 64 * 1024;

/** A new client's reads, until it sends in bulk. */
export const firstReadBytes = 16 * 1024;

/** Up to this size a read is copied into a small buffer, which is free again when the write has taken all of it. */
export const smallReadBytes = 4096;

/** Own buffers that are kept for later; the rest is left to the garbage collector. */
const maxSpareBuffers = 16;

export class ReadBuffers {
  /** Its bytes are valid only until the read callback returns. */
  readonly shared = Buffer.allocUnsafeSlow(readBufferBytes);
  /** The front of `shared`: a new client is read into it, so that a first flight brings no more than may be kept. */
  readonly firstRead = this.shared.subarray(0, firstReadBytes);
  /** Where small reads are copied to before they are written: nearly always the kernel takes them at once. */
  staging = Buffer.allocUnsafeSlow(smallReadBytes);
  readonly #memory: MemoryLedger;
  readonly #spare: Buffer[] = [];
  #next: Uint8Array | undefined;

  constructor(memory = new MemoryLedger()) {
    this.#memory = memory;
  }

  /** A fast transfer may keep its buffer between reads. */
  get mayKeep(): boolean {
    return this.#memory.mayKeepBuffers;
  }

  take(): Buffer {
    this.#memory.hold('readBuffers', readBufferBytes);
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(readBufferBytes);
  }

  release(buffer: Buffer): void {
    this.#memory.release('readBuffers', readBufferBytes);
    if (this.#spare.length < maxSpareBuffers) this.#spare.push(buffer);
  }

  /** The first `byteCount` bytes of `shared`, copied into `staging`; valid until the next small read. */
  stage(byteCount: number): Buffer {
    this.shared.copy(this.staging, 0, 0, byteCount);
    return this.staging.subarray(0, byteCount);
  }

  /** A write still needs what was staged last, until `releaseStaging`. */
  renewStaging(): void {
    this.#memory.hold('readBuffers', smallReadBytes);
    this.staging = Buffer.allocUnsafeSlow(smallReadBytes);
  }

  releaseStaging(): void {
    this.#memory.release('readBuffers', smallReadBytes);
  }

  /** Called from a read callback: where the same socket reads next. */
  readNextInto(buffer: Buffer): void {
    this.#next = buffer;
  }

  /**
   * What Node's `onread.buffer` calls: once for a new socket, which gets the shared buffer, and after each read
   * callback, where `undefined` means "the same as before".
   */
  readonly next = (): Uint8Array => {
    const next = this.#next;
    this.#next = undefined;
    return next as Uint8Array;
  };

  /** Where a new socket begins to read. */
  prepareNewSocket(buffer = this.shared): void {
    this.#next = buffer;
  }
}

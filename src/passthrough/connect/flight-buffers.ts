// Memory for first flights. Not from Node's pool, where a flight of one byte keeps 64 KiB; and not new each time, which takes
// several times as long as the copy.
import type { MemoryLedger } from '../socket/memory-ledger.ts';

/** Holds the hello of every common client, post-quantum keys included. */
export const flightBufferBytes = 2_048;

const maxSpareBuffers = 64;

export class FlightBuffers {
  readonly memory: MemoryLedger;
  readonly #spare: Buffer[] = [];

  constructor(memory: MemoryLedger) {
    this.memory = memory;
  }

  take(byteCount: number): Buffer {
    if (byteCount > flightBufferBytes) return Buffer.allocUnsafeSlow(byteCount);
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(flightBufferBytes);
  }

  /** Nothing reads `buffer` any more. */
  reuse(buffer: Buffer): void {
    if (buffer.length === flightBufferBytes && this.#spare.length < maxSpareBuffers) this.#spare.push(buffer);
  }
}

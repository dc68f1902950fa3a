// What a client has sent before any endpoint has said anything, kept so that it can be sent to another one. Charged to the
// process's ledger from the first byte until `release`; one that finds no room there is not kept for a second endpoint.
import type { FlightBuffers } from './flight-buffers.ts';
import { type FlightVerdict, judgeFirstFlight, maxFirstFlightBytes } from '../tls/client-hello.ts';

const nothing = Buffer.alloc(0);

const unjudged: FlightVerdict = { kind: 'partial', neededBytes: 1 };

export class FirstFlight {
  readonly #replayNonTls: boolean;
  readonly #buffers: FlightBuffers;
  #bytes: Buffer = nothing;
  #verdict = unjudged;
  #isOtherProtocol = false;
  length = 0;
  /** The process holds as much as it may: the flight goes to one endpoint only. */
  hasNoRoom = false;
  #heldBytes = 0;

  /** With `replayNonTls` bytes that are not TLS are a flight too, whatever they say. */
  constructor(replayNonTls: boolean, buffers: FlightBuffers) {
    this.#replayNonTls = replayNonTls;
    this.#buffers = buffers;
  }

  /** May be sent to more than one endpoint, and nothing of it is missing. */
  get isComplete(): boolean {
    return this.#verdict.kind === 'complete' && !this.hasNoRoom;
  }

  /** A ClientHello and nothing else. */
  get isHello(): boolean {
    return this.isComplete && !this.#isOtherProtocol;
  }

  /** Must reach one endpoint only. */
  get isUnsafe(): boolean {
    return this.hasNoRoom || this.#verdict.kind === 'unsafe';
  }

  /** As much as is kept while no endpoint is there to take it. */
  get isFull(): boolean {
    return this.length >= maxFirstFlightBytes;
  }

  /** Keeps a copy of the first `byteCount` bytes of `buffer`. */
  add(buffer: Buffer, byteCount: number): void {
    const length = this.length + byteCount;
    if (length > this.#bytes.length) this.#grow(length);
    buffer.copy(this.#bytes, this.length, 0, byteCount);
    this.length = length;
    this.#judge();
  }

  /** Nearly every flight fits into the first buffer; one in many small pieces doubles it. */
  #grow(length: number): void {
    const bytes = this.#buffers.take(Math.max(length, Math.min(2 * this.#bytes.length, maxFirstFlightBytes)));
    this.#bytes.copy(bytes, 0, 0, this.length);
    const grownBytes = bytes.length - this.#bytes.length;
    this.#buffers.memory.hold('firstFlights', grownBytes);
    this.#heldBytes += grownBytes;
    if (!this.#buffers.memory.mayKeepFlights) this.hasNoRoom = true;
    this.#bytes = bytes;
  }

  /** With `isWritten` nothing needs its bytes any more: the memory serves the next flight. Idempotent. */
  release(isWritten: boolean): void {
    if (this.#heldBytes === 0) return;
    this.#buffers.memory.release('firstFlights', this.#heldBytes);
    this.#heldBytes = 0;
    if (isWritten) this.#buffers.reuse(this.#bytes);
  }

  /** Everything from byte `from` on. Stays as it is when more is added. */
  rest(from: number): Buffer {
    return this.#bytes.subarray(from, this.length);
  }

  #judge(): void {
    const verdict = this.#verdict;
    if (verdict.kind === 'unsafe') return;
    if (this.isFull) this.#verdict = { kind: 'unsafe', why: 'too-long' };
    else if (verdict.kind === 'complete' || this.length >= verdict.neededBytes) {
      this.#verdict = judgeFirstFlight(this.rest(0));
    }
    this.#isOtherProtocol = this.#verdict.kind === 'unsafe' && this.#verdict.why === 'not-tls';
    if (this.#isOtherProtocol && this.#replayNonTls) this.#verdict = { kind: 'complete' };
  }
}

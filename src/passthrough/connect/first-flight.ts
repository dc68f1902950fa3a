// What a client has sent before any endpoint has said anything, kept so that it can be sent to another one. Charged to the
// process's ledger from the first byte until `release`; one that finds no room there is not kept for a second endpoint.
import type { MemoryLedger } from '../socket/memory-ledger.ts';
import { type FlightVerdict, judgeFirstFlight, maxFirstFlightBytes } from '../tls/client-hello.ts';

const nothing = Buffer.alloc(0);

const unjudged: FlightVerdict = { kind: 'partial', neededBytes: 1 };

export class FirstFlight {
  readonly #replayNonTls: boolean;
  readonly #memory: MemoryLedger;
  #bytes: Buffer = nothing;
  #verdict = unjudged;
  #isOtherProtocol = false;
  length = 0;
  /** The process holds as much as it may: the flight goes to one endpoint only. */
  hasNoRoom = false;
  #heldBytes = 0;

  /** With `replayNonTls` bytes that are not TLS are a flight too, whatever they say. */
  constructor(replayNonTls: boolean, memory: MemoryLedger) {
    this.#replayNonTls = replayNonTls;
    this.#memory = memory;
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

  /** Nearly every flight comes in one piece, and has memory of just its size; one in many small pieces doubles it. */
  #grow(length: number): void {
    // Not from Node's pool: a flight of one byte would keep 64 KiB of it.
    const bytes = Buffer.allocUnsafeSlow(
      Math.max(length, Math.min(2 * this.#bytes.length, maxFirstFlightBytes)),
    );
    this.#bytes.copy(bytes, 0, 0, this.length);
    const grownBytes = bytes.length - this.#bytes.length;
    this.#memory.hold('firstFlights', grownBytes);
    this.#heldBytes += grownBytes;
    if (!this.#memory.mayKeepFlights) this.hasNoRoom = true;
    this.#bytes = bytes;
  }

  /** Whoever goes on with its bytes owns them from here on. Idempotent. */
  release(): void {
    this.#memory.release('firstFlights', this.#heldBytes);
    this.#heldBytes = 0;
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

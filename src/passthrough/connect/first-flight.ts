// What a client has sent before any endpoint has said anything, kept so that it can be sent to another one.
import { type FlightVerdict, judgeFirstFlight, maxFirstFlightBytes } from '../tls/client-hello.ts';

const unjudged: FlightVerdict = { kind: 'partial', neededBytes: 1 };

export class FirstFlight {
  readonly #replayNonTls: boolean;
  #pieces: Buffer[] = [];
  #verdict = unjudged;
  #isOtherProtocol = false;
  length = 0;

  /** With `replayNonTls` bytes that are not TLS are a flight too, whatever they say. */
  constructor(replayNonTls: boolean) {
    this.#replayNonTls = replayNonTls;
  }

  /** May be sent to more than one endpoint, and nothing of it is missing. */
  get isComplete(): boolean {
    return this.#verdict.kind === 'complete';
  }

  /** A ClientHello and nothing else. */
  get isHello(): boolean {
    return this.isComplete && !this.#isOtherProtocol;
  }

  /** Must reach one endpoint only. */
  get isUnsafe(): boolean {
    return this.#verdict.kind === 'unsafe';
  }

  /** As much as is kept while no endpoint is there to take it. */
  get isFull(): boolean {
    return this.length >= maxFirstFlightBytes;
  }

  /** Keeps a copy of the first `byteCount` bytes of `buffer`. */
  add(buffer: Buffer, byteCount: number): void {
    const piece = Buffer.allocUnsafe(byteCount);
    buffer.copy(piece, 0, 0, byteCount);
    this.#pieces.push(piece);
    this.length += byteCount;
    this.#judge();
  }

  /** Everything from byte `from` on. */
  rest(from: number): Buffer {
    const all = this.#all();
    return from === 0 ? all : all.subarray(from);
  }

  #all(): Buffer {
    const [first] = this.#pieces;
    if (this.#pieces.length === 1 && first) return first;
    const all = Buffer.concat(this.#pieces);
    this.#pieces = [all];
    return all;
  }

  #judge(): void {
    const verdict = this.#verdict;
    if (verdict.kind === 'unsafe') return;
    if (this.isFull) this.#verdict = { kind: 'unsafe', why: 'too-long' };
    else if (verdict.kind === 'complete' || this.length >= verdict.neededBytes) {
      this.#verdict = judgeFirstFlight(this.#all());
    }
    this.#isOtherProtocol = this.#verdict.kind === 'unsafe' && this.#verdict.why === 'not-tls';
    if (this.#isOtherProtocol && this.#replayNonTls) this.#verdict = { kind: 'complete' };
  }
}

// Cuts a stream of bytes into lines, each bounded in length, whatever the chunks are. Holds no chunk: see
// lib/byte-accumulator.ts.
import { ByteAccumulator } from './byte-accumulator.ts';

const newline = 10;
/** A buffer of this size stays for the next line; most events of a watch fit. */
const keepBytes = 16_384;

export class LineReader<Ending> {
  readonly #rest: ByteAccumulator;
  readonly #onLine: (line: string) => Ending | undefined;
  readonly #tooLong: () => Ending;

  /** `onLine` takes each line that is not blank; what it returns ends the reading, as `tooLong` does. */
  constructor(maxLineBytes: number, onLine: (line: string) => Ending | undefined, tooLong: () => Ending) {
    this.#rest = new ByteAccumulator(maxLineBytes);
    this.#onLine = onLine;
    this.#tooLong = tooLong;
  }

  /** Bytes allocated for the line that has not ended. */
  get heldBytes(): number {
    return this.#rest.heldBytes;
  }

  read(chunk: Buffer): Ending | undefined {
    let from = 0;
    for (;;) {
      const at = chunk.indexOf(newline, from);
      const piece = chunk.subarray(from, at < 0 ? undefined : at);
      if (at < 0) {
        if (this.#rest.append(piece)) return undefined;
        return this.#end();
      }
      from = at + 1;
      if (this.#rest.length + piece.length > this.#rest.maxBytes) return this.#end();
      const line = this.#lineWith(piece).trim();
      const ending = line === '' ? undefined : this.#onLine(line);
      if (ending !== undefined) return ending;
    }
  }

  /** The line that `piece` ends. */
  #lineWith(piece: Buffer): string {
    if (this.#rest.length === 0) return piece.toString('utf8');
    this.#rest.append(piece);
    const line = this.#rest.text();
    this.#rest.clear(keepBytes);
    return line;
  }

  #end(): Ending {
    this.#rest.clear();
    return this.#tooLong();
  }
}

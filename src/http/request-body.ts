// Reads a request's body up to a bound, so that it can be sent to a second endpoint. Owns the sum of what all
// requests keep.
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { Readable } from 'node:stream';

/** How a request says where its body ends. */
export type Framing = 'none' | 'unknown length' | number;

export type RequestBody =
  | { readonly kind: 'whole'; readonly bytes: Buffer }
  /** Longer than the bound: what was read is back in the request, which is to be piped on. */
  | { readonly kind: 'stream' }
  /** The client has gone. */
  | { readonly kind: 'gone' };

export class BodyBudget {
  readonly #maxBytes: number;
  #usedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  take(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.#maxBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}

const nothing = Buffer.alloc(0);

/** From the client's own headers, before any are taken away. */
export function framingOf(request: IncomingMessage | Http2ServerRequest): Framing {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  if (request.httpVersionMajor > 1) {
    if ((request as Http2ServerRequest).stream.endAfterHeaders) return 'none';
  } else if (encoding === undefined && length === undefined) return 'none';
  return length === undefined ? 'unknown length' : Number(length) || 'none';
}

/**
 * Reads at most `maxBytes`, and no more than the budget has. The bytes of a `whole` body are the caller's to give
 * back to it.
 */
export function readBody(
  request: IncomingMessage | Http2ServerRequest,
  framing: Framing,
  maxBytes: number,
  budget: BodyBudget,
): Promise<RequestBody> {
  const stream = request as IncomingMessage;
  if (framing === 'none') {
    stream.resume();
    return Promise.resolve({ kind: 'whole', bytes: nothing });
  }
  if (typeof framing === 'number' && framing > maxBytes) return Promise.resolve({ kind: 'stream' });
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const finish = (body: RequestBody): void => {
      stream.off('readable', onReadable).off('end', onEnd).off('close', onGone).off('error', onGone);
      if (body.kind !== 'whole') budget.give(size);
      resolve(body);
    };
    const onReadable = (): void => {
      for (;;) {
        const chunk = stream.read() as Buffer | null;
        if (chunk === null) return;
        if (size + chunk.length > maxBytes || !budget.take(chunk.length)) {
          finish({ kind: 'stream' });
          stream.unshift(Buffer.concat([...chunks, chunk]));
          return;
        }
        size += chunk.length;
        chunks.push(chunk);
      }
    };
    const onEnd = () => finish({ kind: 'whole', bytes: Buffer.concat(chunks) });
    const onGone = () => finish({ kind: 'gone' });
    stream.on('readable', onReadable).on('end', onEnd).on('close', onGone).on('error', onGone);
  });
}

/** A kept body, to be sent once more. Not Readable.from: its iterator costs more than the request's own parsing. */
export class KeptBody extends Readable {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    super();
    this.#bytes = bytes;
  }

  override _read(): void {
    if (this.#bytes.length > 0) this.push(this.#bytes);
    this.push(null);
  }
}

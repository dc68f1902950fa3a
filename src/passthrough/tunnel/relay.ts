// Hands bytes from one connection on to the other with at most one read buffer in flight: a connection is paused until the
// other one has taken everything, because the buffer that it would read into is still in use.
import type { Connection } from '../socket/connection.ts';
import { type ReadBuffers, smallReadBytes } from '../socket/read-buffers.ts';

/** A read of at least this size is taken for a bulk transfer: the connection keeps a buffer of its own. */
const bulkReadBytes = 16 * 1024;

/**
 * Writes the first `byteCount` of `buffer`, just read from `from`, to `to`. Returns false when `from` must pause;
 * `connectionDrained(to)` is then the moment to resume it. Only to be called from a read callback.
 */
export function relay(
  from: Connection,
  to: Connection,
  buffer: Buffer,
  byteCount: number,
  buffers: ReadBuffers,
): boolean {
  let lent: Buffer | undefined;
  let chunk: Buffer;
  if (buffer !== buffers.shared && buffer !== buffers.firstRead) {
    chunk = buffer.subarray(0, byteCount);
    lent = from.ownBuffer;
  } else if (byteCount <= smallReadBytes) {
    chunk = buffers.stage(byteCount);
  } else {
    lent = buffers.take();
    buffer.copy(lent, 0, 0, byteCount);
    chunk = lent.subarray(0, byteCount);
  }
  to.write(chunk);
  const isWritten = to.writableLength === 0;
  if (lent) {
    if (!isWritten || (byteCount >= bulkReadBytes && buffers.mayKeep)) {
      if (from.ownBuffer === undefined) {
        from.ownBuffer = lent;
        buffers.readNextInto(lent);
      }
    } else {
      from.ownBuffer = undefined;
      buffers.release(lent);
      buffers.readNextInto(buffers.shared);
    }
  }
  if (!isWritten) {
    if (chunk.buffer === buffers.staging.buffer) {
      buffers.renewStaging();
      from.isStaged = true;
    }
    to.notifyWhenDrained();
  }
  return isWritten;
}

// Who may use which read buffer when: a buffer is free again only when the kernel has taken every byte of it.
import { zeroCounters } from '../../../src/passthrough/tunnel/counters.ts';
import { noOwner } from '../../../src/passthrough/socket/connection.ts';
import { MemoryLedger } from '../../../src/passthrough/socket/memory-ledger.ts';
import {
  ReadBuffers,
  readBufferBytes,
  smallReadBytes,
} from '../../../src/passthrough/socket/read-buffers.ts';
import { Tunnel } from '../../../src/passthrough/tunnel/tunnel.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';
import { FakeConnection } from '../../support/fakes/fake-connections.ts';

/** A connection that can refuse to take bytes, and keeps them as views, as a kernel that has not copied them yet. */
class StuckConnection extends FakeConnection {
  isStuck = false;
  readonly views: Uint8Array[] = [];
  drainRequests = 0;

  override write(bytes: Uint8Array): boolean {
    this.views.push(bytes);
    if (this.isStuck) this.writableLength += bytes.length;
    return true;
  }
  override notifyWhenDrained(): void {
    this.drainRequests += 1;
  }
  drain(): void {
    this.isStuck = false;
    this.writableLength = 0;
    this.owner.connectionDrained(this);
  }
}

function joined() {
  const clock = new FakeClock();
  const memory = new MemoryLedger();
  const buffers = new ReadBuffers(memory);
  const counters = zeroCounters();
  const client = new StuckConnection(clock, noOwner);
  const upstream = new StuckConnection(clock, noOwner);
  const tunnel = new Tunnel(
    {
      buffers,
      nowMs: () => clock.nowMs(),
      startWaiting() {},
      stopWaiting() {},
      halfClosed() {},
      stalled() {},
      keepAlive() {},
      finished() {},
      count: (reason) => {
        counters.closed[reason] += 1;
      },
    },
    client,
  );
  tunnel.join(upstream);
  /** The next read of `connection`, as a socket does it: into the buffer it was last told. */
  const target = new Map<StuckConnection, Buffer>();
  const read = (connection: StuckConnection, bytes: Buffer): boolean => {
    const into = target.get(connection) ?? buffers.shared;
    bytes.copy(into);
    const goesOn = connection.owner.connectionRead(connection, into, bytes.length);
    const next = buffers.next() as Buffer | undefined;
    if (next) target.set(connection, next);
    connection.isPaused = !goesOn;
    return goesOn;
  };
  return { clock, buffers, client, upstream, tunnel, read, counters, target };
}

test('small bytes are copied out of the shared buffer', () => {
  const { buffers, client, upstream, read } = joined();
  expect(read(upstream, Buffer.from('first'))).toBe(true);
  buffers.shared.fill('x');
  expect(Buffer.from(client.views[0] ?? []).toString()).toBe('first');
  expect(upstream.ownBuffer).toBeUndefined();
});

test.each([1, smallReadBytes, smallReadBytes + 1, 16_384, readBufferBytes])(
  '%i bytes that are not taken pause the reader and stay as they are',
  (size) => {
    const { buffers, client, upstream, read } = joined();
    client.isStuck = true;
    expect(read(upstream, Buffer.alloc(size, 'a'))).toBe(false);
    expect(client.drainRequests).toBe(1);
    // Whatever other tunnels read and take meanwhile.
    buffers.shared.fill('x');
    buffers.stage(smallReadBytes);
    for (let other = 0; other < 20; other += 1) buffers.take().fill('y');
    expect(Buffer.from(client.views[0] ?? []).equals(Buffer.alloc(size, 'a'))).toBe(true);
    client.drain();
    expect(upstream.isPaused).toBe(false);
  },
);

test('a bulk reader keeps its buffer, and gives it back with its first small read', () => {
  const { buffers, upstream, read, target } = joined();
  read(upstream, Buffer.alloc(readBufferBytes, 'a'));
  const own = upstream.ownBuffer;
  expect(own).toBeDefined();
  expect(target.get(upstream)).toBe(own);
  read(upstream, Buffer.alloc(readBufferBytes, 'b'));
  expect(upstream.ownBuffer).toBe(own);
  read(upstream, Buffer.from('end'));
  expect(upstream.ownBuffer).toBeUndefined();
  expect(target.get(upstream)).toBe(buffers.shared);
  expect(buffers.take()).toBe(own);
});

test('a drain of earlier bytes does not set a reader free whose own are still waiting', () => {
  const { client, upstream, read } = joined();
  upstream.isStuck = true;
  expect(read(client, Buffer.alloc(20_000, 'a'))).toBe(false);
  upstream.owner.connectionDrained(upstream); // asked for before, by the connector
  expect(client.isPaused).toBe(true);
  upstream.drain();
  expect(client.isPaused).toBe(false);
});

test('a buffer whose bytes are still on their way out is not given back when its reader is gone', async () => {
  const { clock, buffers, client, upstream, read } = joined();
  client.isStuck = true;
  read(upstream, Buffer.alloc(readBufferBytes, 'a'));
  const own = upstream.ownBuffer;
  upstream.destroy();
  await clock.advance(1);
  for (let other = 0; other < 20; other += 1) expect(buffers.take()).not.toBe(own);
  client.destroy();
  await clock.advance(1);
  expect(buffers.take()).toBe(own);
});

test('spare buffers are bounded', () => {
  const buffers = new ReadBuffers();
  const taken = Array.from({ length: 100 }, () => buffers.take());
  for (const buffer of taken) buffers.release(buffer);
  const again = new Set(Array.from({ length: 100 }, () => buffers.take()));
  expect(taken.filter((buffer) => again.has(buffer))).toHaveLength(16);
});

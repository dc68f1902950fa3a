import fc from 'fast-check';
import { ByteAccumulator } from '../../../src/lib/byte-accumulator.ts';

/** What a read of a socket gives: a byte that is cut from a block of 64 KiB. */
const cutByte = () => Buffer.allocUnsafeSlow(65_536).fill('x').subarray(0, 1);

test('a byte at a time costs what it is charged, not the blocks that the bytes are cut from', () => {
  const bytes = new ByteAccumulator(4_096);
  const blocks = new Set<ArrayBufferLike>();
  for (let count = 1; count <= 4_096; count += 1) {
    expect(bytes.append(cutByte())).toBe(true);
    blocks.add(bytes.bytes().buffer);
    // Memory that is really reachable: the whole ArrayBuffer behind the view.
    expect(bytes.bytes().buffer.byteLength).toBe(bytes.heldBytes);
    expect(bytes.heldBytes).toBeLessThanOrEqual(Math.max(1_024, 2 * count));
  }
  // Doubling: 1, 2 and 4 KiB.
  expect(blocks.size).toBe(3);
  expect(bytes.text()).toBe('x'.repeat(4_096));
});

test('what is more than the bound is refused before anything is allocated, and what was there stays', () => {
  const bytes = new ByteAccumulator(10);
  expect(bytes.append(Buffer.from('12345'))).toBe(true);
  const before = bytes.heldBytes;
  expect(before).toBeLessThanOrEqual(10);
  expect(bytes.append(Buffer.alloc(6))).toBe(false);
  expect(bytes.heldBytes).toBe(before);
  expect(bytes.append(Buffer.from('67890'))).toBe(true);
  expect(bytes.text()).toBe('1234567890');
  expect(bytes.append(Buffer.of(0))).toBe(false);
  expect(bytes.heldBytes).toBeLessThanOrEqual(10);
});

test('a large chunk does not grow the buffer beyond the bound', () => {
  const bytes = new ByteAccumulator(100_000);
  expect(bytes.append(Buffer.alloc(99_000))).toBe(true);
  expect(bytes.append(Buffer.alloc(1_000))).toBe(true);
  expect(bytes.heldBytes).toBe(100_000);
});

test('a cleared one keeps a small buffer and lets a large one go', () => {
  const bytes = new ByteAccumulator(1 << 20);
  bytes.append(Buffer.alloc(2_000));
  bytes.clear(16_384);
  expect(bytes.length).toBe(0);
  expect(bytes.heldBytes).toBeGreaterThan(0);
  bytes.append(Buffer.alloc(20_000));
  bytes.clear(16_384);
  expect(bytes.heldBytes).toBe(0);
});

test('gives back what was appended, however it was cut, up to its bound', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3_000 }), { maxLength: 20 }), (chunks) => {
      const bytes = new ByteAccumulator(20_000);
      const taken = chunks.filter((chunk) => bytes.append(chunk));
      expect(bytes.bytes().equals(Buffer.concat(taken))).toBe(true);
      expect(bytes.heldBytes).toBeLessThanOrEqual(20_000);
    }),
  );
});

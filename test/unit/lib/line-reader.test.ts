import fc from 'fast-check';
import { LineReader } from '../../../src/lib/line-reader.ts';

function reader(maxLineBytes: number, onLine: (line: string) => string | undefined = () => undefined) {
  const lines: string[] = [];
  const take = (line: string) => {
    lines.push(line);
    return onLine(line);
  };
  return { lines, reader: new LineReader<string>(maxLineBytes, take, () => 'too long') };
}

test('gives the lines of a text however it is cut, without blank ones', () => {
  const line = fc.stringMatching(/^[a-zäö€ ]{0,20}$/);
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(30)), (texts, cuts) => {
      const { lines, reader: cut } = reader(1_000);
      const bytes = Buffer.from(texts.map((text) => `${text}\r\n`).join(''));
      let at = 0;
      for (const size of [...cuts, bytes.length]) {
        expect(cut.read(bytes.subarray(at, at + size))).toBeUndefined();
        at += size;
      }
      expect(lines).toEqual(texts.map((text) => text.trim()).filter((text) => text !== ''));
    }),
  );
});

test('a line of bytes that come one by one holds the line, not what the bytes are cut from', () => {
  const { reader: slow } = reader(100_000);
  for (let count = 1; count <= 50_000; count += 1) {
    slow.read(Buffer.allocUnsafeSlow(4_096).fill('x').subarray(0, 1));
    expect(slow.heldBytes).toBeLessThanOrEqual(Math.max(1_024, 2 * count));
  }
});

test.each([
  ['in one chunk', [11]],
  ['in two', [6, 5]],
  ['byte by byte', Array.from({ length: 11 }, () => 1)],
])('a line that is too long ends the reading, %s', (_, sizes) => {
  const { lines, reader: bounded } = reader(10);
  const endings = sizes.map((size) => bounded.read(Buffer.alloc(size, 'x')));
  expect(endings.at(-1)).toBe('too long');
  expect(endings.slice(0, -1).every((ending) => ending === undefined)).toBe(true);
  expect(bounded.heldBytes).toBe(0);
  expect(lines).toEqual([]);
});

test('a line that is too long and ends in the same chunk is too long as well', () => {
  const { lines, reader: bounded } = reader(10);
  expect(bounded.read(Buffer.from('0123456789\n'))).toBeUndefined();
  expect(bounded.read(Buffer.from('01234'))).toBeUndefined();
  expect(bounded.read(Buffer.from('567890\n'))).toBe('too long');
  expect(lines).toEqual(['0123456789']);
});

test('what a line comes to ends the reading of its chunk', () => {
  const { lines, reader: ending } = reader(10, (line) => (line === 'b' ? 'bad' : undefined));
  expect(ending.read(Buffer.from('a\nb\nc\n'))).toBe('bad');
  expect(lines).toEqual(['a', 'b']);
});

test('the buffer of a long line is let go when the line has ended', () => {
  const { reader: long } = reader(100_000);
  long.read(Buffer.alloc(50_000, 'x'));
  expect(long.heldBytes).toBe(50_000);
  long.read(Buffer.from('\n'));
  expect(long.heldBytes).toBe(0);
});

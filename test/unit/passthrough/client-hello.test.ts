import fc from 'fast-check';
import { judgeFirstFlight, maxFirstFlightBytes } from '../../../src/passthrough/tls/client-hello.ts';
import { clientHello, helloMessage, records } from '../../support/clients/client-hello.ts';

/** The verdict of a receiver that asks again only when as many bytes have come as the last verdict wanted. */
function judgeInPieces(flight: Buffer, pieceBytes: number) {
  let neededBytes = 1;
  for (let have = pieceBytes; ; have += pieceBytes) {
    const known = flight.subarray(0, have);
    if (known.length >= neededBytes) {
      const verdict = judgeFirstFlight(known);
      if (verdict.kind !== 'partial') return { verdict, atBytes: known.length };
      expect(verdict.neededBytes).toBeGreaterThan(known.length);
      neededBytes = verdict.neededBytes;
    }
    if (have >= flight.length) return { verdict: { kind: 'partial' }, atBytes: flight.length };
  }
}

test.each([
  ['an ordinary hello', clientHello()],
  ['a hello without extensions', clientHello({ withoutExtensions: true })],
  ['a hello in several records', clientHello({ fragmentBytes: 60 })],
  ['a hello whose header is cut by a record', clientHello({ fragmentBytes: 3, withoutExtensions: true })],
  ['a hello of 15 KB', clientHello({ paddingBytes: 15_000 })],
])('%s is complete with its last byte and not before', (_name, hello) => {
  expect(judgeFirstFlight(hello)).toEqual({ kind: 'complete' });
  for (const pieceBytes of [1, 2, 7, hello.length - 1]) {
    expect(judgeInPieces(hello, pieceBytes)).toEqual({
      verdict: { kind: 'complete' },
      atBytes: hello.length,
    });
  }
  for (let length = 0; length < hello.length; length += 1) {
    expect(judgeFirstFlight(hello.subarray(0, length)).kind).toBe('partial');
  }
});

test('early data is seen wherever the records are cut', () => {
  for (const fragmentBytes of [16_384, 100, 31, 5]) {
    const hello = clientHello({ withEarlyData: true, fragmentBytes });
    expect(judgeFirstFlight(hello)).toEqual({ kind: 'unsafe', why: 'early-data' });
  }
});

test('a byte after the hello makes it unsafe, in the same record or in a further one', () => {
  const hello = clientHello();
  expect(judgeFirstFlight(Buffer.concat([hello, Buffer.of(20)]))).toMatchObject({ why: 'more-than-hello' });
  const twoMessages = records(Buffer.concat([helloMessage(), helloMessage()]));
  expect(judgeFirstFlight(twoMessages)).toMatchObject({ why: 'more-than-hello' });
});

test.each([
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\n')],
  ['an alert record', Buffer.of(21, 3, 1, 0, 2, 1, 0)],
  ['another handshake message', Buffer.of(22, 3, 1, 0, 4, 2, 0, 0, 0)],
  ['an empty record', Buffer.of(22, 3, 1, 0, 0)],
  ['a record longer than TLS allows', Buffer.of(22, 3, 1, 0x40, 1)],
  ['a hello that is cut inside', records(Buffer.concat([Buffer.of(1, 0, 0, 10), Buffer.alloc(10)]))],
  ['a hello in too many records', clientHello({ fragmentBytes: 1 })],
])('%s is not taken for a hello', (_name, bytes) => {
  expect(judgeFirstFlight(bytes)).toEqual({ kind: 'unsafe', why: 'not-tls' });
});

test('extensions that overrun the hello are not honest', () => {
  const message = helloMessage();
  // The last extension (server name) claims one byte more than there is.
  const nameLength = message.length - 22 - 2 - 1 - 2 - 2;
  message.writeUInt16BE(message.readUInt16BE(nameLength) + 1, nameLength);
  expect(judgeFirstFlight(records(message))).toEqual({ kind: 'unsafe', why: 'not-tls' });
});

test('a hello that can never fit is given up at once', () => {
  const start = Buffer.of(22, 3, 1, 0x40, 0, 1, 0x02, 0, 0);
  const flight = Buffer.concat([start, Buffer.alloc(16_384 - 4)]);
  expect(judgeFirstFlight(flight)).toEqual({ kind: 'unsafe', why: 'too-long' });
});

test('whatever the bytes are, there is a verdict, and pieces change nothing but the moment', () => {
  const start = fc.constantFrom(clientHello(), clientHello({ withEarlyData: true }), Buffer.of(22, 3, 1));
  const flights = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    // A good hello with a few bytes changed, cut or added finds deeper paths than noise does.
    fc
      .record({
        start,
        cut: fc.nat(400),
        changes: fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 }),
        more: fc.uint8Array({ maxLength: 50 }),
      })
      .map(({ start: hello, cut, changes, more }) => {
        const bytes = Buffer.concat([hello.subarray(0, cut), more]);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        return bytes;
      }),
  );
  fc.assert(
    fc.property(flights, fc.integer({ min: 1, max: 50 }), (flight, pieceBytes) => {
      const verdict = judgeFirstFlight(flight);
      if (verdict.kind === 'partial') {
        expect(verdict.neededBytes).toBeGreaterThan(flight.length);
        expect(verdict.neededBytes).toBeLessThanOrEqual(maxFirstFlightBytes);
      }
      const inPieces = judgeInPieces(flight, pieceBytes).verdict;
      // In pieces a hello may be judged complete before the bytes behind it have come; the connector then sees them
      // as more than the kept flight.
      if (verdict.kind === 'unsafe' && verdict.why === 'more-than-hello') {
        expect(['complete', 'unsafe']).toContain(inPieces.kind);
      } else expect(inPieces.kind).toBe(verdict.kind);
    }),
    { numRuns: 2000 },
  );
});

import { clientHello } from '../../support/clients/client-hello.ts';
import { maxFirstFlightBytes } from '../../../src/passthrough/tls/client-hello.ts';
import { heldLimits, MemoryLedger } from '../../../src/passthrough/socket/memory-ledger.ts';
import { flightBufferBytes, FlightBuffers } from '../../../src/passthrough/connect/flight-buffers.ts';
import { FirstFlight } from '../../../src/passthrough/connect/first-flight.ts';

test.each([true, false])(
  'a flight that is full is never kept for another endpoint (replayNonTls %s)',
  (replay) => {
    const flight = new FirstFlight(replay, new FlightBuffers(new MemoryLedger()));
    flight.add(Buffer.alloc(maxFirstFlightBytes - 1, 'x'), maxFirstFlightBytes - 1);
    expect(flight).toMatchObject({ isFull: false, isUnsafe: !replay });
    flight.add(Buffer.from('x'), 1);
    // Full: its client is paused until the flight has one endpoint for good.
    expect(flight).toMatchObject({ isFull: true, isUnsafe: true, isComplete: false });
  },
);

test('a flight is charged with its buffer until it is released, once', () => {
  const memory = new MemoryLedger();
  const flight = new FirstFlight(false, new FlightBuffers(memory));
  flight.add(Buffer.from([22]), 1);
  flight.add(Buffer.from([3, 1]), 2);
  expect(memory.bytes.firstFlights).toBe(flightBufferBytes);
  flight.release(false);
  flight.release(false);
  expect(memory.totalBytes).toBe(0);
});

test('what is charged is its memory with the slack, however small its pieces are', () => {
  const memory = new MemoryLedger();
  const hello = clientHello({ paddingBytes: 5_000 });
  const whole = new FirstFlight(false, new FlightBuffers(memory));
  whole.add(hello, hello.length);
  expect(whole.rest(0).buffer.byteLength).toBe(hello.length);
  expect(memory.totalBytes).toBe(hello.length);
  whole.release(false);

  const pieces = new FirstFlight(false, new FlightBuffers(memory));
  for (const byte of hello) pieces.add(Buffer.of(byte), 1);
  expect(pieces.isHello).toBe(true);
  expect(pieces.rest(0)).toEqual(hello);
  expect(memory.totalBytes).toBe(pieces.rest(0).buffer.byteLength);
  expect(memory.totalBytes).toBeLessThan(2 * hello.length);
});

test('bytes that are being written stay as they are while more come', () => {
  const flight = new FirstFlight(false, new FlightBuffers(new MemoryLedger()));
  flight.add(Buffer.from('abc'), 3);
  const written = flight.rest(0);
  for (const text of ['d', 'efgh', 'ijklmnop']) flight.add(Buffer.from(text), text.length);
  expect(written.toString()).toBe('abc');
  expect(flight.rest(3).toString()).toBe('defghijklmnop');
});

test('a whole hello that finds no room is for one endpoint only', () => {
  const hello = clientHello();
  const memory = new MemoryLedger({ ...heldLimits, firstFlights: 2 * hello.length - 1 });
  const flight = new FirstFlight(false, new FlightBuffers(memory));
  flight.add(hello, hello.length);
  expect(flight).toMatchObject({ hasNoRoom: true, isUnsafe: true, isComplete: false, isHello: false });
  expect(flight.rest(0)).toEqual(hello);
  flight.release(false);
  expect(memory.totalBytes).toBe(0);
});

test('the buffer of a flight that is written serves the next one, and any other does not', () => {
  const buffers = new FlightBuffers(new MemoryLedger());
  const memoryOf = (isWritten: boolean) => {
    const flight = new FirstFlight(false, buffers);
    flight.add(Buffer.from('abc'), 3);
    const { buffer } = flight.rest(0);
    flight.release(isWritten);
    flight.release(true);
    return buffer;
  };
  const first = memoryOf(true);
  const second = memoryOf(false);
  expect(second).toBe(first);
  const third = memoryOf(true);
  expect(third).not.toBe(first);
  // Released twice, it is there once.
  const [one, other] = [new FirstFlight(false, buffers), new FirstFlight(false, buffers)];
  for (const flight of [one, other]) flight.add(Buffer.from('abc'), 3);
  expect(one.rest(0).buffer).not.toBe(other.rest(0).buffer);
});

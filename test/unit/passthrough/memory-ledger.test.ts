import { heldLimits, MemoryLedger } from '../../../src/passthrough/socket/memory-ledger.ts';

test('each kind has a limit of its own, and what exists is charged although it is too much', () => {
  const memory = new MemoryLedger({ ...heldLimits, readBuffers: 1000 });
  memory.hold('readBuffers', 1000);
  expect(memory.isOver('readBuffers')).toBe(false);
  memory.hold('readBuffers', 1);
  expect(memory.isOver('readBuffers')).toBe(true);
  expect(memory.isOver('firstFlights')).toBe(false);
  expect(memory.mayKeepFlights).toBe(true);
  expect(memory.totalBytes).toBe(1001);
  memory.release('readBuffers', 1001);
  expect(memory.totalBytes).toBe(0);
});

test('flights are kept in half of their limit; the rest is for clients that are being connected', () => {
  const memory = new MemoryLedger({ ...heldLimits, firstFlights: 1000 });
  memory.hold('firstFlights', 500);
  expect(memory.mayKeepFlights).toBe(true);
  memory.hold('firstFlights', 1);
  expect(memory.mayKeepFlights).toBe(false);
  expect(memory.isOver('firstFlights')).toBe(false);
});

test('buffers that only make transfers faster are kept while little is held', () => {
  const memory = new MemoryLedger({ ...heldLimits, readBuffers: 1000 });
  memory.hold('readBuffers', 250);
  expect(memory.mayKeepBuffers).toBe(true);
  memory.hold('readBuffers', 1);
  expect(memory.mayKeepBuffers).toBe(false);
});

test('the agent holds 100 MiB for its clients at most', () => {
  expect(new MemoryLedger().maxBytes).toBe(100 * 1024 * 1024);
});

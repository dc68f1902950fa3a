// Whatever the endpoints do before their first byte, the client sees exactly one coherent answer or a reset, and
// nothing is left behind.
import fc from 'fast-check';
import { heldLimits, MemoryLedger } from '../../../src/passthrough/socket/memory-ledger.ts';
import { clientHello } from '../../support/clients/client-hello.ts';
import { answerPieces, type EndpointScript } from '../../support/fakes/fake-connections.ts';
import { ConnectorWorld } from '../../support/fakes/connector-world.ts';

const hello = clientHello();
const earlyDataHello = clientHello({ withEarlyData: true });
const plain = Buffer.from('GET /readyz HTTP/1.1\r\n\r\n');

const delayMs = fc.oneof(fc.constantFrom(0, 1, 249, 250, 251, 999, 1000, 1001, 1250, 2000), fc.nat(12_000));

function script(flightBytes: number): fc.Arbitrary<EndpointScript> {
  return fc.record({
    dial: fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('connect' as const), afterMs: delayMs }) },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('fail' as const),
          afterMs: delayMs,
          code: fc.constantFrom('ECONNREFUSED', 'EHOSTUNREACH', 'EMFILE', 'ECONNRESET'),
        }),
      },
      { weight: 1, arbitrary: fc.constant({ kind: 'hang' as const }) },
    ),
    answers: fc.oneof(
      fc.constant({ kind: 'silent' as const }),
      fc.record({ kind: fc.constantFrom('fin' as const, 'reset' as const), afterMs: delayMs }),
      fc.record({
        kind: fc.constant('answer' as const),
        afterMs: delayMs,
        waitsForBytes: fc.constantFrom(0, 1, flightBytes),
      }),
    ),
  });
}

const scenario = fc
  .record({
    flight: fc.constantFrom(hello, hello, hello, earlyDataHello, plain),
    pieces: fc.integer({ min: 1, max: 4 }),
    pieceEveryMs: fc.constantFrom(0, 3, 400),
    leavesAfterMs: fc.option(fc.nat(4000), { freq: 6, nil: undefined }),
    fin: fc.boolean(),
  })
  .chain((client) =>
    fc.record({
      client: fc.constant(client),
      scripts: fc.array(script(client.flight.length), { maxLength: 4 }),
      flightBytes: fc.constantFrom(1 << 20, 1 << 20, 1 << 20, 1200, 300, 0),
      usable: fc.nat(4),
      verdictAfterMs: fc.option(fc.nat(4000), { freq: 3, nil: undefined }),
    }),
  );

test('the client sees one coherent answer or a reset, and nothing is left behind', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async ({ client, scripts, usable, verdictAfterMs, flightBytes }) => {
      const memory = new MemoryLedger({ ...heldLimits, firstFlights: flightBytes });
      const world = new ConnectorWorld({ scripts, memory, usableCount: Math.min(usable, scripts.length) });
      const { flight, pieces, pieceEveryMs } = client;
      const pieceBytes = Math.ceil(flight.length / pieces);
      for (let piece = 0; piece < pieces; piece += 1) {
        world.clock.schedule(piece * pieceEveryMs, () =>
          world.client.feed(flight.subarray(piece * pieceBytes, (piece + 1) * pieceBytes)),
        );
      }
      if (client.fin) world.clock.schedule(pieces * pieceEveryMs, () => world.client.feedFin());
      const { leavesAfterMs } = client;
      if (leavesAfterMs !== undefined) {
        world.clock.schedule(leavesAfterMs, () => world.client.fail('ECONNRESET'));
      }
      const [first] = world.endpoints;
      if (verdictAfterMs !== undefined && first) {
        world.clock.schedule(verdictAfterMs, () =>
          world.tunnel.connector?.leaveEndpoint(world.shared.record(first.id)),
        );
      }
      await world.clock.advance(60_000);

      // One coherent answer: a beginning of what a single endpoint says.
      const answer = world.client.received.toString();
      const from = world.endpoints.filter(({ id }) => answerPieces(id).join('').startsWith(answer));
      expect(answer === '' || from.length === 1).toBe(true);
      const isWhole = from.some(({ id }) => answerPieces(id).join('') === answer);
      if (answer !== '' && !isWhole) expect(leavesAfterMs).toBeDefined();

      // Every endpoint got a beginning of the flight, and an unsafe flight got to one endpoint only.
      const connected = world.factory.dials.filter(({ isConnected }) => isConnected);
      for (const { connection } of connected)
        expect(flight.subarray(0, connection.received.length)).toEqual(connection.received);
      if (flight !== hello) {
        const whole = connected.filter(({ connection }) => connection.received.length === flight.length);
        expect(whole.length).toBeLessThanOrEqual(1);
      }

      // Nothing left behind: no byte held, no half-open dial, no timer, at most the one connection that has settled.
      expect(memory.bytes).toEqual({ firstFlights: 0, proxyHeaders: 0, readBuffers: 0 });
      expect(world.shared.halfOpenDials).toBe(0);
      expect(world.clock.pendingTimers).toBe(0);
      const isOver = world.client.destroyed;
      expect(world.isFinished).toBe(isOver && world.factory.openConnections === 0);
      expect(world.factory.openConnections).toBeLessThanOrEqual(1);
      let carried = 0;
      for (const record of world.records.values()) {
        carried += record.activeTunnels;
        expect(record.dialing).toBe(0);
      }
      expect(carried).toBe(world.isFinished ? 0 : 1);
    }),
    { numRuns: 3000 },
  );
});

test('a client with one sound endpoint among any others gets an answer', async () => {
  const sound: EndpointScript = {
    dial: { kind: 'connect', afterMs: 20 },
    answers: { kind: 'answer', afterMs: 50, waitsForBytes: hello.length },
  };
  const scenarios = fc.record({
    others: fc.array(script(hello.length), { maxLength: 3 }),
    place: fc.nat(3),
  });
  await fc.assert(
    fc.asyncProperty(scenarios, async ({ others, place }) => {
      const scripts = others.toSpliced(place, 0, sound);
      const world = new ConnectorWorld({ scripts });
      world.client.feed(hello);
      await world.clock.advance(60_000);
      expect(world.answer).toMatch(/^<e\d\|e\d>$/);
      expect(world.client.isReset).toBe(false);
    }),
    { numRuns: 2000 },
  );
});

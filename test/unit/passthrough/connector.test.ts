// Racing dials and first-flight replay, on a fake clock without sockets.
import { flightBufferBytes } from '../../../src/passthrough/connect/flight-buffers.ts';
import { heldLimits, MemoryLedger } from '../../../src/passthrough/socket/memory-ledger.ts';
import { clientHello } from '../../support/clients/client-hello.ts';
import { blackHole, frozen, good, ConnectorWorld, refusing } from '../../support/fakes/connector-world.ts';
import type { EndpointScript } from '../../support/fakes/fake-connections.ts';

const hello = clientHello();

/** A client that sends a whole hello at once, and ten seconds of what follows. */
async function open(
  scripts: readonly EndpointScript[],
  more: Omit<ConstructorParameters<typeof ConnectorWorld>[0], 'scripts'> = {},
  flight = hello,
): Promise<ConnectorWorld> {
  const world = new ConnectorWorld({ scripts, ...more });
  world.client.feed(flight);
  await world.clock.advance(12_000);
  return world;
}

function connectThen(answers: EndpointScript['answers']): EndpointScript {
  return { dial: { kind: 'connect', afterMs: 1 }, answers };
}

test('the first candidate gets the client and no other is dialled', async () => {
  const world = await open([good, good]);
  expect(world.answer).toBe('<e0|e0>');
  expect(world.factory.dials).toHaveLength(1);
  expect(world.receivedBy(0)).toEqual([hello]);
  expect(world.events).toEqual(['1 e0 connected']);
  expect(world.clock.pendingTimers).toBe(0);
});

test('a refusal starts the next dial at once', async () => {
  const world = await open([refusing, refusing, good]);
  expect(world.answer).toBe('<e2|e2>');
  expect(world.events).toEqual(['1 e0 refused', '2 e1 refused', '3 e2 connected']);
});

test('a dial without an answer gets company after 250 ms, and is closed when it loses', async () => {
  const world = await open([blackHole, good]);
  expect(world.answer).toBe('<e1|e1>');
  expect(world.events).toEqual(['250 e0 timeout', '251 e1 connected']);
  expect(world.factory.dials.map(({ connection }) => connection.destroyed)).toEqual([true, false]);
  expect(world.shared.halfOpenDials).toBe(0);
});

test('a slow dial that connects after its company was started still wins', async () => {
  const slow: EndpointScript = { ...good, dial: { kind: 'connect', afterMs: 300 } };
  const world = await open([slow, blackHole]);
  expect(world.answer).toBe('<e0|e0>');
  expect(world.factory.dials.map(({ connection }) => connection.destroyed)).toEqual([false, true]);
});

test('a candidate that lost the race is tried again when the winner stays silent', async () => {
  const slow: EndpointScript = { ...good, dial: { kind: 'connect', afterMs: 260 } };
  const world = await open([slow, frozen]);
  expect(world.answer).toBe('<e0|e0>');
  expect(world.events).toEqual([
    '250 e0 timeout',
    '251 e1 connected',
    '1251 e1 unanswered',
    '1501 e0 timeout',
    '1511 e0 connected',
  ]);
});

test('when every candidate refuses the client is reset within two seconds, not parked', async () => {
  const world = new ConnectorWorld({ scripts: [refusing, refusing] });
  world.client.feed(hello);
  await world.clock.advance(1900);
  expect(world.client.isReset).toBe(false);
  await world.clock.advance(200);
  expect(world.client.isReset).toBe(true);
  expect(world.counters.closed['all-down']).toBe(1);
  await world.clock.advance(0);
  expect(world.isFinished).toBe(true);
  expect(world.clock.pendingTimers).toBe(0);
});

test('a black hole everywhere is the same: a reset after two seconds', async () => {
  const world = await open([blackHole, blackHole, blackHole]);
  expect(world.client.isReset).toBe(true);
  expect(world.events).toEqual(['250 e0 timeout', '500 e1 timeout', '750 e2 timeout']);
  expect(world.factory.openConnections).toBe(0);
  expect(world.shared.halfOpenDials).toBe(0);
});

test('an endpoint that comes back while the client waits gets it', async () => {
  const world = new ConnectorWorld({ scripts: [refusing] });
  world.client.feed(hello);
  await world.clock.advance(300);
  world.scripts = [good];
  await world.clock.advance(400);
  expect(world.answer).toBe('<e0|e0>');
});

test('without any candidate the client waits for one within the deadline', async () => {
  const world = new ConnectorWorld({ scripts: [] });
  world.client.feed(hello);
  await world.clock.advance(2100);
  expect(world.client.isReset).toBe(true);
});

test('a silent endpoint gets company after a second, with the same flight', async () => {
  const world = await open([frozen, good]);
  expect(world.answer).toBe('<e1|e1>');
  expect(world.receivedBy(0)).toEqual([hello]);
  expect(world.receivedBy(1)).toEqual([hello]);
  expect(world.events).toEqual(['1 e0 connected', '1001 e0 unanswered', '1002 e1 connected']);
  expect(world.counters.replays).toBe(1);
  expect(world.factory.dials.map(({ connection }) => connection.destroyed)).toEqual([true, false]);
  expect([...world.records.values()].map(({ activeTunnels }) => activeTunnels)).toEqual([0, 1]);
});

test('the silent endpoint may still answer first, and then the other one is closed', async () => {
  const late = connectThen({ kind: 'answer', afterMs: 1500, waitsForBytes: 1 });
  const world = await open([late, frozen]);
  expect(world.answer).toBe('<e0|e0>');
  expect(world.factory.dials.map(({ connection }) => connection.destroyed)).toEqual([false, true]);
});

test('two silent endpoints in a row cost two seconds', async () => {
  const world = await open([frozen, frozen, good]);
  expect(world.answer).toBe('<e2|e2>');
  expect(world.events.at(-1)).toBe('2003 e2 connected');
});

test.each(['fin', 'reset'] as const)('a %s before the first byte moves on at once', async (kind) => {
  const world = await open([connectThen({ kind, afterMs: 3 }), good]);
  expect(world.answer).toBe('<e1|e1>');
  expect(world.events).toEqual(['1 e0 connected', '4 e0 unanswered', '5 e1 connected']);
  expect(world.counters).toMatchObject({ replays: 0, movedOn: 1 });
});

test('when every candidate closes before its first byte the client is reset', async () => {
  const closing = connectThen({ kind: 'fin', afterMs: 3 });
  const world = await open([closing, closing]);
  expect(world.client.isReset).toBe(true);
  expect(world.counters.closed['no-answer']).toBe(1);
});

test('the last candidate has ten seconds to its first byte, then the client is reset', async () => {
  const world = new ConnectorWorld({ scripts: [frozen] });
  world.client.feed(hello);
  await world.clock.advance(9_900);
  expect(world.client.isReset).toBe(false);
  await world.clock.advance(200);
  expect(world.client.isReset).toBe(true);
  expect(world.events).toEqual(['1 e0 connected', '1001 e0 unanswered']);
  expect(world.clock.pendingTimers).toBe(0);
});

test('an answer after nine seconds is in time', async () => {
  const world = await open([connectThen({ kind: 'answer', afterMs: 9000, waitsForBytes: 1 })]);
  expect(world.answer).toBe('<e0|e0>');
});

test('silence and a further dial that hangs do not hold the client for ever', async () => {
  const world = await open([frozen, blackHole]);
  expect(world.client.isReset).toBe(true);
  expect(world.counters.closed['no-answer']).toBe(1);
});

test('silence does not send a client to an endpoint that is not usable', async () => {
  const world = await open([connectThen({ kind: 'answer', afterMs: 3000, waitsForBytes: 1 }), good], {
    usableCount: 1,
  });
  expect(world.answer).toBe('<e0|e0>');
  expect(world.factory.dials).toHaveLength(1);
});

test('a refusal does, and so does a verdict', async () => {
  expect((await open([refusing, good], { usableCount: 1 })).answer).toBe('<e1|e1>');
  const world = new ConnectorWorld({ scripts: [frozen, good], usableCount: 1 });
  world.client.feed(hello);
  await world.clock.advance(500);
  expect(world.tunnel.connector?.leaveEndpoint(world.shared.record(world.endpoints[0]?.id ?? ''))).toBe(true);
  await world.clock.advance(100);
  expect(world.answer).toBe('<e1|e1>');
});

test('a verdict leaves the client where it is when there is nowhere else', async () => {
  const world = new ConnectorWorld({ scripts: [frozen] });
  world.client.feed(hello);
  await world.clock.advance(500);
  expect(world.tunnel.connector?.leaveEndpoint(world.shared.record(world.endpoints[0]?.id ?? ''))).toBe(
    false,
  );
  expect(world.factory.openConnections).toBe(1);
});

test('a spent budget delays the replay until it has filled again', async () => {
  const world = await open([frozen, good], { withoutBudget: true, options: { replayMinPerSecond: 0.5 } });
  expect(world.answer).toBe('<e1|e1>');
  expect(world.events.at(-1)).toMatch(/^2\d\d\d e1 connected$/);
  expect(world.counters.replaysDenied).toBeGreaterThan(0);
});

test('without any budget the client keeps its silent endpoint for ten seconds', async () => {
  const world = await open([frozen, good], { withoutBudget: true, options: { replayMinPerSecond: 0 } });
  expect(world.client.isReset).toBe(true);
  expect(world.receivedBy(1)).toEqual([]);
});

test('early data is never sent twice', async () => {
  const flight = clientHello({ withEarlyData: true });
  const world = await open([frozen, good], {}, flight);
  expect(world.receivedBy(0)).toEqual([flight]);
  expect(world.receivedBy(1)).toEqual([]);
});

test('a flight that is not TLS is sent twice only where the listener says so', async () => {
  const flight = Buffer.from('GET / HTTP/1.1\r\n\r\n');
  const careful = await open([frozen, good], {}, flight);
  expect(careful.receivedBy(1)).toEqual([]);
  const told = await open([frozen, good], { replayNonTls: true }, flight);
  expect(told.receivedBy(1)).toEqual([flight]);
  expect(told.answer).toBe('<e1|e1>');
});

test('a hello in pieces goes on piece by piece, and is replayed whole', async () => {
  const world = new ConnectorWorld({ scripts: [frozen, good] });
  for (let at = 0; at < hello.length; at += 40) {
    world.client.feed(hello.subarray(at, at + 40));
    await world.clock.advance(300);
  }
  const sentMs = Math.ceil(hello.length / 40) * 300;
  expect(world.receivedBy(0)).toEqual([hello]);
  await world.clock.advance(1100);
  expect(world.receivedBy(1)).toEqual([hello]);
  expect(world.answer).toBe('<e1|e1>');
  // The clock started with the last piece, not with the first.
  expect(world.events).toContain(`${sentMs - 300 + 1000} e0 unanswered`);
});

test('a part of a hello moves on with the client when the endpoint resets', async () => {
  const world = new ConnectorWorld({ scripts: [connectThen({ kind: 'reset', afterMs: 50 }), good] });
  world.client.feed(hello.subarray(0, 100));
  await world.clock.advance(100);
  world.client.feed(hello.subarray(100));
  await world.clock.advance(100);
  expect(world.receivedBy(1)).toEqual([hello]);
  expect(world.answer).toBe('<e1|e1>');
});

test('a client that goes on without an answer is committed to the endpoint that has had it longest', async () => {
  const world = new ConnectorWorld({ scripts: [frozen, frozen, good] });
  world.client.feed(hello);
  await world.clock.advance(1500);
  world.client.feed(Buffer.from('more'));
  await world.clock.advance(5000);
  expect(world.receivedBy(0)).toEqual([Buffer.concat([hello, Buffer.from('more')])]);
  expect(world.receivedBy(1)).toEqual([hello]);
  expect(world.factory.dials.map(({ connection }) => connection.destroyed)).toEqual([false, true]);
});

test('more than 16 KiB before the connect is held back, and goes to one endpoint only', async () => {
  const world = new ConnectorWorld({
    scripts: [{ ...frozen, dial: { kind: 'connect', afterMs: 100 } }, good],
  });
  const flight = Buffer.concat([Buffer.from([22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff]), Buffer.alloc(20_000)]);
  world.client.feed(flight.subarray(0, 10_000));
  expect(world.client.isPaused).toBe(false);
  world.client.feed(flight.subarray(10_000));
  expect(world.client.isPaused).toBe(true);
  await world.clock.advance(5000);
  expect(world.client.isPaused).toBe(false);
  expect(world.receivedBy(0)).toEqual([flight]);
  expect(world.receivedBy(1)).toEqual([]);
});

test('a client that says nothing stays where it connected, unjudged, without a timer', async () => {
  const world = new ConnectorWorld({ scripts: [frozen, good] });
  await world.clock.advance(60_000);
  expect(world.events).toEqual(['1 e0 connected']);
  expect(world.clock.pendingTimers).toBe(0);
  world.client.feed(hello);
  await world.clock.advance(1100);
  expect(world.answer).toBe('<e1|e1>');
});

test('a server that speaks first is heard', async () => {
  const world = new ConnectorWorld({
    scripts: [connectThen({ kind: 'answer', afterMs: 5, waitsForBytes: 0 })],
  });
  await world.clock.advance(100);
  expect(world.answer).toBe('<e0|e0>');
});

test('a silent client moves on when its endpoint goes, and nobody is blamed', async () => {
  const world = new ConnectorWorld({ scripts: [connectThen({ kind: 'reset', afterMs: 5000 }), good] });
  await world.clock.advance(6000);
  expect(world.events).toEqual(['1 e0 connected', '5002 e1 connected']);
  world.client.feed(hello);
  await world.clock.advance(100);
  expect(world.answer).toBe('<e1|e1>');
});

test('the end of a long idle connection is passed on as it is', async () => {
  const world = new ConnectorWorld({ scripts: [connectThen({ kind: 'fin', afterMs: 32_000 }), good] });
  await world.clock.advance(33_000);
  expect(world.client.isEnded).toBe(true);
  expect(world.factory.dials).toHaveLength(1);
});

test('a client that leaves takes every dial and attempt with it', async () => {
  const world = new ConnectorWorld({ scripts: [frozen, blackHole] });
  world.client.feed(hello);
  await world.clock.advance(1100);
  expect(world.factory.openConnections).toBe(2);
  world.client.fail('ECONNRESET');
  await world.clock.advance(0);
  expect(world.factory.openConnections).toBe(0);
  expect(world.factory.dials[0]?.connection.isReset).toBe(true);
  expect(world.isFinished).toBe(true);
  expect(world.shared.halfOpenDials).toBe(0);
  const eventsSoFar = [...world.events];
  await world.clock.advance(20_000);
  expect(world.events).toEqual(eventsSoFar);
  expect(world.clock.pendingTimers).toBe(0);
});

test("a client's FIN while it connects reaches the endpoint after its bytes", async () => {
  const world = new ConnectorWorld({ scripts: [good] });
  world.client.feed(hello);
  world.client.feedFin();
  await world.clock.advance(100);
  expect(world.receivedBy(0)).toEqual([hello]);
  expect(world.factory.dials[0]?.connection.isEnded).toBe(true);
  expect(world.answer).toBe('<e0|e0>');
});

test('our own standstill judges nobody and moves nobody', async () => {
  const world = new ConnectorWorld({
    scripts: [connectThen({ kind: 'answer', afterMs: 4000, waitsForBytes: 1 }), good],
  });
  world.client.feed(hello);
  await world.clock.advance(500);
  await world.clock.stall(3600);
  expect(world.answer).toBe('<e0|e0>');
  expect(world.events).toEqual(['1 e0 connected']);
});

test('a standstill during a dial starts its time again', async () => {
  const slow: EndpointScript = { ...good, dial: { kind: 'connect', afterMs: 5100 } };
  const world = new ConnectorWorld({ scripts: [slow, good] });
  world.client.feed(hello);
  await world.clock.advance(100);
  await world.clock.stall(4900);
  await world.clock.advance(200);
  expect(world.answer).toBe('<e0|e0>');
  expect(world.events).toEqual(['5100 e0 connected']);
});

test('our own shortage is nobody else’s fault', async () => {
  const short: EndpointScript = {
    dial: { kind: 'fail', afterMs: 0, code: 'EMFILE' },
    answers: { kind: 'silent' },
  };
  const world = await open([short, good]);
  expect(world.events).toEqual(['0 e0 exhausted', '1 e1 connected']);
});

test('a full set of half-open dials delays dials instead of adding to them', async () => {
  const world = new ConnectorWorld({ scripts: [blackHole, good], options: { maxHalfOpenDials: 1 } });
  world.client.feed(hello);
  await world.clock.advance(1900);
  expect(world.shared.halfOpenDials).toBe(1);
  expect(world.factory.dials).toHaveLength(1);
  await world.clock.advance(200);
  expect(world.client.isReset).toBe(true);
  expect(world.shared.halfOpenDials).toBe(0);
});

test('where other protocols are replayed, a client that goes on is committed as well', async () => {
  const world = new ConnectorWorld({ scripts: [frozen, frozen, good], replayNonTls: true });
  world.client.feed(Buffer.from('question'));
  await world.clock.advance(1500);
  world.client.feed(Buffer.from(' and more'));
  await world.clock.advance(5000);
  expect(world.receivedBy(0)).toEqual([Buffer.from('question and more')]);
  expect(world.receivedBy(1)).toEqual([Buffer.from('question')]);
  expect(world.factory.dials.map(({ connection }) => connection.destroyed)).toEqual([false, true]);
});

test('the loss of a silent endpoint starts no further dial while its company still has time', async () => {
  const silentThenReset = connectThen({ kind: 'reset', afterMs: 1200 });
  const slow = connectThen({ kind: 'answer', afterMs: 600, waitsForBytes: 1 });
  const world = await open([silentThenReset, slow, good]);
  expect(world.answer).toBe('<e1|e1>');
  expect(world.factory.dials).toHaveLength(2);
});

describe('when the process holds as many first flights as it may', () => {
  const withLimit = (firstFlights: number) => new MemoryLedger({ ...heldLimits, firstFlights });

  test('a client stays where it connected, and its flight is not sent to a second endpoint', async () => {
    const memory = withLimit(2 * flightBufferBytes - 1);
    const world = new ConnectorWorld({ scripts: [frozen, good], memory });
    world.client.feed(hello);
    await world.clock.advance(60_000);
    expect(world.receivedBy(0)).toEqual([hello]);
    expect(world.receivedBy(1)).toEqual([]);
    expect(world.client.isReset).toBe(false);
    expect(memory.totalBytes).toBe(0);
  });

  test('a client that is not connected yet is connected as ever', async () => {
    const world = new ConnectorWorld({ scripts: [good], memory: withLimit(flightBufferBytes) });
    world.client.feed(hello);
    await world.clock.advance(1_000);
    expect(world.answer).toBe('<e0|e0>');
  });

  test('above the whole limit a client without an endpoint is reset', async () => {
    const memory = withLimit(flightBufferBytes - 1);
    const world = new ConnectorWorld({ scripts: [blackHole], memory });
    world.client.feed(hello);
    expect(world.client.isReset).toBe(true);
    expect(world.counters.closed.limit).toBe(1);
    await world.clock.advance(60_000);
    expect(memory.totalBytes).toBe(0);
    expect(world.clock.pendingTimers).toBe(0);
  });
});

import { type MemoryUse, Monitor, type MonitoredConnection } from '../../../src/health/monitor.ts';
import type { CheckResult, ProbePhase, RunningCheck } from '../../../src/health/probe.ts';
import type { ProbeResult } from '../../../src/health/verdict.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import type { Verdict } from '../../../src/model/snapshot.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

const options = {
  intervalMs: 2_000,
  standbyIntervalMs: 60_000,
  fastIntervalMs: 500,
  timeoutMs: 1_000,
  reconnectMs: 600_000,
};

/** A connection whose checks the test ends; `mode` says how far they come by themselves. */
class FakeConnection implements MonitoredConnection {
  isUsed = false;
  isClosed = false;
  connectMs: number | undefined = 1;
  onLost: (() => void) | undefined;
  running: { phase: ProbePhase; done: (result: CheckResult) => void } | undefined;
  readonly world: World;
  constructor(world: World) {
    this.world = world;
  }
  get isKept(): boolean {
    return this.isUsed && !this.isClosed && !this.running;
  }
  run(done: (result: CheckResult) => void): RunningCheck {
    const running = { phase: (this.isUsed ? 'requesting' : this.world.stuckAt) as ProbePhase, done };
    this.running = running;
    this.world.startedAtMs.push(this.world.clock.nowMs());
    this.world.checks.push(this.isUsed ? 'kept' : 'fresh');
    const { answer } = this.world;
    if (answer) queueMicrotask(() => this.end(answer));
    return {
      get phase() {
        return running.phase;
      },
      abort: () => {
        this.running = undefined;
        this.isClosed = true;
      },
    };
  }
  end(result: CheckResult): void {
    const { running } = this;
    if (!running) return;
    this.running = undefined;
    if (result.kind === 'answered') this.isUsed = true;
    else this.isClosed = true;
    running.done(result);
  }
  close(): void {
    this.isClosed = true;
  }
}

class World {
  readonly clock = new FakeClock();
  checks: string[] = [];
  connections: FakeConnection[] = [];
  results: { result: ProbeResult; atMs: number }[] = [];
  suspectedAtMs: number[] = [];
  answer: CheckResult | undefined = { kind: 'answered', isExpected: true, status: 200 };
  stuckAt: ProbePhase = 'connecting';
  verdict: Verdict = 'unknown';
  isInUse = true;
  memory: MemoryUse | undefined;
  startedAtMs: number[] = [];
  readonly monitor = new Monitor(makeEndpoint('10.0.0.1', 6443), {
    clock: this.clock,
    random: () => 0.5,
    options: () => options,
    connect: () => {
      const connection = new FakeConnection(this);
      this.connections.push(connection);
      return connection;
    },
    verdict: () => this.verdict,
    isInUse: () => this.isInUse,
    memory: () => this.memory,
    onSuspected: () => {
      this.suspectedAtMs.push(this.clock.nowMs());
      if (this.verdict === 'ready') this.verdict = 'suspect';
    },
    onResult: (result) => {
      this.results.push({ result, atMs: this.clock.nowMs() });
      if (result.kind === 'answered') this.verdict = result.isExpected ? 'ready' : 'unready';
    },
  });

  async start(): Promise<void> {
    this.monitor.probeNow();
    await this.clock.advance(0);
  }
}

test('probes of an endpoint in use go over one kept connection, two seconds apart at most', async () => {
  const world = new World();
  await world.start();
  await world.clock.advance(20_000);
  expect(world.connections).toHaveLength(1);
  expect(world.results.length).toBeGreaterThanOrEqual(10);
  expect(world.results.length).toBeLessThanOrEqual(13);
});

test('an endpoint that carries nothing is probed about once a minute', async () => {
  const world = new World();
  world.isInUse = false;
  await world.start();
  await world.clock.advance(300_000);
  expect(world.results.length).toBeGreaterThanOrEqual(5);
  expect(world.results.length).toBeLessThanOrEqual(7);
});

test('an endpoint in use that falls silent is found so within three seconds', async () => {
  const world = new World();
  await world.start();
  const lastSignMs = world.clock.nowMs();
  world.answer = undefined;
  await world.clock.advance(5_000);
  const silence = world.results.find(({ result }) => result.kind === 'silent');
  expect(silence?.result).toEqual({ kind: 'silent', layer: 4 });
  expect(silence && silence.atMs - lastSignMs).toBeLessThanOrEqual(3_000);
  expect(world.suspectedAtMs[0]).toBeLessThan(silence?.atMs ?? 0);
});

test('one in use that answers badly is asked again a third of a second later, then less and less often', async () => {
  const world = new World();
  await world.start();
  world.answer = { kind: 'answered', isExpected: false, status: 500 };
  await world.clock.advance(8_000);
  const times = world.results.filter(({ result }) => result.kind === 'answered' && !result.isExpected);
  const gaps = times.slice(1).map(({ atMs }, index) => Math.round(atMs - (times[index]?.atMs ?? 0)));
  expect(gaps[0]).toBe(300);
  expect(gaps[1]).toBeGreaterThan(1_000);
  expect(gaps[2]).toBeGreaterThan(gaps[1] ?? 0);
});

test('silence takes two fresh connections that fail, beside the kept one', async () => {
  const world = new World();
  await world.start();
  world.answer = undefined;
  world.checks = [];
  await world.clock.advance(2_100);
  expect(world.checks).toEqual(['kept', 'fresh']);
  await world.clock.advance(700);
  expect(world.checks.slice(0, 3)).toEqual(['kept', 'fresh', 'fresh']);
});

test('one fresh connection that fails is not silence while the other may still answer', async () => {
  const world = new World();
  await world.start();
  world.answer = undefined;
  await world.clock.advance(2_050);
  expect(world.connections).toHaveLength(2); // late: the first fresh one
  await world.clock.advance(460); // it has failed, and the second one is under way
  expect(world.connections).toHaveLength(3);
  expect(world.connections[1]?.isClosed).toBe(true);
  expect(world.results).toHaveLength(1);
  world.connections[2]?.end({ kind: 'answered', isExpected: true, status: 200 });
  await world.clock.advance(0);
  expect(world.results.map(({ result }) => result.kind)).toEqual(['answered', 'answered']);
});

test('beside a fresh connection that has finished TLS no second one is tried', async () => {
  const world = new World();
  await world.start();
  world.answer = undefined;
  world.stuckAt = 'requesting';
  world.checks = [];
  await world.clock.advance(2_900);
  expect(world.checks).toEqual(['kept', 'fresh']);
});

test('a fresh connection that finishes TLS and gets no answer is reported as layer 7', async () => {
  const world = new World();
  world.stuckAt = 'requesting';
  world.answer = undefined;
  await world.start();
  await world.clock.advance(4_000);
  expect(world.results[0]?.result).toEqual({ kind: 'silent', layer: 7 });
});

test('an answer that comes while fresh connections are tried ends the round and all of them', async () => {
  const world = new World();
  await world.start();
  world.answer = undefined;
  await world.clock.advance(2_300);
  const kept = world.connections[0];
  kept?.end({ kind: 'answered', isExpected: true, status: 200 });
  await world.clock.advance(0);
  expect(world.results.at(-1)?.result.kind).toBe('answered');
  expect(world.connections.slice(1).every(({ isClosed }) => isClosed)).toBe(true);
  expect(kept?.isClosed).toBe(false);
});

test('a kept connection that the endpoint closes is confirmed at once on a fresh one', async () => {
  const world = new World();
  await world.start();
  world.checks = [];
  world.answer = { kind: 'refused' };
  world.connections[0]?.onLost?.();
  await world.clock.advance(0);
  expect(world.checks).toEqual(['fresh']);
  expect(world.results.at(-1)?.result).toEqual({ kind: 'refused' });
});

test('a kept connection lost under the request is no verdict: a fresh one is asked', async () => {
  const world = new World();
  await world.start();
  world.answer = undefined;
  world.monitor.probeNow();
  world.answer = { kind: 'answered', isExpected: true, status: 200 };
  world.connections[0]?.end({ kind: 'lost' });
  await world.clock.advance(0);
  expect(world.connections).toHaveLength(2);
  expect(world.results.map(({ result }) => result.kind)).toEqual(['answered', 'answered']);
});

test('a process that was stopped judges nobody', async () => {
  const world = new World();
  await world.start();
  world.answer = undefined;
  world.monitor.probeNow();
  await world.clock.stall(5_000);
  expect(world.suspectedAtMs).toEqual([]);
  expect(world.results).toHaveLength(1);
  world.connections[0]?.end({ kind: 'answered', isExpected: true, status: 200 });
  await world.clock.advance(0);
  expect(world.results).toHaveLength(2);
});

test('our own shortage is no result; the next probe comes soon', async () => {
  const world = new World();
  world.answer = { kind: 'void', text: 'EMFILE' };
  await world.start();
  expect(world.results).toEqual([]);
  world.answer = { kind: 'answered', isExpected: true, status: 200 };
  await world.clock.advance(1_000);
  expect(world.results).toHaveLength(1);
});

test('the kept connection is replaced about every ten minutes', async () => {
  const world = new World();
  await world.start();
  await world.clock.advance(1_300_000);
  expect(world.connections).toHaveLength(3);
  expect(world.connections.slice(0, 2).every(({ isClosed }) => isClosed)).toBe(true);
});

test('new credentials open a new connection at once', async () => {
  const world = new World();
  await world.start();
  world.monitor.reopen();
  await world.clock.advance(0);
  expect(world.connections).toHaveLength(2);
  expect(world.connections[0]?.isClosed).toBe(true);
  expect(world.results).toHaveLength(2);
});

test('a standby that comes into use is probed within the interval of one in use', async () => {
  const world = new World();
  world.isInUse = false;
  await world.start();
  world.isInUse = true;
  world.monitor.reschedule();
  await world.clock.advance(2_000);
  expect(world.results).toHaveLength(2);
});

test.each([
  ['refuses is asked every five seconds or so: that costs it nothing', { kind: 'refused' }, 11, 20],
  ['answers badly is spared', { kind: 'answered', isExpected: false, status: 500 }, 4, 9],
] as const)('a standby that %s', async (_, answer, least, most) => {
  const world = new World();
  world.isInUse = false;
  await world.start();
  world.verdict = 'unready';
  world.answer = answer;
  await world.clock.advance(120_000);
  world.results = [];
  await world.clock.advance(60_000);
  expect(world.results.length).toBeGreaterThanOrEqual(least);
  expect(world.results.length).toBeLessThanOrEqual(most);
});

test('after stop nothing runs and no timer is left', async () => {
  const world = new World();
  await world.start();
  world.answer = undefined;
  world.monitor.probeNow();
  world.monitor.stop();
  await world.clock.advance(100_000);
  expect(world.results).toHaveLength(1);
  expect(world.clock.pendingTimers).toBe(0);
});

test('an endpoint that answers after it was away is starting: it is asked again soon', async () => {
  const world = new World();
  world.isInUse = false;
  world.answer = { kind: 'refused' };
  world.verdict = 'unready';
  await world.start();
  await world.clock.advance(600_000);
  world.answer = { kind: 'answered', isExpected: false, status: 500 };
  world.results = [];
  while (world.results.length === 0) await world.clock.advance(100);
  await world.clock.advance(4_000);
  expect(world.results.length).toBeGreaterThanOrEqual(3);
  // One that goes on failing is spared again.
  await world.clock.advance(600_000);
  world.results = [];
  await world.clock.advance(60_000);
  expect(world.results.length).toBeLessThanOrEqual(5);
});

describe('a remembered endpoint', () => {
  const hour = 3_600_000;

  test('that answers costs less than a handshake in 70 minutes at rest, and keeps no connection', async () => {
    const world = new World();
    world.isInUse = false;
    world.memory = 'resting';
    await world.start();
    expect(world.connections.at(-1)?.isClosed).toBe(true);
    await world.clock.advance(70 * 60_000 - 1);
    expect(world.connections).toHaveLength(1);
    await world.clock.advance(24 * hour);
    expect(world.connections.length).toBeGreaterThan(10);
  });

  test('that refuses is asked every five to ten minutes at rest', async () => {
    const world = new World();
    world.isInUse = false;
    world.memory = 'resting';
    world.answer = { kind: 'refused' };
    world.verdict = 'unready';
    await world.start();
    world.results = [];
    await world.clock.advance(hour);
    expect(world.results.length).toBeGreaterThanOrEqual(6);
    expect(world.results.length).toBeLessThanOrEqual(12);
  });

  test.each(['refused', 'silent'] as const)(
    'that is needed is asked every second while it is %s',
    async (kind) => {
      const world = new World();
      world.isInUse = false;
      world.memory = 'needed';
      world.answer = kind === 'refused' ? { kind } : undefined;
      world.verdict = kind === 'refused' ? 'unready' : 'dead';
      await world.start();
      await world.clock.advance(30_000);
      const starts = world.startedAtMs;
      const gaps = starts.slice(1).map((at, index) => at - starts[index]!);
      expect(starts.length).toBeGreaterThanOrEqual(27);
      expect(Math.max(...gaps)).toBeLessThanOrEqual(1_100);
    },
  );

  test('that comes back is soon asked again, however long it was away', async () => {
    const world = new World();
    world.memory = 'needed';
    world.answer = { kind: 'refused' };
    world.verdict = 'unready';
    await world.start();
    await world.clock.advance(600_000);
    world.answer = { kind: 'answered', isExpected: false, status: 500 };
    await world.clock.advance(1_200);
    world.results = [];
    await world.clock.advance(3_000);
    expect(world.results.length).toBeGreaterThanOrEqual(2);
  });

  test('that is listed again is asked at once, and as often as a new one', async () => {
    const world = new World();
    world.isInUse = false;
    world.answer = { kind: 'refused' };
    world.verdict = 'unready';
    await world.start();
    world.memory = 'resting';
    world.monitor.reschedule();
    await world.clock.advance(20 * 60_000);
    world.memory = undefined;
    world.results = [];
    world.monitor.reschedule();
    await world.clock.advance(1);
    expect(world.results).toHaveLength(1);
    // It has come back by its address, and answers a moment later.
    await world.clock.advance(5_000);
    expect(world.results.length).toBeGreaterThanOrEqual(4);
    world.monitor.reschedule();
    const before = world.results.length;
    await world.clock.advance(1);
    expect(world.results).toHaveLength(before);
  });
});

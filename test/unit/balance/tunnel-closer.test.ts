import { TunnelCloser, type ClosableTunnels } from '../../../src/balance/tunnel-closer.ts';
import type { BalancePolicy } from '../../../src/balance/picker.ts';
import { SnapshotPublisher } from '../../../src/balance/snapshot.ts';
import { makeSnapshot } from '../../../src/balance/snapshot.ts';
import { type HealthState, initialHealth } from '../../../src/health/verdict.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import type { Demotion } from '../../../src/balance/demotion.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

/** Endpoints with tunnels, in the order of their names; the states are the test's. */
function world(policy: BalancePolicy = 'rendezvous') {
  const clock = new FakeClock();
  const snapshots = new SnapshotPublisher();
  const states = new Map<string, HealthState>();
  const tunnels = new Map<string, number>();
  const demotions = new Map<string, Demotion>();
  const asked: string[] = [];
  const did: string[] = [];
  const draining = new Set<string>();
  const busy = { isBusy: false };
  const table: ClosableTunnels = {
    traffic: (id) => ({ activeTunnels: tunnels.get(id) ?? 0, totalTunnels: 0, bytesUp: 0, bytesDown: 0 }),
    records: () => [...tunnels].map(([id, activeTunnels]) => ({ id, activeTunnels })),
    resetEndpoint: (id) => did.push(`reset ${id}`),
    drain: (id) => {
      draining.add(id);
      did.push(`drain ${id}`);
    },
    cancelDrain: (id) => {
      draining.delete(id);
      did.push(`keep ${id}`);
    },
    isDraining: (id) => draining.has(id),
    resetUnanswered: () => 0,
    closeOneQuiet: (id) => {
      if (busy.isBusy) return false;
      did.push(`move from ${id}`);
      tunnels.set(id, (tunnels.get(id) ?? 1) - 1);
      return true;
    },
  };
  const publish = () => {
    const set = {
      endpoints: [...states.keys()].map((id) => ({
        ...makeEndpoint(id.split(':')[0] ?? '', 6443),
        tier: 'discovered' as const,
        sources: ['static' as const],
      })),
    };
    snapshots.publish((version) =>
      makeSnapshot(
        {
          set,
          state: (id) => states.get(id),
          nodeName: 'node-1',
          nowMs: clock.nowMs(),
          wallMs: clock.wallMs(),
          demotions,
        },
        version,
      ),
    );
  };
  const closer = new TunnelCloser({
    clock,
    random: () => 0,
    log: { info: () => {}, warn: () => {} },
    snapshots,
    table,
    state: (id) => states.get(id),
    ask: () => {},
    prove: (id) => asked.push(id),
    options: () => ({
      unreadyAfterMs: 5_000,
      betterReadyForMs: 20_000,
      windowMs: 10_000,
      shutdownWindowMs: 60_000,
      fall: 3,
      policy,
      rebalance: { enabled: true, overMs: busy.isBusy ? 600_000 : 1_000 },
    }),
  });
  return {
    clock,
    closer,
    asked,
    did,
    busy,
    snapshots,
    set(id: string, state: Partial<HealthState>, count = 0) {
      states.set(id, { ...initialHealth(-1e6), ...state });
      tunnels.set(id, count);
      publish();
    },
    demote(id: string) {
      demotions.set(id, { rank: 2, reason: 'client-name', text: 'certificate is not valid for a' });
      publish();
    },
  };
}
const [one, two, three] = ['10.0.0.1:6443', '10.0.0.2:6443', '10.0.0.3:6443'] as const;
const ready = { verdict: 'ready', sinceMs: -1e6, upSinceMs: -1e6, lastGoodMs: 1e6 } as const;
const unready = { verdict: 'unready', sinceMs: -1e5, badInRow: 9, lastBadMs: 0 } as const;

test('tunnels do not drain towards an endpoint that was not proved lately, and a proof is asked for', async () => {
  const { closer, asked, did, set, clock } = world();
  set(one, unready, 5);
  set(two, { ...ready, provedMs: clock.nowMs() - 60_001 });
  closer.evaluate();
  expect({ asked, did }).toEqual({ asked: [two], did: [] });
  set(two, { ...ready, provedMs: clock.nowMs() });
  closer.evaluate();
  expect(did).toEqual([`drain ${one}`]);
  closer.stop();
});

test('a proof from before the drain was due is not enough', async () => {
  const { closer, asked, did, set, clock } = world();
  set(two, { ...ready, provedMs: clock.nowMs() });
  await clock.advance(500);
  set(one, unready, 5);
  closer.evaluate();
  expect({ asked, did }).toEqual({ asked: [two], did: [] });
  await clock.advance(300);
  set(two, { ...ready, provedMs: clock.nowMs() });
  await clock.advance(300);
  closer.evaluate();
  expect(did).toEqual([`drain ${one}`]);
  closer.stop();
});

test('by rendezvous the endpoint that new clients get must be proved, by other policies all of them', () => {
  for (const policy of ['rendezvous', 'least-connections'] as const) {
    const { closer, asked, did, set, clock, snapshots } = world(policy);
    for (const id of [one, two, three]) set(id, ready);
    const [holder, next, last] = snapshots.current.candidates.map(({ id }) => id);
    set(holder!, unready, 5);
    set(last!, { ...ready, provedMs: clock.nowMs() });
    closer.evaluate();
    expect({ asked, did }).toEqual({ asked: [next], did: [] });
    set(next!, { ...ready, provedMs: clock.nowMs() });
    set(last!, { ...ready, provedMs: clock.nowMs() - 1 });
    closer.evaluate();
    expect(did).toEqual(policy === 'rendezvous' ? [`drain ${holder}`] : []);
    closer.stop();
  }
});

test('the proof that a drain needs is asked for while the others are asked how they are', () => {
  const { closer, asked, did, set, clock } = world();
  set(
    one,
    { ...unready, sickness: 'own', reason: { code: 'L7STS', status: 500 }, sinceMs: clock.nowMs() },
    5,
  );
  set(two, { ...ready, provedMs: clock.nowMs() - 60_001 });
  closer.evaluate();
  expect({ asked, did }).toEqual({ asked: [two], did: [] });
  closer.stop();
});

test('nothing drains towards an endpoint whose certificate is doubtful', () => {
  const { closer, asked, did, set, demote, clock } = world();
  set(one, unready, 5);
  set(two, { ...ready, provedMs: clock.nowMs() });
  demote(two);
  closer.evaluate();
  expect({ asked, did }).toEqual({ asked: [], did: [] });
  closer.stop();
});

test('a drain that has begun goes on when its proof grows old', async () => {
  const { closer, did, set, clock } = world();
  set(one, unready, 5);
  set(two, { ...ready, provedMs: clock.nowMs() });
  closer.evaluate();
  await clock.advance(120_000);
  expect(did).toEqual([`drain ${one}`]);
  closer.stop();
});

test.each<BalancePolicy>(['rendezvous', 'least-connections'])(
  'by %s a tunnel moves only to an endpoint that was proved lately',
  async (policy) => {
    const { closer, asked, did, set, clock, snapshots } = world(policy);
    for (const id of [one, two, three]) set(id, ready);
    const [first, second] = snapshots.current.candidates.map(({ id }) => id);
    set(second!, { ...ready, provedMs: 0 }, 8);
    await clock.advance(10_000);
    expect(did).toEqual([]);
    expect(asked).toContain(first);
    asked.length = 0;
    await clock.advance(60_001);
    for (const id of [one, two, three]) if (id !== second) set(id, { ...ready, provedMs: clock.nowMs() });
    await clock.advance(3_000);
    expect(did[0]).toBe(`move from ${second}`);
    closer.stop();
  },
);

test('no tunnel moves towards an endpoint whose certificate is doubtful', async () => {
  const { closer, did, set, demote, clock, snapshots } = world();
  for (const id of [one, two]) set(id, { ...ready, provedMs: clock.nowMs() });
  const [first, second] = snapshots.current.candidates.map(({ id }) => id);
  set(second!, { ...ready, provedMs: clock.nowMs() }, 8);
  demote(first!);
  expect(snapshots.current.candidates.map(({ id }) => id)).toEqual([second, first]);
  await clock.advance(10_000);
  expect(did).toEqual([]);
  closer.stop();
});

test('tunnels that are never quiet cost few proofs', async () => {
  const { closer, asked, did, set, clock, snapshots, busy } = world();
  busy.isBusy = true;
  for (const id of [one, two]) set(id, ready);
  const [first, second] = snapshots.current.candidates.map(({ id }) => id);
  set(second!, ready, 1);
  for (let second = 0; second < 3_600; second += 1) {
    await clock.advance(1_000);
    // Each proof that is asked for succeeds.
    if (asked.at(-1) === first) set(first!, { ...ready, provedMs: clock.nowMs() });
    if (asked.length > 0 && asked.at(-1) === first) asked.push('-');
  }
  expect(did).toEqual([]);
  // An hour is six times the ten minutes; half of that at the least.
  expect(asked.filter((id) => id === first).length).toBeGreaterThan(3);
  expect(asked.filter((id) => id === first).length).toBeLessThanOrEqual(13);
  closer.stop();
}, 30_000);

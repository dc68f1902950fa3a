import { TunnelCloser, type ClosableTunnels } from '../../../src/balance/tunnel-closer.ts';
import { SnapshotPublisher } from '../../../src/balance/snapshot.ts';
import { isOnMemory, makeSnapshot } from '../../../src/balance/snapshot.ts';
import { type HealthState, initialHealth } from '../../../src/health/verdict.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import type { Tier, Verdict } from '../../../src/model/snapshot.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';

/** A node with tunnels to some of the endpoints; what is done to them is noted. */
function world(tunnels: Readonly<Record<string, number>>) {
  const clock = new FakeClock();
  const done: string[] = [];
  const states = new Map<string, HealthState>();
  const snapshots = new SnapshotPublisher();
  const count = (id: string) => tunnels[id] ?? 0;
  const table: ClosableTunnels = {
    traffic: (id) => ({ activeTunnels: count(id), totalTunnels: 0, bytesUp: 0, bytesDown: 0 }),
    records: () => Object.entries(tunnels).map(([id, activeTunnels]) => ({ id, activeTunnels })),
    resetEndpoint: (id) => done.push(`reset ${id}`),
    drain: (id) => void done.push(`drain ${id}`),
    cancelDrain: () => {},
    isDraining: (id) => done.includes(`drain ${id}`),
    resetUnanswered: () => 0,
    closeOneQuiet: (id) => done.push(`move ${id}`) > 0,
  };
  /** Whoever is ready answers at once, with a good certificate. */
  const answerAll = (): void => {
    const nowMs = clock.nowMs();
    for (const [id, state] of states) {
      if (state.verdict !== 'ready') continue;
      states.set(id, { ...state, lastGoodMs: nowMs, provedMs: nowMs, promptAskedMs: nowMs });
    }
  };
  const closer = new TunnelCloser({
    clock,
    random: () => 0.5,
    log: recordingLog(),
    snapshots,
    table,
    state: (id) => states.get(id),
    ask: answerAll,
    prove: answerAll,
    options: () => ({
      unreadyAfterMs: 5_000,
      betterReadyForMs: 20_000,
      windowMs: 10_000,
      shutdownWindowMs: 60_000,
      fall: 3,
      policy: 'rendezvous',
      rebalance: { enabled: true, overMs: 10_000 },
    }),
  });
  const publish = (...endpoints: readonly (readonly [host: string, tier: Tier, verdict: Verdict])[]) => {
    const known = endpoints.map(([host, tier]) => ({ ...makeEndpoint(host, 6443), tier, sources: [] }));
    const nowMs = clock.nowMs();
    for (const [index, endpoint] of known.entries()) {
      const verdict = endpoints[index]![2];
      const before = states.get(endpoint.id);
      if (before?.verdict === verdict) continue;
      const good = verdict === 'ready' && {
        upSinceMs: nowMs,
        lastGoodMs: nowMs,
        isVerified: true,
        verifiedMs: nowMs,
        provedMs: nowMs,
      };
      states.set(endpoint.id, { ...initialHealth(nowMs), verdict, lastBadMs: nowMs, ...good });
    }
    const state = (id: string) => states.get(id);
    const set = { endpoints: known };
    const since = isOnMemory(set, state) && { onMemorySinceMs: 0 };
    snapshots.publish((version) =>
      makeSnapshot({ set, state, nodeName: 'n', nowMs, wallMs: 1e12, ...since }, version),
    );
    closer.evaluate();
  };
  return { clock, done, publish, stop: () => closer.stop() };
}

test('tunnels of an endpoint that is only remembered drain once a listed one has been ready for a while', async () => {
  const { clock, done, publish, stop } = world({ '10.0.0.1:6443': 5 });
  publish(['10.0.0.1', 'remembered', 'ready'], ['10.0.0.2', 'discovered', 'ready']);
  await clock.advance(19_000);
  expect(done).toEqual([]);
  await clock.advance(3_000);
  expect(done).toEqual(['drain 10.0.0.1:6443']);
  stop();
});

test('nothing moves from one remembered endpoint to another', async () => {
  const { clock, done, publish, stop } = world({ '10.0.0.1:6443': 5, '10.0.0.3:6443': 5 });
  publish(
    ['10.0.0.1', 'remembered', 'ready'],
    ['10.0.0.3', 'remembered', 'ready'],
    ['10.0.0.2', 'discovered', 'dead'],
  );
  await clock.advance(25_000);
  expect(done.filter((what) => what.startsWith('drain'))).toEqual([]);
  stop();
});

test('nothing moves towards a remembered endpoint while a listed one is usable', async () => {
  const { clock, done, publish, stop } = world({ '10.0.0.2:6443': 5 });
  publish(['10.0.0.1', 'remembered', 'ready'], ['10.0.0.2', 'discovered', 'ready']);
  await clock.advance(120_000);
  expect(done).toEqual([]);
  stop();
});

test('a dead endpoint loses its tunnels when a remembered one is all that answers', () => {
  const { done, publish, stop } = world({ '10.0.0.2:6443': 5 });
  publish(['10.0.0.1', 'remembered', 'ready'], ['10.0.0.2', 'discovered', 'dead']);
  expect(done).toEqual(['reset 10.0.0.2:6443']);
  stop();
});

test('a remembered endpoint that is not usable is nowhere to go', () => {
  const { done, publish, stop } = world({ '10.0.0.2:6443': 5 });
  publish(
    ['10.0.0.1', 'remembered', 'ready'],
    ['10.0.0.2', 'discovered', 'dead'],
    ['10.0.0.3', 'seed', 'unknown'],
  );
  expect(done).toEqual([]);
  stop();
});

import { heldLimits, MemoryLedger } from '../../../src/passthrough/socket/memory-ledger.ts';
import { StalledTunnels } from '../../../src/passthrough/tunnel/stalled-tunnels.ts';
import type { Tunnel } from '../../../src/passthrough/tunnel/tunnel.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

function stalledTunnels(memory = new MemoryLedger()) {
  const clock = new FakeClock();
  const stalled = new StalledTunnels(clock, memory);
  const ended: string[] = [];
  const tunnel = (name: string) => {
    const fake = {
      isStalled: true,
      hasPeer: true,
      client: { hasPeer: () => fake.hasPeer },
      reset: (why: string) => end(why),
      evict: () => end('evicted'),
    };
    const end = (why: string) => {
      ended.push(`${name} ${why}`);
      fake.isStalled = false;
    };
    stalled.add(fake as unknown as Tunnel);
    return fake;
  };
  return { clock, stalled, ended, tunnel, memory };
}

test('a client that resets while its tunnel has stalled is noticed at the next look', async () => {
  const { clock, ended, tunnel } = stalledTunnels();
  tunnel('stays');
  const goes = tunnel('goes');
  await clock.advance(10_000);
  expect(ended).toEqual([]);
  goes.hasPeer = false;
  await clock.advance(2_000);
  expect(ended).toEqual(['goes client']);
});

test('nothing is looked at once every tunnel goes on, or has gone', async () => {
  const { clock, stalled, ended, tunnel } = stalledTunnels();
  const one = tunnel('one');
  const other = tunnel('other');
  one.isStalled = false;
  stalled.forget(other as unknown as Tunnel);
  one.hasPeer = false;
  await clock.advance(2_000);
  expect(clock.pendingTimers).toBe(0);
  expect(ended).toEqual([]);
});

test('the one that stalled first goes when more is held than may be', () => {
  const { ended, tunnel, memory } = stalledTunnels(new MemoryLedger({ ...heldLimits, readBuffers: 1000 }));
  const first = tunnel('first');
  tunnel('second');
  first.isStalled = false;
  memory.hold('readBuffers', 1001);
  tunnel('third');
  expect(ended).toEqual(['second evicted']);
});

test('stop leaves no timer', () => {
  const { clock, stalled, tunnel } = stalledTunnels();
  tunnel('one');
  stalled.stop();
  expect(clock.pendingTimers).toBe(0);
});

import { type Deadline, DeadlineQueue } from '../../../src/passthrough/connect/deadline-queue.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

function make() {
  const clock = new FakeClock();
  const startMs = clock.nowMs();
  const queue = new DeadlineQueue(clock, () => 250);
  const expired: string[] = [];
  const deadline = (name: string, then?: () => void): Deadline => ({
    dueMs: 0,
    isListed: false,
    previous: undefined,
    next: undefined,
    expired() {
      expired.push(`${name} ${clock.nowMs() - startMs}`);
      then?.();
    },
  });
  return { clock, queue, expired, deadline };
}

test('each deadline expires at its own time, with one timer for all', async () => {
  const { clock, queue, expired, deadline } = make();
  queue.set(deadline('a'));
  await clock.advance(100);
  queue.set(deadline('b'));
  queue.set(deadline('c'));
  expect(clock.pendingTimers).toBe(1);
  await clock.advance(1000);
  expect(expired).toEqual(['a 250', 'b 350', 'c 350']);
  expect(clock.pendingTimers).toBe(0);
});

test('cancelled deadlines do not expire, wherever they stand', async () => {
  const { clock, queue, expired, deadline } = make();
  const all = ['a', 'b', 'c', 'd', 'e'].map((name) => deadline(name));
  for (const each of all) queue.set(each);
  for (const index of [0, 2, 4]) queue.cancel(all[index] as Deadline);
  queue.cancel(all[2] as Deadline);
  await clock.advance(1000);
  expect(expired).toEqual(['b 250', 'd 250']);
});

test('a deadline set again has its whole time', async () => {
  const { clock, queue, expired, deadline } = make();
  const first = deadline('a');
  queue.set(first);
  await clock.advance(200);
  queue.set(first);
  await clock.advance(1000);
  expect(expired).toEqual(['a 450']);
});

test('deadlines may be set and cancelled by one that expires', async () => {
  const { clock, queue, expired, deadline } = make();
  const victim = deadline('victim');
  const later = deadline('later');
  queue.set(
    deadline('a', () => {
      queue.cancel(victim);
      queue.set(later);
    }),
  );
  queue.set(victim);
  await clock.advance(1000);
  expect(expired).toEqual(['a 250', 'later 500']);
});

test('after a standstill of ours everybody has the whole time again', async () => {
  const { clock, queue, expired, deadline } = make();
  queue.set(deadline('a'));
  await clock.advance(100);
  queue.set(deadline('b'));
  await clock.stall(5000);
  expect(expired).toEqual([]);
  await clock.advance(249);
  expect(expired).toEqual([]);
  await clock.advance(1);
  expect(expired).toEqual(['a 5350', 'b 5350']);
});

test('nothing expires after the stop', async () => {
  const { clock, queue, expired, deadline } = make();
  queue.set(deadline('a'));
  queue.stop();
  await clock.advance(1000);
  expect(expired).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});

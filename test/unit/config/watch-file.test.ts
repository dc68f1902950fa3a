import { watchFile, watchIntervalMs } from '../../../src/config/watch-file.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

function setUp() {
  const clock = new FakeClock();
  const state = { fingerprint: 'one', changes: 0 };
  const watch = watchFile({
    path: 'f.yaml',
    clock,
    onChange: () => {
      state.changes += 1;
    },
    fingerprint: () => Promise.resolve(state.fingerprint),
  });
  const looks = async (count: number) => {
    for (let look = 0; look < count; look++) await clock.advance(watchIntervalMs);
  };
  return { clock, state, watch, looks };
}

test('a file that stays the same is not reported', async () => {
  const { state, looks } = setUp();
  await looks(5);
  expect(state.changes).toBe(0);
});

test('a change is reported once, when the file has come to rest', async () => {
  const { state, looks } = setUp();
  await looks(2);
  state.fingerprint = 'half written';
  await looks(1);
  state.fingerprint = 'two';
  await looks(1);
  expect(state.changes).toBe(0);
  await looks(1);
  expect(state.changes).toBe(1);
  await looks(5);
  expect(state.changes).toBe(1);
});

test('each of two changes is reported', async () => {
  const { state, looks } = setUp();
  await looks(2);
  for (const fingerprint of ['two', 'one']) {
    state.fingerprint = fingerprint;
    await looks(3);
  }
  expect(state.changes).toBe(2);
});

test('nothing is reported and no timer is left after stop', async () => {
  const { clock, state, watch, looks } = setUp();
  await looks(2);
  state.fingerprint = 'two';
  await looks(1);
  watch.stop();
  watch.stop();
  await looks(3);
  expect(state.changes).toBe(0);
  expect(clock.pendingTimers).toBe(0);
});

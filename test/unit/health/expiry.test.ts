import { Expiry, isOutOfTime } from '../../../src/health/expiry.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

const day = 86_400_000;

function world(random = 0.5) {
  const clock = new FakeClock();
  const seen: string[] = [];
  const startedMs = clock.nowMs();
  const at = (what: string) => () => void seen.push(`${what} ${clock.nowMs() - startedMs}`);
  const expiry = new Expiry({
    clock,
    random: () => random,
    onExpired: at('expired'),
    onProofDue: at('proof'),
  });
  return { clock, seen, expiry };
}

test('a certificate that expires is reported at that moment, and proved a little later', async () => {
  const { clock, seen, expiry } = world();
  expiry.follow({ notAfterMs: clock.wallMs() + 5_000 });
  await clock.advance(20_000);
  expect(seen).toEqual(['expired 5000', 'proof 10000']);
  expect(clock.pendingTimers).toBe(0);
});

test('one that is valid for years takes no timer beyond what Node can do', async () => {
  const { clock, seen, expiry } = world();
  let longestMs = 0;
  const { schedule } = clock;
  clock.schedule = (delayMs, fn) => {
    longestMs = Math.max(longestMs, delayMs);
    return schedule.call(clock, delayMs, fn);
  };
  expiry.follow({ notAfterMs: clock.wallMs() + 40 * day });
  await clock.advance(39 * day);
  expect(longestMs).toBeLessThan(2 ** 31);
  expect(seen).toEqual([]);
  await clock.advance(2 * day);
  expect(seen).toHaveLength(2);
});

test('a renewed certificate takes the place of the one before', async () => {
  const { clock, seen, expiry } = world();
  expiry.follow({ notAfterMs: clock.wallMs() + 5_000 });
  expiry.follow({ notAfterMs: clock.wallMs() + day });
  expect(clock.pendingTimers).toBe(1);
  await clock.advance(60_000);
  expect(seen).toEqual([]);
});

test('nothing is reported after stop', async () => {
  const { clock, seen, expiry } = world();
  expiry.follow({ notAfterMs: clock.wallMs() + 5_000 });
  expiry.stop();
  await clock.advance(60_000);
  expect(seen).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});

test('one that has expired already was looked at just now', async () => {
  const { clock, seen, expiry } = world();
  expiry.follow({ notAfterMs: clock.wallMs() - 1 });
  await clock.advance(day);
  expect(seen).toEqual([]);
});

test.each([
  [-1, true],
  [0, false],
  [999, false],
  [1_000, true],
])('at %d ms of a second of validity: out of time %s', (atMs, expected) => {
  expect(isOutOfTime({ notBeforeMs: 0, notAfterMs: 1_000 }, atMs)).toBe(expected);
});

import { useHandles } from '../../../src/agent/use-handles.ts';
import type { FoundHandles, NodeHandles } from '../../../src/passthrough/socket/node-handles.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';

function start(first: FoundHandles) {
  const clock = new FakeClock();
  const log = recordingLog();
  const handles = {} as NodeHandles;
  const now = { found: first };
  const counts = { checks: 0, uses: 0 };
  const stop = useHandles({
    clock,
    log,
    check: async () => {
      counts.checks += 1;
      return now.found;
    },
    use: () => {
      counts.uses += 1;
    },
  });
  return { clock, log, now, counts, stop, good: { ok: true, value: handles } as const };
}

const noRoute = { ok: false, problem: 'connecting: ENETUNREACH', code: 'ENETUNREACH' } as const;

test('a check that failed for want of a network is repeated, and told once', async () => {
  const { clock, log, now, counts, good } = start(noRoute);
  await clock.advance(60_000);
  expect(counts.checks).toBeGreaterThan(3);
  expect(counts.checks).toBeLessThan(8);
  expect(log.lines).toHaveLength(1);
  now.found = good;
  await clock.advance(300_000);
  expect(counts.uses).toBe(1);
  expect(log.lines.at(-1)?.message).toBe('using bare TCP handles');
  expect(clock.pendingTimers).toBe(0);
});

test.each([
  ['without a system error', {}],
  ['with an error of the call itself', { code: 'EINVAL' }],
  ['with a reset that was not to be', { code: 'ECONNRESET' }],
])('a check that failed %s is not repeated', async (_, code) => {
  const { clock, counts } = start({ ok: false, problem: 'no such thing', ...code });
  await clock.advance(600_000);
  expect(counts.checks).toBe(1);
});

test('nothing happens after stop', async () => {
  const { clock, counts, stop } = start(noRoute);
  await clock.advance(1);
  stop();
  await clock.advance(600_000);
  expect([counts.checks, clock.pendingTimers]).toEqual([1, 0]);
});

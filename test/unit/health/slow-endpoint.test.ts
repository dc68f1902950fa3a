// An API server whose /readyz takes longer than it should, for minutes: what the log says of it, and how often it is asked.
import { Health } from '../../../src/health/health.ts';
import type { MonitoredConnection } from '../../../src/health/monitor.ts';
import type { CheckResult } from '../../../src/health/probe.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';

const options = {
  intervalMs: 2_000,
  standbyIntervalMs: 60_000,
  fastIntervalMs: 500,
  timeoutMs: 1_000,
  reconnectMs: 7_200_000,
  rise: 2,
  startupGraceMs: 0,
};

/** Endpoints whose every answer comes after `answerMs`, or as `result` says. */
function world() {
  const clock = new FakeClock();
  const log = recordingLog();
  const now = {
    answerMs: 5,
    result: (): CheckResult => ({ kind: 'answered', isExpected: true, status: 200 }),
  };
  let checks = 0;
  let changes = 0;
  const connect = (): MonitoredConnection => {
    let [isUsed, isClosed, isRunning] = [false, false, false];
    return {
      get isKept() {
        return isUsed && !isClosed && !isRunning;
      },
      connectMs: 1,
      onLost: undefined,
      run(done) {
        checks += 1;
        isRunning = true;
        const timer = clock.schedule(now.answerMs, () => {
          [isUsed, isRunning] = [true, false];
          if (!isClosed) done(now.result());
        });
        return {
          phase: 'requesting',
          abort: () => {
            isClosed = true;
            timer.cancel();
          },
        };
      },
      close: () => {
        isClosed = true;
      },
    };
  };
  const health = new Health({
    clock,
    random: () => 0.5,
    log,
    options,
    traffic: { traffic: () => ({ activeTunnels: 1, totalTunnels: 1, bytesUp: 0, bytesDown: 0 }) },
    isPreferred: () => true,
    connect,
    observer: {
      onChange: (_, state, previous) => {
        if (state.verdict !== previous.verdict) changes += 1;
      },
      onProbe: () => {},
      onCertificate: () => {},
      onStaleCredentials: () => {},
    },
  });
  return { clock, log, now, health, checks: () => checks, changes: () => changes };
}

const endpoint = makeEndpoint('10.0.0.1', 6443);

test('1.3 s for minutes: told once and then now and then, no change of verdict, no more checks than usual', async () => {
  const { clock, log, now, health, checks, changes } = world();
  health.watch([endpoint]);
  await clock.advance(10_000);
  now.answerMs = 1_300;
  await clock.advance(10_000);
  const before = { lines: log.lines.length, changes: changes(), checks: checks() };
  expect(
    log.lines.filter(({ message }) => message === 'endpoint is slow: others are preferred'),
  ).toHaveLength(1);
  expect(health.state(endpoint.id)?.verdict).toBe('suspect');
  await clock.advance(240_000);
  expect(changes()).toBe(before.changes);
  expect(log.lines.length - before.lines).toBe(0);
  // A kept connection and the fresh one that it leads to, every 2 s and the answer's time.
  expect(checks() - before.checks).toBeLessThan(240);
  now.answerMs = 5;
  await clock.advance(10_000);
  expect(health.state(endpoint.id)?.verdict).toBe('ready');
  expect(log.lines.at(-1)?.message).toBe('endpoint is ready');
  health.stop();
});

test('an endpoint that flaps for ten minutes writes a line in ten seconds', async () => {
  const { clock, log, now, health } = world();
  let count = 0;
  now.result = () => ({ kind: 'answered', isExpected: count++ % 8 < 4, status: count % 8 < 5 ? 200 : 500 });
  health.watch([endpoint]);
  await clock.advance(600_000);
  expect(log.lines.length).toBeLessThan(80);
  expect(log.lines.some(({ fields }) => Number(fields.linesLeftOut) > 0)).toBe(true);
  health.stop();
});

test('256 new endpoints twenty times a second do not fill the log', async () => {
  const { clock, log, now, health } = world();
  now.result = () => ({ kind: 'refused' });
  for (let round = 0; round < 20; round += 1) {
    health.watch(Array.from({ length: 256 }, (_, index) => makeEndpoint(`10.1.${round}.${index}`, 6443)));
    await clock.advance(50);
  }
  expect(log.lines.length).toBeLessThan(120);
  health.stop();
});

// Changes of the endpoint set in the log: few are told at once, many are summarised.
import { SetLog } from '../../../src/discovery/set-log.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import type { EndpointSet } from '../../../src/model/snapshot.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';

function setOf(first: number, count: number): EndpointSet {
  const endpoints = Array.from({ length: count }, (_, index) => ({
    ...makeEndpoint(`10.${(first + index) >> 8}.0.${(first + index) & 255}`, 6443),
    tier: 'discovered' as const,
    sources: ['watch' as const],
    isGone: false,
  }));
  return { endpoints } as unknown as EndpointSet;
}

function make() {
  const clock = new FakeClock();
  const log = recordingLog();
  const setLog = new SetLog(clock, log, setOf(0, 0));
  return { clock, log, setLog, bytes: () => JSON.stringify(log.lines).length };
}

test('a change is told at once, with the ids', () => {
  const { log, setLog } = make();
  setLog.changed(setOf(1, 2));
  expect(log.lines).toMatchObject([
    { fields: { added: ['10.0.0.1:6443', '10.0.0.2:6443'], removed: [], endpoints: 2 } },
  ]);
});

test('a minute of 20 changes a second of 256 endpoints writes a few kilobytes, and its end is told', async () => {
  const { clock, log, setLog, bytes } = make();
  for (let round = 0; round < 1_200; round += 1) {
    setLog.changed(setOf(round % 2 ? 1 : 1_000, 256));
    await clock.advance(50);
  }
  expect(bytes()).toBeLessThan(20_000);
  expect(log.lines.some(({ fields }) => Number(fields.changesLeftOut) > 100)).toBe(true);
  setLog.changed(setOf(7, 1));
  await clock.advance(20_000);
  expect(log.lines.at(-1)?.fields).toMatchObject({ endpoints: 1 });
  expect(clock.pendingTimers).toBe(0);
});

test('a set that came back to what was told says nothing', async () => {
  const { clock, log, setLog } = make();
  for (let round = 0; round < 6; round += 1) setLog.changed(setOf(round, 1));
  setLog.changed(setOf(9, 1));
  setLog.changed(setOf(5, 1));
  const count = log.lines.length;
  await clock.advance(60_000);
  expect(log.lines).toHaveLength(count);
});

test('nothing fires after stop', async () => {
  const { clock, setLog } = make();
  for (let round = 0; round < 9; round += 1) setLog.changed(setOf(round, 1));
  setLog.stop();
  expect(clock.pendingTimers).toBe(0);
});

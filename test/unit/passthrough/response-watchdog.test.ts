import { EndpointRecord } from '../../../src/passthrough/tunnel/endpoint-record.ts';
import { ResponseWatchdog, type Waiter } from '../../../src/passthrough/tunnel/response-watchdog.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

function make() {
  const clock = new FakeClock();
  const startMs = clock.nowMs();
  const reports: string[] = [];
  const outcomes = {
    dialed() {},
    firstFlightUnanswered() {},
    tunnelSilent: (id: string) => reports.push(`${id} ${clock.nowMs() - startMs}`),
    clientTls() {},
  };
  const watch = new ResponseWatchdog(clock, outcomes, () => 500);
  const waiter = (record: EndpointRecord): Waiter => ({
    record,
    waitingSinceMs: 0,
    isListed: false,
    previous: undefined,
    next: undefined,
  });
  return { clock, watch, waiter, reports, a: new EndpointRecord('a'), b: new EndpointRecord('b') };
}

test('silence after bytes is reported once, half a second later, and the timer stands still again', async () => {
  const { clock, watch, waiter, reports, a } = make();
  watch.add(waiter(a), clock.nowMs());
  await clock.advance(5000);
  expect(reports).toEqual(['a 500']);
  expect(clock.pendingTimers).toBe(0);
});

test('an answer in time is no silence', async () => {
  const { clock, watch, waiter, reports, a } = make();
  const waits = waiter(a);
  watch.add(waits, clock.nowMs());
  await clock.advance(400);
  watch.remove(waits);
  await clock.advance(5000);
  expect(reports).toEqual([]);
});

test('many silent tunnels of one endpoint make one report a second, each endpoint its own', async () => {
  const { clock, watch, waiter, reports, a, b } = make();
  for (let tunnel = 0; tunnel < 10; tunnel += 1) {
    watch.add(waiter(a), clock.nowMs());
    watch.add(waiter(b), clock.nowMs());
    await clock.advance(100);
  }
  await clock.advance(5000);
  // The first of each at 500 ms; what fell due after it is covered by the next one, a second later.
  expect(reports).toEqual(['a 500', 'b 500', 'a 1500', 'b 1500']);
});

test('a report comes late rather than never when another one was just before', async () => {
  const { clock, watch, waiter, reports, a } = make();
  watch.add(waiter(a), clock.nowMs());
  await clock.advance(600);
  watch.add(waiter(a), clock.nowMs());
  await clock.advance(5000);
  expect(reports).toEqual(['a 500', 'a 1500']);
});

test('our own standstill is not the endpoint’s silence', async () => {
  const { clock, watch, waiter, reports, a } = make();
  const waits = waiter(a);
  watch.add(waits, clock.nowMs());
  await clock.stall(5000);
  expect(reports).toEqual([]);
  await clock.advance(400);
  watch.remove(waits);
  await clock.advance(5000);
  expect(reports).toEqual([]);
});

test('nothing is reported after the stop', async () => {
  const { clock, watch, waiter, reports, a } = make();
  watch.add(waiter(a), clock.nowMs());
  watch.stop();
  await clock.advance(5000);
  expect(reports).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});

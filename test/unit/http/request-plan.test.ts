// Rounds of attempts of a request or an upgrade, when no endpoint can be reached.
import { nextRound, RequestPlan } from '../../../src/http/request-plan.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

const options = { allDownDeadlineMs: 1_000, retryRoundMs: 300 };
const endpoint = makeEndpoint('10.0.0.1', 6443);

/** When the next attempts began, in ms from the start; each finds nobody. */
async function rounds(candidates: () => readonly (typeof endpoint)[]) {
  const clock = new FakeClock();
  const startedMs = clock.nowMs();
  const plan = new RequestPlan(
    () => ({ candidates: candidates(), usableCount: 1 }),
    () => false,
  );
  const nextMs: number[] = [];
  let gaveUpMs: number | undefined;
  const again = () => nextRound(plan, { clock, options }, startedMs, { next, giveUp });
  const giveUp = () => {
    gaveUpMs = clock.nowMs() - startedMs;
  };
  const next = () => {
    nextMs.push(clock.nowMs() - startedMs);
    while (plan.next());
    again();
  };
  again();
  await clock.advance(5_000);
  return { nextMs, gaveUpMs };
}

test('all are tried again each round, as long as a round fits into the deadline', async () => {
  expect(await rounds(() => [endpoint])).toEqual({ nextMs: [300, 600, 900], gaveUpMs: 900 });
});

test('with nobody to try it goes on waiting for somebody, and gives up at the same time', async () => {
  expect(await rounds(() => [])).toEqual({ nextMs: [], gaveUpMs: 900 });
});

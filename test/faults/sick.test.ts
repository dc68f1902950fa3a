// An API server that is sick but answers, after the others have been ready for a while: it is left at once. When etcd is
// away for all of them, or the API server is stopping, nothing is closed.
import {
  type Bound,
  gapsWithin,
  holds,
  noneFailed,
  noNewFailed,
  noQuestionFailed,
  noWatchCutEarly,
  nothingClosed,
  slowestWithin,
} from '../support/faults/bounds.ts';
import { isGood } from '../support/faults/clients/target.ts';
import { Fairlead } from '../support/faults/fairlead.ts';
import { failed } from '../support/faults/measures.ts';
import * as scenarios from '../support/faults/scenarios.ts';
import { casesOfTier, longTest } from '../support/jest/full-tier.ts';
import { describeFaults } from '../support/faults/suite.ts';
import { type Observation, runTrial } from '../support/faults/trial.ts';

const timeoutMs = 180_000;
const intervalMs = 2_000;

describeFaults('an API server is sick but answers', {}, (lab) => {
  const trial = ({ script, load }: scenarios.Scenario) =>
    runTrial(lab(), new Fairlead(), script, load ? { load } : {});

  const isLeft = (seen: Observation): Bound[] => {
    const { fault = 0 } = seen.marks;
    // The last answer before the fault is up to 200 ms old.
    const gapMs = intervalMs + 1_500 + 200;
    const late = seen.newConnections.filter(({ askedMs }) => askedMs > fault + intervalMs);
    expect(late.filter(isGood).length).toBeGreaterThan(20);
    // Else the fault did not bite.
    expect(failed(seen.newConnections).length).toBeGreaterThan(0);
    return [noneFailed('failed new connections after one interval', late), ...gapsWithin(seen, gapMs)];
  };

  const kinds = [
    ['whose etcd is lost', 'etcd'],
    ['whose /readyz hangs, as etcd is a black hole to it', 'hanging'],
    ['that answers everything with 500', 'errors'],
  ] as const;
  test.each(casesOfTier(kinds, ([, kind]) => kind === 'hanging'))(
    '%s takes no new connection after one check interval and loses established ones within 1.5 s more',
    (_, kind) => holds(`sick: ${kind}`, () => trial(scenarios.sick(kind)), isLeft),
    timeoutMs,
  );

  longTest(
    'etcd away for all of them, who recover one after the other, closes no tunnel',
    () =>
      holds(
        'etcd away for all',
        () => trial(scenarios.etcdAwayForAll()),
        (seen) => [
          noneFailed('failed new connections', seen.newConnections),
          slowestWithin(seen.newConnections, 2_500),
          ...nothingClosed(seen),
        ],
      ),
    timeoutMs,
  );
});

/** How long the stopping API server serves its watches: longer than a sick one, and an unready one, is waited for. */
const drainMs = 12_000;

describeFaults('an API server stops while the others are well', { timings: { drainMs } }, (lab) => {
  const delays: [string, number][] = [
    ['without a shutdown delay', 0],
    ['with a shutdown delay', 8_000],
  ];
  test.each(casesOfTier(delays, ([, delayMs]) => delayMs === 0))(
    '%s its watches end with it, and no request fails',
    (name, delayMs) =>
      holds(
        `stopping ${name}`,
        () =>
          runTrial(lab(), new Fairlead(), scenarios.stopping({ delayMs, drainMs, isProven: true }).script),
        (seen) => [noNewFailed(seen), noQuestionFailed(seen), noWatchCutEarly(seen)],
      ),
    timeoutMs,
  );
});

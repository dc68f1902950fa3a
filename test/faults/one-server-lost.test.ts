// One or two of three API servers are lost, in every way in which a process or a host can be lost.
import { failed } from '../support/faults/measures.ts';
import {
  type Bound,
  gapsWithin,
  holds,
  noneFailed,
  noNewFailed,
  slowestWithin,
} from '../support/faults/bounds.ts';
import { isGood } from '../support/faults/clients/target.ts';
import { Fairlead } from '../support/faults/fairlead.ts';
import * as scenarios from '../support/faults/scenarios.ts';
import { describeFaults } from '../support/faults/suite.ts';
import { type Observation, runTrial } from '../support/faults/trial.ts';

const timeoutMs = 120_000;

describeFaults('some API servers of three are lost', {}, (lab) => {
  const trial = ({ script, load }: scenarios.Scenario) =>
    runTrial(lab(), new Fairlead(), script, load ? { load } : {});

  /** No new connection fails, however long an established client has to wait. */
  const losesNothing = (seen: Observation, slowestMs: number, gapMs: number): Bound[] => [
    noNewFailed(seen),
    slowestWithin(seen.newConnections, slowestMs),
    ...gapsWithin(seen, gapMs),
  ];

  test(
    'a killed API server loses no new connection and 0.3 s of an established client',
    () =>
      holds(
        'kill',
        () => trial(scenarios.kill()),
        (seen) => losesNothing(seen, 1_000, 300),
      ),
    timeoutMs,
  );

  test(
    'a black hole loses no new connection and 2.5 s of an established client',
    () =>
      holds(
        'black hole',
        () => trial(scenarios.blackHole()),
        (seen) => losesNothing(seen, 2_500, 2_500),
      ),
    timeoutMs,
  );

  test(
    'a host whose link is down loses no new connection and 2.5 s of an established client',
    () =>
      holds(
        'link down',
        () => trial(scenarios.linkDown()),
        (seen) => losesNothing(seen, 2_500, 2_500),
      ),
    timeoutMs,
  );

  test(
    'a host whose replies are lost loses no new connection and 2.5 s of an established client',
    () =>
      holds(
        'asymmetric loss',
        () => trial(scenarios.asymmetricLoss()),
        (seen) => losesNothing(seen, 2_500, 2_500),
      ),
    timeoutMs,
  );

  test(
    'a frozen API server loses no new connection and 2.5 s of an established client',
    () =>
      holds(
        'freeze',
        () => trial(scenarios.freeze()),
        (seen) => losesNothing(seen, 2_500, 2_500),
      ),
    timeoutMs,
  );

  test(
    '200 clients at the moment of a freeze are all served',
    () =>
      holds(
        'freeze with burst',
        () => trial(scenarios.freezeWithBurst()),
        (seen) => {
          expect(seen.newConnections.length).toBeGreaterThan(200);
          // The survivors have 200 handshakes at once to do: the time is the machine's.
          return [noNewFailed(seen), slowestWithin(seen.newConnections, 10_000)];
        },
      ),
    timeoutMs,
  );

  test(
    'an API server that has lost etcd gets no new connection later than 2.5 s after its readyz turned 500',
    () =>
      holds(
        'unready',
        () => trial(scenarios.unready()),
        (seen) => {
          const { fault = 0 } = seen.marks;
          const late = seen.newConnections.filter(({ askedMs }) => askedMs > fault + 2_500);
          expect(late.filter(isGood).length).toBeGreaterThan(20);
          // Else the fault did not bite: requests do fail on that server.
          expect(failed(seen.newConnections).length).toBeGreaterThan(0);
          return [
            noneFailed('failed new connections after 2.5 s', late),
            noneFailed(
              'failed before the fault',
              seen.newConnections.filter(({ doneMs }) => doneMs < fault),
            ),
          ];
        },
      ),
    timeoutMs,
  );

  test(
    'two of three lost at once lose no new connection',
    () =>
      holds(
        'two down',
        () => trial(scenarios.twoDown()),
        (seen) => losesNothing(seen, 2_500, 2_500),
      ),
    timeoutMs,
  );
});

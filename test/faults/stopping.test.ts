// API servers that stop politely, as kube-apiserver does it, lose nobody anything.
import {
  type Bound,
  holds,
  noNewFailed,
  noQuestionFailed,
  noWatchCutEarly,
  slowestWithin,
} from '../support/faults/bounds.ts';
import { Fairlead } from '../support/faults/fairlead.ts';
import * as scenarios from '../support/faults/scenarios.ts';
import { describeFaults } from '../support/faults/suite.ts';
import { type Observation, runTrial } from '../support/faults/trial.ts';

const timeoutMs = 180_000;

/** How long a stopping API server serves its watches; a real one up to 60 s. */
const drainMs = 4_000;
/** A start takes as long as a real one's. */
const timings = { silentMs: 800, forbiddenMs: 120, hooksMs: 1_000, drainMs };

describeFaults('API servers stop politely', { timings }, (lab) => {
  /** No question failed, on whatever connection, and watches lived as long as their API server. */
  const isUnnoticed = (seen: Observation): Bound[] => [
    noNewFailed(seen),
    slowestWithin(seen.newConnections, 1_000),
    noQuestionFailed(seen),
    noWatchCutEarly(seen),
  ];

  const stopping = (delayMs: number) =>
    runTrial(lab(), new Fairlead(), scenarios.stopping({ delayMs, drainMs }).script);

  test(
    'without a shutdown delay no request fails and no watch is cut early',
    () => holds('graceful', () => stopping(0), isUnnoticed),
    timeoutMs,
  );

  test(
    'with a shutdown delay no request fails and no watch is cut early',
    () => holds('graceful, 5 s delay', () => stopping(5_000), isUnnoticed),
    timeoutMs,
  );

  test(
    'a rolling restart of all three fails no request',
    () =>
      holds(
        'rolling restart',
        () => runTrial(lab(), new Fairlead(), scenarios.rollingRestart.script),
        (seen) => [noNewFailed(seen), slowestWithin(seen.newConnections, 1_000), noQuestionFailed(seen)],
      ),
    timeoutMs,
  );
});

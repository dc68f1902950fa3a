// Slow is not dead: hiccups, late answers, distance and loss close no tunnel.
import {
  counted,
  holds,
  noNewFailed,
  noneFailed,
  nothingClosed,
  slowestWithin,
} from '../support/faults/bounds.ts';
import { Fairlead } from '../support/faults/fairlead.ts';
import * as scenarios from '../support/faults/scenarios.ts';
import { describeFaults } from '../support/faults/suite.ts';
import { type Observation, runTrial } from '../support/faults/trial.ts';

const timeoutMs = 180_000;

describeFaults('an API server is slow', {}, (lab) => {
  const calledDead = (seen: Observation) => {
    const lines = seen.log.filter((line) => line.includes('endpoint is dead'));
    return counted(seen, 'verdicts "dead"', lines.length, 0, lines.join('\n'));
  };

  test(
    '200 ms of silence every 5 s close no tunnel',
    () =>
      holds(
        'hiccup',
        () => runTrial(lab(), new Fairlead(), scenarios.hiccup.script),
        (seen) => [noNewFailed(seen), ...nothingClosed(seen), calledDead(seen)],
      ),
    timeoutMs,
  );

  test(
    'answers that come 3 s late close no tunnel; new connections go elsewhere while there is an elsewhere',
    () =>
      holds(
        'answers 3 s late',
        () => runTrial(lab(), new Fairlead(), scenarios.lateAnswers.script),
        (seen) => {
          const { fault = 0, allLate = 0 } = seen.marks;
          const elsewhere = seen.newConnections.filter(
            ({ askedMs, doneMs }) => askedMs > fault + 4_000 && doneMs < allLate,
          );
          return [
            noneFailed('failed new connections', seen.newConnections),
            slowestWithin(seen.newConnections, 5_000),
            { ...slowestWithin(elsewhere, 1_000), what: 'slowest new connection while others are well (ms)' },
            ...nothingClosed(seen),
            calledDead(seen),
          ];
        },
      ),
    timeoutMs,
  );

  test(
    'a tenth of the packets lost and a round trip of 300 ms close no tunnel',
    () =>
      holds(
        'loss and distance',
        () => runTrial(lab(), new Fairlead(), scenarios.lossAndDistance.script, scenarios.lossAndDistance),
        (seen) => [
          noneFailed('failed new connections', seen.newConnections),
          ...nothingClosed(seen),
          calledDead(seen),
        ],
      ),
    timeoutMs,
  );
});

// A node and a control plane without any IPv4.
import { gapsWithin, holds, noNewFailed, slowestWithin } from '../support/faults/bounds.ts';
import { Fairlead } from '../support/faults/fairlead.ts';
import * as scenarios from '../support/faults/scenarios.ts';
import { describeFaults } from '../support/faults/suite.ts';
import { runTrial } from '../support/faults/trial.ts';

const timeoutMs = 120_000;

describeFaults('IPv6 only', { family: 6 }, (lab) => {
  test(
    'a killed API server loses no new connection and 0.3 s of an established client',
    () =>
      holds(
        'IPv6 kill',
        () => runTrial(lab(), new Fairlead(), scenarios.kill().script),
        (seen) => [noNewFailed(seen), ...gapsWithin(seen, 300)],
      ),
    timeoutMs,
  );

  test(
    'a black hole loses no new connection and 2.5 s of an established client',
    () =>
      holds(
        'IPv6 black hole',
        () => runTrial(lab(), new Fairlead(), scenarios.blackHole().script),
        (seen) => [noNewFailed(seen), slowestWithin(seen.newConnections, 2_500), ...gapsWithin(seen, 2_500)],
      ),
    timeoutMs,
  );
});

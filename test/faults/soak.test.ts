// A minute of random faults with 200 connections, ten in the full tier; scripts/soak.ts does the same for any time.
import { describeFaults } from '../support/faults/suite.ts';
import { runSoak } from '../support/faults/soak.ts';
import { isFullTier } from '../support/jest/full-tier.ts';
import { leftBehind, unexcused } from '../support/faults/soak-bounds.ts';

const minutes = isFullTier ? 10 : 1;

describeFaults('soak', { timings: { drainMs: 3_000 } }, (lab) => {
  test(
    `${minutes} min of random faults leave no memory, descriptor, timer or tunnel behind`,
    async () => {
      const result = await runSoak(lab(), { forMs: minutes * 60_000, seed: 20_261_121 });
      const { before, after, faults } = result;
      process.stdout.write(
        `  soak: ${faults.length} faults\n    before ${JSON.stringify(before)}\n    after ${JSON.stringify(after)}\n`,
      );
      expect(leftBehind(result)).toEqual([]);
      expect(unexcused(result, lab().servers.length)).toEqual([]);
    },
    minutes * 60_000 + 180_000,
  );
});

// A minute of random faults with 200 connections; scripts/soak.ts does the same for ten.
import { describeFaults } from '../support/faults/suite.ts';
import { runSoak } from '../support/faults/soak.ts';
import { leftBehind, unexcused } from '../support/faults/soak-bounds.ts';

describeFaults('soak', { timings: { drainMs: 3_000 } }, (lab) => {
  test('a minute of random faults leaves no memory, descriptor, timer or tunnel behind', async () => {
    const result = await runSoak(lab(), { forMs: 60_000, seed: 20_261_121 });
    const { before, after, faults } = result;
    process.stdout.write(
      `  soak: ${faults.length} faults\n    before ${JSON.stringify(before)}\n    after ${JSON.stringify(after)}\n`,
    );
    expect(leftBehind(result)).toEqual([]);
    expect(unexcused(result, lab().servers.length)).toEqual([]);
  }, 240_000);
});

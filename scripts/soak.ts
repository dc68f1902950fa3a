// Soak: random faults for ten minutes with 200 connections; the agent must be as it was before. Needs root and a
// build. Usage: node scripts/soak.ts [--minutes N] [--seed N]; the seed of a run is printed.
import { parseArgs } from 'node:util';
import { checkBundle } from '../test/support/faults/fairlead.ts';
import { Lab } from '../test/support/faults/lab.ts';
import { summarize } from '../test/support/faults/measures.ts';
import { namespacesUnavailable } from '../test/support/faults/netns.ts';
import { runSoak } from '../test/support/faults/soak.ts';
import { leftBehind, unexcused } from '../test/support/faults/soak-bounds.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const why = namespacesUnavailable();
if (why) {
  console.error(`no soak on this machine: ${why}`);
  process.exit(2);
}
checkBundle();
const seed = Number(values.seed);
console.log(`soak of ${values.minutes} minutes, seed ${seed}`);
const lab = await Lab.start({ timings: { drainMs: 3_000 } });
try {
  const startedMs = performance.now();
  const say = (line: string): void => {
    console.log(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(7)} s  ${line}`);
  };
  const result = await runSoak(lab, { forMs: Number(values.minutes) * 60_000, seed, say });
  console.log('before', result.before);
  console.log('after ', result.after);
  const { longestGapMs: _, ...summary } = summarize(result.seen);
  console.log(`${result.faults.length} faults;`, summary);
  const problems = leftBehind(result);
  for (const problem of problems) console.error(`LEFT BEHIND: ${problem}`);
  const calls = unexcused(result, lab.servers.length);
  for (const call of calls) {
    const { fault = 0 } = result.seen.marks;
    console.error(`FAILED WITHOUT A REASON at ${((call.askedMs - fault) / 1000).toFixed(1)} s:`, call);
  }
  process.exitCode = problems.length + calls.length > 0 ? 1 : 0;
} finally {
  await lab.stop();
}

// npm run bench:faults: argv to result files and an exit code, which is 1 when a lost cell is not explained.
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { namespacesUnavailable, removeOwnNow } from '../../test/support/faults/netns.ts';
import { killAllChildren } from '../processes.ts';
import { requireTools } from '../tools.ts';
import { neededTools, runFaultBench } from './bench.ts';
import { parseOptions, usage } from './options.ts';
import { toMarkdown } from './report.ts';
import type { FaultBenchResult } from './results.ts';

/** Never half a file, whenever the run is stopped. */
async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.tmp`, text);
  await rename(`${path}.tmp`, path);
}

async function main(): Promise<number> {
  const argv = process.argv.slice(2);
  const options = parseOptions(argv, { isCi: process.env.CI === 'true' && process.getuid?.() === 0 });
  if (options.help) {
    console.log(usage);
    return 0;
  }
  const lacking = await requireTools(neededTools(options), options.install);
  if (lacking !== undefined) {
    console.error(lacking);
    return 2;
  }
  const why = namespacesUnavailable();
  if (why) {
    console.error(`the fault bench cannot run here: ${why}`);
    return 2;
  }
  const command = ['npm run bench:faults', ...(argv.length ? ['--', ...argv] : [])].join(' ');
  await mkdir(options.outDir, { recursive: true });
  const base = join(options.outDir, `${options.name}-faults`);
  const keep = async (result: FaultBenchResult): Promise<void> => {
    await replaceFile(`${base}.md`, toMarkdown(result));
    await replaceFile(`${base}.json`, `${JSON.stringify(result, null, 2)}\n`);
  };
  const result = await runFaultBench(options, { command, say: (line) => console.error(line), keep });
  console.log(toMarkdown(result));
  console.error(`written: ${base}.md and ${base}.json`);
  const unexplained = result.lost.filter(({ why }) => why === undefined);
  for (const { scenario, metric, peer } of unexplained) {
    console.error(`lost without an explanation: ${scenario}, ${metric}, against ${peer}`);
  }
  return unexplained.length ? 1 : 0;
}

process.once('exit', () => {
  killAllChildren();
  removeOwnNow();
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  },
);

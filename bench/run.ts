// npm run bench: argv to result files and an exit code.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { neededTools, runBench } from './bench.ts';
import { parseOptions, usage } from './options.ts';
import { killAllChildren } from './processes.ts';
import { toMarkdown } from './report.ts';
import { removeAllWorkspaces } from './workspace.ts';
import { requireTools } from './tools.ts';

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
  const command = ['npm run bench', ...(argv.length ? ['--', ...argv] : [])].join(' ');
  const result = await runBench(options, { command, say: (line) => console.error(line) });
  const markdown = toMarkdown(result);
  console.log(markdown);
  await mkdir(options.outDir, { recursive: true });
  const base = join(options.outDir, options.name);
  await writeFile(`${base}.md`, markdown);
  await writeFile(`${base}.json`, `${JSON.stringify(result, null, 2)}\n`);
  console.error(`written: ${base}.md and ${base}.json`);
  return 0;
}

process.once('exit', () => {
  killAllChildren();
  removeAllWorkspaces();
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

// `fairlead config check`: loads the configuration as `run` would, and says whether it is good; names the files of it that
// are missing on this host.
import { type ConfigOptions, loadInput } from './config-options.ts';
import { exitCodes } from './exit-codes.ts';
import { loadOrFail } from './load-or-fail.ts';
import { namedFileProblems } from './named-files.ts';
import type { CommandContext } from './command-context.ts';

export async function configCheck(options: ConfigOptions, context: CommandContext): Promise<number> {
  const loaded = await loadOrFail(loadInput(options, context));
  const problems = await namedFileProblems(loaded);
  for (const problem of problems) context.printError(`warning: ${problem}\n`);
  const but = problems.length === 0 ? '' : `, except for ${count(problems.length)} that it names`;
  context.print(`${loaded.file ?? 'The configuration'} is valid${but}.\n`);
  return exitCodes.ok.code;
}

const count = (files: number) => (files === 1 ? 'one file' : `${files} files`);

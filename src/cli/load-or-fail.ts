// Loading a configuration for a command: the problems become one coded error.
import { type Loaded, type LoadInput, loadConfig } from '../config/load.ts';
import { formatProblem, type Problem } from '../config/problem.ts';
import { FairleadError } from '../model/errors.ts';

export async function loadOrFail(input: LoadInput): Promise<Loaded> {
  const result = await loadConfig(input);
  if (result.ok) return result;
  throw problemsError(result.problems);
}

export function problemsError(problems: readonly Problem[]): FairleadError {
  const isUnreadable = problems.some((problem) => problem.isUnreadable);
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`;
  const list = problems.map((problem) => `\n  ${formatProblem(problem)}`).join('');
  return new FairleadError(
    isUnreadable ? 'CONFIG_UNREADABLE' : 'CONFIG_INVALID',
    `the configuration has ${count}:${list}`,
  );
}

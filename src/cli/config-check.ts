// `fairlead config check`: loads the configuration as `run` would, and says whether it is good.
import { type ConfigOptions, loadInput } from './config-options.ts';
import { exitCodes } from './exit-codes.ts';
import { loadOrFail } from './load-or-fail.ts';
import type { Surroundings } from './surroundings.ts';

export async function configCheck(options: ConfigOptions, surroundings: Surroundings): Promise<number> {
  const { file } = await loadOrFail(loadInput(options, surroundings));
  surroundings.print(`${file ?? 'The configuration'} is good.\n`);
  return exitCodes.ok.code;
}

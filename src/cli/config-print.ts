// `fairlead config print`: the effective configuration, with where each value comes from.
import { printJson, printYaml } from '../config/print.ts';
import { type ConfigOptions, loadInput } from './config-options.ts';
import { exitCodes } from './exit-codes.ts';
import { loadOrFail } from './load-or-fail.ts';
import type { CommandContext } from './command-context.ts';

export async function configPrint(
  options: ConfigOptions & { readonly json?: boolean },
  context: CommandContext,
): Promise<number> {
  const loaded = await loadOrFail({ ...loadInput(options, context), mustFindEndpoints: false });
  context.print(options.json ? printJson(loaded) : printYaml(loaded));
  return exitCodes.ok.code;
}

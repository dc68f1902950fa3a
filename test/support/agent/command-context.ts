// What a command gets in tests: no terminal, and what it printed to look at.
import type { CommandContext } from '../../../src/cli/command-context.ts';
import type { Environment } from '../../../src/config/environment.ts';
import { runCli } from '../../../src/cli/program.ts';

export interface CommandResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A command's surroundings, and what it has printed to them so far. */
export function commandContext(env: Environment = {}): {
  readonly context: CommandContext;
  readonly printed: () => { readonly out: string; readonly err: string };
} {
  let out = '';
  let err = '';
  const context: CommandContext = {
    env,
    hostname: 'node-1',
    version: '0.0.0-test',
    isTerminal: false,
    print: (text) => {
      out += text;
    },
    printError: (text) => {
      err += text;
    },
    signals: process,
  };
  return { context, printed: () => ({ out, err }) };
}

/** Runs `fairlead ARGS`. */
export async function runCommand(args: readonly string[], env: Environment = {}): Promise<CommandResult> {
  const { context, printed } = commandContext(env);
  const code = await runCli(args, context);
  return { code, ...printed() };
}

// What a command gets in tests: no terminal, and what it printed to look at.
import type { Environment } from '../../../src/config/environment.ts';
import { runCli } from '../../../src/cli/program.ts';

export interface CommandResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `fairlead ARGS`. */
export async function runCommand(args: readonly string[], env: Environment = {}): Promise<CommandResult> {
  let out = '';
  let err = '';
  const code = await runCli(args, {
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
  });
  return { code, out, err };
}

// The agent's program: `fairlead run` and nothing else. It is the entry of the agent's bundle, so nothing that it
// imports may need the tools that install, adopt or examine (test/unit/bundle.test.ts).
import type { CommandContext } from './command-context.ts';
import { runCommandLine } from './command-line.ts';
import { run } from './run.ts';
import { addRunCommand } from './run-command.ts';

// The program of all commands loads it from here.
export { run };

/** Runs a command line whose command is `run`, and says how it ended; never rejects. */
export function runCli(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommandLine(args, context, (program, lazyAction) =>
    addRunCommand(program, lazyAction, async () => run),
  );
}

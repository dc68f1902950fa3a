// A command line to an exit code, whichever commands the program has.
import { Command, CommanderError } from 'commander';
import { FairleadError } from '../model/errors.ts';
import type { LazyAction } from './action.ts';
import type { CommandContext } from './command-context.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';

export type AddCommands = (program: Command, lazyAction: LazyAction) => void;

/** Builds the tree; `onExitCode` is told the outcome of the command that ran. */
export function buildTree(
  context: CommandContext,
  onExitCode: (code: number) => void,
  addCommands: AddCommands,
): Command {
  const lazyAction: LazyAction =
    (load) =>
    async (...given) => {
      const action = await load();
      // commander gives the arguments, then the options, then the command itself.
      const [options, ...names] = given.slice(0, -1).reverse();
      const all = names.length === 0 ? options : { ...(options as object), arguments: names.reverse() };
      onExitCode(await action(all as never, context));
    };

  const program = new Command('fairlead')
    .description('A per-node load balancer for the Kubernetes API server.')
    .version(context.version, '--version', 'Print the version.')
    .helpOption('--help', 'Print this help.')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: context.print,
      writeErr: context.printError,
      outputError: (text, write) => write(text.replace(/^error: /, 'fairlead: ')),
    })
    .addHelpText(
      'after',
      `
Examples:
  fairlead run --endpoints 10.0.0.1:6443,10.0.0.2:6443 --kubeconfig /etc/kubernetes/kubelet.conf
  fairlead status
  fairlead run --help`,
    );

  addCommands(program, lazyAction);
  return program;
}

/** Runs a command line and says how it ended; never rejects. */
export async function runCommandLine(
  args: readonly string[],
  context: CommandContext,
  addCommands: AddCommands,
): Promise<number> {
  let exitCode: number = exitCodes.ok.code;
  try {
    const setExitCode = (code: number) => {
      exitCode = code;
    };
    const program = buildTree(context, setExitCode, addCommands);
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError)
      return error.exitCode === 0 ? exitCodes.ok.code : exitCodes.badConfig.code;
    if (error instanceof FairleadError) {
      context.printError(`fairlead: ${error.code}: ${error.message}\n${error.fix}\n`);
      return exitCodeOf[error.code];
    }
    context.printError(`fairlead: unexpected failure: ${error instanceof Error ? error.stack : error}\n`);
    return exitCodes.unexpected.code;
  }
}

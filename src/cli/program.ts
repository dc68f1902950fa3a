// The tree of commands. Each command's code is loaded when it runs: `run` must listen within 300 ms of its
// start, and needs nothing of the others.
import { Command, CommanderError } from 'commander';
import { FairleadError } from '../model/errors.ts';
import type { LazyAction } from './action.ts';
import { addAdoptionCommands } from './adoption-commands.ts';
import { addClusterCommands } from './cluster-commands.ts';
import { addInstallCommands } from './install-commands.ts';
import { addConfigOptions } from './config-options.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import type { CommandContext } from './command-context.ts';

/** Builds the tree; `onExitCode` is told the outcome of the command that ran. */
export function buildProgram(context: CommandContext, onExitCode: (code: number) => void): Command {
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

  addConfigOptions(program.command('run'))
    .description('Run the agent until SIGTERM or SIGINT.')
    .action(lazyAction(async () => (await import('./run.ts')).run))
    .addHelpText(
      'after',
      `
Every setting can be in the file, most also in an environment variable (FAIRLEAD_HEALTH_INTERVAL for
health.interval). Flags override the environment, which overrides the file.
SIGHUP or a change of the file reloads the configuration without closing tunnels.

Examples:
  fairlead run --listen 127.0.0.1:6443 --endpoints 10.0.0.1:6443,10.0.0.2:6443 --ca-file ca.crt
  fairlead run --kubeconfig /etc/kubernetes/kubelet.conf --cache-file /var/lib/fairlead/endpoints.json
  fairlead run --config /etc/fairlead/fairlead.yaml --log-level debug`,
    );

  const config = program
    .command('config')
    .description('Check or print the configuration.')
    .helpCommand(false);
  addConfigOptions(config.command('check'))
    .description(
      'Check the configuration without starting the agent, and print every problem. Missing or unreadable files are warnings, because the agent would wait for them.',
    )
    .action(lazyAction(async () => (await import('./config-check.ts')).configCheck))
    .addHelpText('after', '\nExample:\n  fairlead config check --config /etc/fairlead/fairlead.yaml');
  addConfigOptions(config.command('print'))
    .description('Print the effective configuration and the source of each value.')
    .option('--json', 'Print JSON, with the configuration and the sources separate.')
    .action(lazyAction(async () => (await import('./config-print.ts')).configPrint))
    .addHelpText('after', '\nExample:\n  fairlead config print --config fairlead.yaml --log-level debug');

  addConfigOptions(program.command('status'), ['admin'])
    .description('Show the state of the running agent: endpoints, verdicts, reasons, tunnels.')
    .option('--json', 'Print JSON.')
    .action(lazyAction(async () => (await import('./status.ts')).status))
    .addHelpText('after', '\nExamples:\n  fairlead status\n  fairlead status --admin 127.0.0.1:7442 --json');

  addAdoptionCommands(program, lazyAction);
  addInstallCommands(program, lazyAction);
  addClusterCommands(program, lazyAction);
  return program;
}

/** Runs a command line and says how it ended; never rejects. */
export async function runCli(args: readonly string[], context: CommandContext): Promise<number> {
  let exitCode: number = exitCodes.ok.code;
  try {
    const program = buildProgram(context, (code) => {
      exitCode = code;
    });
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

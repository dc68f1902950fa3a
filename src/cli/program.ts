// The program of all commands. Each command's code is loaded when it runs.
import type { Command } from 'commander';
import { addAdoptionCommands } from './adoption-commands.ts';
import { addClusterCommands } from './cluster-commands.ts';
import type { CommandContext } from './command-context.ts';
import { type AddCommands, buildTree, runCommandLine } from './command-line.ts';
import { addConfigOptions } from './config-options.ts';
import { addInstallCommands } from './install-commands.ts';
import { addManifestCommand } from './manifest-command.ts';
import { addRunCommand } from './run-command.ts';

const addAllCommands: AddCommands = (program, lazyAction) => {
  addRunCommand(program, lazyAction, async () => (await import('./run.ts')).run);

  const config = program
    .command('config')
    .description('Check or print the configuration.')
    .helpCommand(false);
  addConfigOptions(config.command('check'))
    .description(
      'Check the configuration without starting the agent, and print every problem. Missing or unreadable files that it refers to cause only warnings, because the agent would wait for them.',
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
  addManifestCommand(program, lazyAction);
};

/** Builds the tree; `onExitCode` is told the outcome of the command that ran. */
export function buildProgram(context: CommandContext, onExitCode: (code: number) => void): Command {
  return buildTree(context, onExitCode, addAllCommands);
}

/** Runs a command line and says how it ended; never rejects. */
export function runCli(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommandLine(args, context, addAllCommands);
}

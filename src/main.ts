#!/usr/bin/env node
// argv to exit code, nothing else. The agent and the tools are separate bundles: each process loads one.
import { hostname } from 'node:os';
import { exitCodes } from './cli/exit-codes.ts';
import { keepHeapSmall } from './cli/heap-settings.ts';
import { nodeProblem } from './cli/node-version.ts';
import { version } from './model/version.ts';

// A reader that stops early (`| head`) is not a failure; output that cannot be written is.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.ok.code);
  process.stderr.write(`fairlead: standard output cannot be written: ${error.message}\n`);
  process.exit(exitCodes.unexpected.code);
});

const problem = nodeProblem(process.versions.node);
if (problem === undefined) {
  const args = process.argv.slice(2);
  const isAgent = args.find((arg) => arg !== '--') === 'run';
  // Before the agent is loaded: what the heap has grown by then, it keeps.
  if (isAgent) keepHeapSmall();
  const { runCli } = await (isAgent ? import('./cli/agent-program.ts') : import('./cli/program.ts'));
  process.exitCode = await runCli(args, {
    env: process.env,
    hostname: hostname(),
    version,
    isTerminal: process.stdout.isTTY === true,
    print: (text) => process.stdout.write(text),
    printError: (text) => process.stderr.write(text),
    signals: process,
  });
} else {
  process.stderr.write(`fairlead: ${problem}\n`);
  process.exitCode = exitCodes.unexpected.code;
}

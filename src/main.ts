// argv to exit code, nothing else.
import { hostname } from 'node:os';
import { exitCodes } from './cli/exit-codes.ts';
import { nodeProblem } from './cli/node-version.ts';
import { runCli } from './cli/program.ts';
import { version } from './model/version.ts';

// A reader that has seen enough (`| head`) is no failure; output that nobody can have is one.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.ok.code);
  process.stderr.write(`fairlead: standard output cannot be written: ${error.message}\n`);
  process.exit(exitCodes.unexpected.code);
});

const problem = nodeProblem(process.versions.node);
if (problem === undefined) {
  process.exitCode = await runCli(process.argv.slice(2), {
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

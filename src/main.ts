// argv to exit code, nothing else.
import { hostname } from 'node:os';
import { runCli } from './cli/program.ts';
import { version } from './model/version.ts';

process.exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  hostname: hostname(),
  version,
  isTerminal: process.stdout.isTTY === true,
  print: (text) => process.stdout.write(text),
  printError: (text) => process.stderr.write(text),
  signals: process,
});

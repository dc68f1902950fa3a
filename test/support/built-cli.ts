// The built program, run as a process: build it once for a test file, start it, read what it says.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { eventually } from './eventually.ts';

/** Builds into `directory` and returns the path of the program. */
export function buildCli(directory: string): string {
  const outfile = join(directory, 'fairlead.mjs');
  const { status, stderr } = spawnSync(process.execPath, ['scripts/build.ts', outfile], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the build failed: ${stderr}`);
  return outfile;
}

export interface CliProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly out: string;
  readonly err: string;
  /** The log lines on standard output so far. */
  logs(): Record<string, unknown>[];
  /** Waits for a log line with this message; the `nth` one, from 0. */
  logged(message: string, nth?: number): Promise<Record<string, unknown>>;
  /** Settles with the exit code, or with the name of the signal that ended the process. */
  readonly ended: Promise<number | string>;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Starts the program with a clean environment. */
export function startCli(
  program: string,
  args: readonly string[],
  { env = {}, cwd }: StartOptions = {},
): CliProcess {
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd !== undefined && { cwd }),
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const ended = new Promise<number | string>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  const logs = () =>
    out
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return {
    child,
    pid: child.pid ?? 0,
    get out() {
      return out;
    },
    get err() {
      return err;
    },
    logs,
    ended,
    logged: (message, nth = 0) =>
      eventually(
        `log line "${message}" in ${out}${err}`,
        () => logs().filter(({ msg }) => msg === message)[nth],
      ),
  };
}

/** Runs the program to its end. */
export async function runToEnd(program: string, args: readonly string[], options: StartOptions = {}) {
  const cli = startCli(program, args, options);
  const exitCode = await cli.ended;
  return { exitCode, out: cli.out, err: cli.err };
}

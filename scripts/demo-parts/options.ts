// The command line of the demo.
import { parseArgs } from 'node:util';

export interface DemoOptions {
  readonly keep: boolean;
  readonly isPlain: boolean;
}

const help = `Usage: scripts/demo [--keep] [--plain]

Starts three stand-in API servers and Fairlead in front of them, all on loopback, and two clients that talk to
the API servers through Fairlead. Then API servers are killed, frozen and brought back while you watch
what the clients see and what Fairlead does. Takes about 40 seconds and ends with a summary.

  --keep    leave everything running after the story, to play with it, until Ctrl-C
  --plain   plain lines instead of a live view (the default when the output is not a terminal)
  --help    this text

Exit code: 0 when no new connection failed and the watch missed nothing; 1 otherwise; 130 after Ctrl-C.
Nothing is left behind: no process, no file outside this repository.
`;

/** The options, or the text to print and the exit code to end with. */
export function readOptions(
  args: readonly string[],
): DemoOptions | { readonly text: string; readonly exitCode: number } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        keep: { type: 'boolean', default: false },
        plain: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return { text: help, exitCode: 0 };
    return { keep: values.keep, isPlain: values.plain };
  } catch (error) {
    return { text: `${error instanceof Error ? error.message : error}\n\n${help}`, exitCode: 2 };
  }
}

// Cleans up when the demo itself is killed and can do nothing any more: a small shell that waits for the end of
// its standard input (which comes however the demo ends), then kills what the demo had started, frozen
// processes too, and removes its directory.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';

// The last line holds the process ids of now.
const script = `trap '' INT TERM HUP
while read -r line; do pids=$line; done
[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
rm -rf -- "$1"`;

export class Janitor {
  readonly #shell: ChildProcessByStdio<Writable, null, null>;
  #told = '';

  constructor(directory: string) {
    // A session of its own: Ctrl-C in the terminal does not reach it.
    this.#shell = spawn('sh', ['-c', script, 'sh', directory], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#shell.on('error', () => {});
    this.#shell.stdin.on('error', () => {});
    this.#shell.unref();
    (this.#shell.stdin as Writable & { unref?: () => void }).unref?.();
  }

  /** What has to be killed if the demo ends now. */
  watch(pids: readonly number[]): void {
    const line = pids.join(' ');
    if (line === this.#told) return;
    this.#told = line;
    this.#shell.stdin.write(`${line}\n`);
  }
}

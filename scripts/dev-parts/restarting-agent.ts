// One agent at a time, run from its source and replaced when the source changes. Owns the process and the watch of the
// directory.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type FSWatcher, watch } from 'node:fs';

export interface RestartingAgentOptions {
  /** The file that Node runs. */
  readonly program: string;
  /** A change of a `.ts` file below it restarts the agent. */
  readonly watched: string;
  /** Flags of `fairlead run`. */
  readonly args: readonly string[];
  readonly say: (line: string) => void;
  /** Called after each start, and after each end. */
  readonly started: () => void;
}

/** An editor writes several files, or one in several steps. */
const settleMs = 100;
/** How long an agent may take to end on SIGTERM; the next one needs its port. */
const patienceMs = 3_000;

export class RestartingAgent {
  readonly #options: RestartingAgentOptions;
  #child: ChildProcess | undefined;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Ends and starts, one after the other. */
  #work: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: RestartingAgentOptions) {
    this.#options = options;
  }

  /** Of the agent that runs now. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    this.#watcher = watch(this.#options.watched, { recursive: true }, (_, file) => {
      if (file?.endsWith('.ts') && !this.#isStopped) this.#changed(file);
    });
    this.#work = this.#work.then(() => this.#run());
  }

  /** Ends the agent and the watch. Idempotent. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#watcher?.close();
    clearTimeout(this.#timer);
    await this.#work;
    await this.#end();
  }

  #changed(file: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#options.say(`${file} has changed, restarting the agent`);
      this.#work = this.#work.then(() => this.#end()).then(() => this.#run());
    }, settleMs);
  }

  #run(): void {
    if (this.#isStopped) return;
    const { program, args, say, started } = this.#options;
    const child = spawn(process.execPath, [program, 'run', ...args], {
      // A process group of its own: Ctrl-C reaches this program only, which ends the agent.
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    this.#child = child;
    child.once('error', (error) => say(`the agent cannot be started: ${error.message}`));
    child.once('close', (code, signal) => {
      if (this.#child !== child) return;
      this.#child = undefined;
      started();
      say(`the agent ended with ${signal ?? `exit code ${code}`}; the next change starts it again`);
    });
    started();
  }

  async #end(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    this.#child = undefined;
    const ended = once(child, 'close');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
    await ended;
    clearTimeout(timer);
    this.#options.started();
  }
}

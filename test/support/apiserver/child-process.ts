// A Node process of the stand-in: started with one JSON line as its sign of life, ended for certain.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Everything that this process has started and that still runs; ended with it. */
const running = new Set<ChildProcess>();

function endAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

export class NodeProcess {
  readonly #argv: readonly string[];
  #child: ChildProcess | undefined;

  /** `prefix` goes before the command, as in `ip netns exec NAME`; it must exec, so that the pid stays. */
  constructor(script: string, args: readonly string[], prefix: readonly string[] = []) {
    this.#argv = [...prefix, process.execPath, '--no-warnings', script, ...args, '--exit-with-stdin'];
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it and returns what its first line says; fails when it ends before that. */
  async start(): Promise<Record<string, unknown>> {
    const [command = '', ...args] = this.#argv;
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child = child;
    if (running.size === 0) process.on('exit', endAll);
    running.add(child);
    child.on('exit', () => {
      running.delete(child);
      if (running.size === 0) process.off('exit', endAll);
    });
    const line = Promise.withResolvers<string>();
    child.on('error', line.reject);
    child.on('exit', (code, signal) => line.reject(new Error(`${args[1]} ended with ${signal ?? code}`)));
    const reader = createInterface({ input: child.stdout });
    reader.once('line', line.resolve);
    try {
      return JSON.parse(await line.promise) as Record<string, unknown>;
    } finally {
      reader.close();
      child.stdout.resume();
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Resolves when it has ended. */
  async exited(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    await once(child, 'exit');
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited();
  }
}

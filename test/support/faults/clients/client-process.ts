// The clients' process as the test sees it. It owns the process.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Answers, Command } from './wire.ts';

const script = new URL('main.ts', import.meta.url).pathname;

export class ClientProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #nextId = 1;

  /** `prefix` goes before the command, to run it on a host of the wire. */
  static async start(prefix: readonly string[]): Promise<ClientProcess> {
    const started = Promise.withResolvers<void>();
    const client = new ClientProcess(prefix, started);
    await started.promise;
    return client;
  }

  private constructor(prefix: readonly string[], started: PromiseWithResolvers<void>) {
    const [command = '', ...args] = [...prefix, process.execPath, '--no-warnings', script];
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child = child;
    child.on('error', started.reject);
    child.on('exit', (code, signal) => {
      const error = new Error(`the clients' process ended with ${signal ?? code}`);
      started.reject(error);
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
    child.stdin?.on('error', () => {});
    if (!child.stdout) throw new Error('a child with a pipe has stdout');
    createInterface({ input: child.stdout }).on('line', (line) => {
      const message = JSON.parse(line) as { id?: number; result?: unknown; error?: string };
      if (message.id === undefined) return started.resolve();
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error === undefined) waiting?.resolve(message.result);
      else waiting?.reject(new Error(message.error));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  do<Op extends Command['op']>(command: Extract<Command, { op: Op }>): Promise<Answers[Op]> {
    const id = this.#nextId;
    this.#nextId += 1;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    this.#child.stdin?.write(`${JSON.stringify({ id, command })}\n`);
    return answer.promise as Promise<Answers[Op]>;
  }

  /** SIGKILL: the kernel ends its connections, nobody says goodbye. */
  async kill(): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

// Child processes of a bench run: started in the foreground, pinned to a CPU, ended by pid.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { processTree } from './usage.ts';

/** Which CPUs do what; undefined leaves a process everywhere. */
export interface Pinning {
  readonly proxy: string | undefined;
  readonly backend: string | undefined;
  readonly load: string | undefined;
}

const nowhere: Pinning = { proxy: undefined, backend: undefined, load: undefined };

/** `0-1,4` as [0, 1, 4]. */
export function parseCpuList(text: string): readonly number[] {
  return text
    .trim()
    .split(',')
    .filter(Boolean)
    .flatMap((range) => {
      const [from = 0, to = from] = range.split('-').map(Number);
      return Array.from({ length: to - from + 1 }, (_, index) => from + index);
    });
}

/** One CPU for the proxy; load and backend share another one, or have one each where there are three. */
export function choosePinning(cpus: readonly number[]): Pinning {
  const [load, proxy, backend = load] = cpus;
  if (load === undefined || proxy === undefined) return nowhere;
  return { load: String(load), proxy: String(proxy), backend: String(backend) };
}

/** The CPUs that this process may use. */
export function allowedCpus(): readonly number[] {
  const match = /^Cpus_allowed_list:\s+(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return parseCpuList(match?.[1] ?? '');
}

export function pinned(cpu: string | undefined, command: readonly string[]): readonly string[] {
  return cpu === undefined ? command : ['taskset', '-c', cpu, ...command];
}

/** Below the kernel's range for outgoing connections (32768 up by default), as an API server's 6443 is. */
const portRange = { from: 10_000, to: 30_000 } as const;

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    // All addresses, because the backend has several.
    server.listen({ port, host: '0.0.0.0' }, () => server.close(() => resolve(true)));
  });
}

/** Ports that were free a moment ago on every IPv4 address, all different. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(portRange.from, portRange.to);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  if (port === undefined) throw new Error('no free port');
  return port;
}

/** Whether something accepts on `host:port` now. */
export async function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

const alive = new Set<Child>();

/** A running child. The harness ends it, whatever happens: `stop()`, or at the harness's own exit. */
export class Child {
  readonly name: string;
  readonly pid: number;
  readonly #process: ChildProcess;
  #output = '';
  #pids: readonly number[];

  constructor(name: string, command: readonly string[], { cwd }: { cwd?: string } = {}) {
    const [file, ...args] = command;
    if (file === undefined) throw new Error(`${name}: empty command`);
    this.name = name;
    this.#process = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(cwd ? { cwd } : {}) });
    if (this.#process.pid === undefined) throw new Error(`${name}: cannot start ${file}`);
    this.pid = this.#process.pid;
    this.#pids = [this.pid];
    this.#process.once('error', (error) => this.#keep(String(error)));
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.#keep(text));
    }
    alive.add(this);
    this.#process.once('exit', () => alive.delete(this));
  }

  /** The last of what it printed, for error messages. */
  get output(): string {
    return this.#output;
  }

  get hasExited(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** Waits until it accepts connections; fails with its output when it ends before that. */
  listening(host: string, port: number, timing?: { everyMs?: number; withinMs?: number }): Promise<void> {
    return this.serving(`listen on ${host}:${port}`, () => accepts(host, port), timing);
  }

  /** Waits until `isServing`; fails with its output when it ends before that. */
  async serving(
    what: string,
    isServing: () => Promise<boolean>,
    { everyMs = 5, withinMs = 10_000 } = {},
  ): Promise<void> {
    const giveUpMs = performance.now() + withinMs;
    while (!(await isServing())) {
      if (this.hasExited) throw new Error(`${this.name} ended before it could ${what}:\n${this.output}`);
      if (performance.now() > giveUpMs) throw new Error(`${this.name} does not ${what}:\n${this.output}`);
      await sleep(everyMs);
    }
    this.#pids = await processTree(this.pid);
  }

  /** SIGTERM, and SIGKILL for what is left of it after `graceMs`. */
  async stop({ graceMs = 1_000 } = {}): Promise<void> {
    if (this.hasExited) return;
    const exited = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.killNow(), graceMs);
    await exited;
    clearTimeout(timer);
  }

  /** Ends it and the workers that it had when it began to listen, at once. */
  killNow(): void {
    if (this.hasExited) return;
    for (const pid of this.#pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It is gone already, which is what was wanted.
      }
    }
  }

  #keep(text: string): void {
    this.#output = (this.#output + text).slice(-8_000);
  }
}

/** For an abrupt end of the harness: nothing that it started stays behind. */
export function killAllChildren(): void {
  for (const child of alive) child.killNow();
}

/** Runs a command to its end and gives its output; fails on a non-zero exit. */
export async function runToEnd(command: readonly string[], { withinMs = 120_000 } = {}): Promise<string> {
  const [file, ...args] = command;
  if (file === undefined) throw new Error('empty command');
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const timer = setTimeout(() => child.kill('SIGKILL'), withinMs);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) throw new Error(`${file} exited with ${code}: ${stderr || stdout}`);
    return stdout;
  } finally {
    clearTimeout(timer);
  }
}

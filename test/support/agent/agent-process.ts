// The built agent (dist/fairlead.js) as a process of its own, its log read line by line.
//
//   const agent = new AgentProcess(['--listen', '127.0.0.1:0', ...]);
//   await agent.listening();  agent.address;  await agent.status();  agent.signal('SIGTERM');  await agent.exited;
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { createInterface } from 'node:readline';
import type { Status, StatusEndpoint } from '../../../src/model/status.ts';
import { eventually } from '../jest/eventually.ts';

const root = new URL('../../..', import.meta.url).pathname;
/** What `npm run build` makes. */
export const builtProgram = `${root}dist/fairlead.js`;

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface AgentProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Runs this instead of Node with the bundle; `run` and its arguments follow. */
  readonly command?: readonly [string, ...string[]];
  /** Sockets that it is to find at descriptor 3 and after, as if systemd had bound them. */
  readonly sockets?: readonly Server[];
  /** Told of every log line. */
  readonly onLog?: (line: LogLine, text: string) => void;
}

/** Agents that still run: they end with this process. */
const running = new Set<ChildProcess>();

function endAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** Builds dist/fairlead.js, so that tests never run an old one. Takes half a second. */
export function buildAgent(): void {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/build.ts'], {
    cwd: root,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the build failed: ${stderr}`);
}

export class AgentProcess {
  /** Every line of its log so far. */
  readonly log: LogLine[] = [];
  /** What it wrote to standard error. */
  errors = '';
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #running = Promise.withResolvers<LogLine>();
  #addresses: readonly string[] = [];
  #admin = '';

  /** Starts `fairlead run` and waits for nothing. */
  constructor(args: readonly string[], options: AgentProcessOptions = {}) {
    const { env = {}, onLog, sockets = [], command = [process.execPath, builtProgram] } = options;
    // The process id has to be known to the process itself.
    const announced = `export LISTEN_PID=$$ LISTEN_FDS=${sockets.length}; exec "$@"`;
    const activation = sockets.length > 0 ? ['sh', '-c', announced, 'sh'] : [];
    const [program = '', ...first] = [...activation, ...command];
    const child = spawn(program, [...first, 'run', ...args], {
      stdio: ['ignore', 'pipe', 'pipe', ...sockets.map(descriptorOf)],
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    });
    this.#child = child;
    if (running.size === 0) process.on('exit', endAll);
    running.add(child);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text;
    });
    if (child.stdout) {
      createInterface({ input: child.stdout }).on('line', (text) => {
        const line = parseLine(text);
        this.log.push(line);
        if (line.msg === 'fairlead is running') this.#running.resolve(line);
        onLog?.(line, text);
      });
    }
    this.exited = once(child, 'close').then(([code, signal]) => {
      running.delete(child);
      if (running.size === 0) process.off('exit', endAll);
      const why = this.errors || this.log.map(({ msg }) => msg).join('\n');
      this.#running.reject(new Error(`fairlead ended with ${signal ?? code}: ${why}`));
      return { code, signal } as Exit;
    });
    // Looked at by those who wait for it.
    this.#running.promise.catch(() => {});
  }

  /** Resolves when it says that it is running; rejects when it ends before that. */
  async listening(): Promise<void> {
    const { addresses, admin } = await this.#running.promise;
    this.#addresses = addresses as string[];
    this.#admin = typeof admin === 'string' ? admin : '';
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** `HOST:PORT` of each listener. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  get address(): string {
    return this.#addresses[0] ?? '';
  }

  /** `HOST:PORT` of the admin server. */
  get admin(): string {
    return this.#admin;
  }

  /** GET on the admin server. */
  get(path: string): Promise<Response> {
    return fetch(`http://${this.admin}${path}`, { signal: AbortSignal.timeout(5_000) });
  }

  async status(): Promise<Status> {
    return (await (await this.get('/status')).json()) as Status;
  }

  /** What the status says about one endpoint; undefined when it is not listed. */
  async endpoint(id: string): Promise<StatusEndpoint | undefined> {
    return (await this.status()).endpoints.find((endpoint) => endpoint.id === id);
  }

  /** Resolves when exactly `count` endpoints are ready. */
  async untilReady(count: number): Promise<void> {
    let last: readonly StatusEndpoint[] = [];
    await eventually(
      () => `${count} endpoints are ready: ${last.map(({ id, reason }) => `${id} ${reason}`).join('; ')}`,
      async () => {
        last = (await this.status()).endpoints;
        return last.filter(({ verdict }) => verdict === 'ready').length === count;
      },
      30_000,
    );
  }

  /** /metrics, in Prometheus' text. */
  async metrics(): Promise<string> {
    return (await this.get('/metrics')).text();
  }

  /** The messages of its log so far. */
  get messages(): string[] {
    return this.log.map(({ msg }) => msg);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it at once. Idempotent. */
  async kill(): Promise<Exit> {
    this.signal('SIGKILL');
    return this.exited;
  }
}

function descriptorOf(server: Server): number {
  return (server as unknown as { _handle: { fd: number } })._handle.fd;
}

function parseLine(text: string): LogLine {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return { level: 'unknown', msg: text };
  }
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a `fairlead` command that ends by itself, in an environment of its own. */
export async function runFairlead(
  args: readonly string[],
  { env = {}, cwd }: { readonly env?: Readonly<Record<string, string>>; readonly cwd?: string } = {},
): Promise<CommandResult> {
  const child = spawn(process.execPath, [builtProgram, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    ...(cwd !== undefined && { cwd }),
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** A port of 127.0.0.1 that nobody has now, for files that must name the port before anybody listens. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

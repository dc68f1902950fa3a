// Fairlead as the subject: the built agent, as a node runs it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Status } from '../../../src/model/status.ts';
import { eventually } from '../jest/eventually.ts';
import type { Inspection } from './inspector.ts';
import type { RunningSubject, Subject, SubjectPlace } from './subject.ts';

const root = new URL('../../../', import.meta.url).pathname;
const bundle = join(root, 'dist/fairlead.js');
const inspector = new URL('inspector.ts', import.meta.url).pathname;
const adminPort = 6442;

/** Beside the listener, so that several agents of one node do not meet. */
function adminOf({ listen: { host } }: SubjectPlace): string {
  return `${host.includes(':') ? `[${host}]` : host}:${adminPort}`;
}

/** Throws when there is no bundle, or one that is older than the sources. */
export function checkBundle(): void {
  const sources = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs);
  const isStale = !existsSync(bundle) || statSync(bundle).mtimeMs < Math.max(...sources);
  if (isStale) throw new Error('dist/fairlead.js is missing or older than src: run `npm run build` first');
}

export interface FairleadOptions {
  /** Endpoints to start with; by default those of the place. */
  readonly endpoints?: readonly string[];
  readonly args?: readonly string[];
  readonly nodeName?: string;
  readonly logLevel?: 'debug' | 'info';
  /** `inspect()` works. */
  readonly isInspectable?: boolean;
  /** Settings as environment variables. */
  readonly env?: Readonly<Record<string, string>>;
}

export class RunningFairlead implements RunningSubject {
  readonly log: string[] = [];
  readonly #child: ChildProcess;
  readonly #place: SubjectPlace;

  constructor(child: ChildProcess, place: SubjectPlace) {
    this.#child = child;
    this.#place = place;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.log.push(line));
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async status(): Promise<Status> {
    const { body } = await this.#place.fetch(`http://${adminOf(this.#place)}/status`);
    return JSON.parse(body) as Status;
  }

  /** A metric's value with these labels, in Prometheus' text; 0 when it is absent. */
  async metric(nameAndLabels: string): Promise<number> {
    const { body } = await this.#place.fetch(`http://${adminOf(this.#place)}/metrics`);
    const line = body.split('\n').find((candidate) => candidate.startsWith(`${nameAndLabels} `));
    return line === undefined ? 0 : Number(line.slice(nameAndLabels.length + 1));
  }

  /** What is alive in the agent, after a full collection. */
  async inspect(): Promise<Inspection> {
    const read = () =>
      this.log.flatMap((line) =>
        line.startsWith('{"inspection"') ? [(JSON.parse(line) as { inspection: Inspection }).inspection] : [],
      );
    const before = read().length;
    this.signal('SIGUSR2');
    return eventually('the agent is inspected', () => read()[before]);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Log records with this message. */
  logged(message: string): Record<string, unknown>[] {
    return this.log.flatMap((line) => {
      if (!line.startsWith('{')) return [];
      const record = JSON.parse(line) as Record<string, unknown>;
      return record.msg === message ? [record] : [];
    });
  }

  async listening(): Promise<void> {
    await eventually(
      () => `the agent answers; its log:\n${this.log.join('\n')}`,
      async () => {
        if (!this.isRunning) throw new Error(`the agent has ended:\n${this.log.join('\n')}`);
        return this.status().catch(() => undefined);
      },
    );
  }

  async settled(): Promise<void> {
    let last: Status | undefined;
    await eventually(
      () => `every endpoint is judged: ${JSON.stringify(last?.endpoints)}`,
      async () => {
        last = await this.status();
        return last.endpoints.every(({ verdict }) => verdict !== 'unknown');
      },
    );
  }

  async stop(): Promise<void> {
    if (!this.isRunning) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

export class Fairlead implements Subject {
  readonly name = 'Fairlead';
  readonly #options: FairleadOptions;

  constructor(options: FairleadOptions = {}) {
    this.#options = options;
  }

  async start(place: SubjectPlace): Promise<RunningFairlead> {
    const { prefix, listen, directory, kubeconfig, isStatic = false } = place;
    const {
      endpoints = place.toldOf ?? place.endpoints,
      args = [],
      nodeName = 'node-1',
      logLevel = 'debug',
      isInspectable = false,
      env = {},
    } = this.#options;
    const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
    const [command = '', ...rest] = [
      ...prefix,
      process.execPath,
      ...(isInspectable ? ['--expose-gc', '--no-warnings', '--import', inspector] : []),
      ...[bundle, 'run', '--listen', `${host}:${listen.port}`, '--admin', adminOf(place)],
      ...(endpoints.length > 0 ? ['--endpoints', endpoints.join(',')] : []),
      ...['--kubeconfig', kubeconfig, '--cache-file', join(directory, 'endpoints.json')],
      ...['--node-name', nodeName, '--log-level', logLevel, ...args],
    ];
    const child = spawn(command, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...(isStatic && { FAIRLEAD_DISCOVERY_WATCH: 'false' }), ...env },
    });
    const agent = new RunningFairlead(child, place);
    await agent.listening();
    return agent;
  }
}

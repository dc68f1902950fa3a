// A stand-in API server in a process of its own (main.ts), steered by signals and its control port.
import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { NodeProcess } from './child-process.ts';
import type { ServerCertificate } from './listener.ts';
import type { Action, Misbehaviour } from './misbehaviour.ts';
import { pkiPaths } from './pki-read.ts';
import type { ApiServerStats, ShutdownOptions, StandIn } from './stand-in.ts';

export interface ApiServerProcessOptions {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Path of the control socket. */
  readonly controlPath: string;
  /** Where its certificates are (pki-read.ts). */
  readonly pkiDir: string;
  /** Further arguments of main.ts. */
  readonly args: readonly string[];
  readonly prefix?: readonly string[];
}

const script = new URL('main.ts', import.meta.url).pathname;

export class ApiServerProcess implements StandIn {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly #controlPath: string;
  readonly #pkiDir: string;
  readonly #process: NodeProcess;

  constructor({ name, host, port, controlPath, pkiDir, args, prefix }: ApiServerProcessOptions) {
    this.name = name;
    this.host = host;
    this.port = port;
    this.#controlPath = controlPath;
    this.#pkiDir = pkiDir;
    const own = [
      '--name',
      name,
      '--listen',
      host,
      '--port',
      String(port),
      '--control',
      `unix:${controlPath}`,
    ];
    this.#process = new NodeProcess(script, [...own, '--pki', pkiDir, ...args], prefix);
  }

  get address(): string {
    return this.host.includes(':') ? `[${this.host}]:${this.port}` : `${this.host}:${this.port}`;
  }

  get url(): string {
    return `https://${this.address}`;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  async start(): Promise<void> {
    await this.#process.start();
  }

  async ready(): Promise<void> {
    await this.#control('GET', '/ready');
  }

  async kill(): Promise<void> {
    await this.#process.kill();
  }

  async terminate(options?: Partial<ShutdownOptions>): Promise<void> {
    if (options) await this.#control('POST', '/terminate', options);
    else this.#process.signal('SIGTERM');
    await this.#process.exited();
  }

  async freeze(): Promise<void> {
    this.#process.signal('SIGSTOP');
  }

  async thaw(): Promise<void> {
    this.#process.signal('SIGCONT');
  }

  async misbehave(change: Partial<Misbehaviour>): Promise<void> {
    await this.#control('PATCH', '/misbehaviour', change);
  }

  async behave(): Promise<void> {
    await this.#control('DELETE', '/misbehaviour');
  }

  async replaceCertificate({ cert, key }: ServerCertificate): Promise<void> {
    const file = join(this.#pkiDir, pkiPaths.server(this.name, 'good'));
    await writeFile(`${file}.crt`, cert);
    await writeFile(`${file}.key`, key);
  }

  async act(action: Action): Promise<void> {
    await this.#control('POST', `/actions/${action}`);
  }

  async stats(): Promise<ApiServerStats> {
    return (await this.#control('GET', '/stats')) as ApiServerStats;
  }

  async resetStats(): Promise<void> {
    await this.#control('DELETE', '/stats');
  }

  #control(method: string, path: string, body?: unknown): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const call = request({ socketPath: this.#controlPath, method, path, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${this.name}: ${method} ${path}: ${text.trim()}`));
      });
    });
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
    return promise;
  }
}

// Clients that hold watches open, each on its own connection, and open a new one when it ends.
import type { ClientRequest } from 'node:http';
import { request } from 'node:https';
import { monotonicMs } from './monotonic.ts';
import { describe, type Target, tlsOptions } from './target.ts';

export interface WatchEnd {
  readonly openedMs: number;
  readonly endedMs: number;
  readonly server: string | undefined;
  /** `end` for a regular end of the body. */
  readonly how: string;
}

export interface WatchesReport {
  readonly ends: readonly WatchEnd[];
  readonly openAtStop: number;
  readonly events: number;
}

const path = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?watch=1&timeoutSeconds=3600';
const againMs = 100;

export class Watches {
  readonly #target: Target;
  readonly #requests = new Set<ClientRequest>();
  readonly #ends: WatchEnd[] = [];
  #open = 0;
  #events = 0;
  #isStopped = false;

  constructor(target: Target, count: number) {
    this.#target = target;
    for (let index = 0; index < count; index += 1) this.#watch();
  }

  get open(): number {
    return this.#open;
  }

  stop(): WatchesReport {
    this.#isStopped = true;
    const report = { ends: [...this.#ends], openAtStop: this.#open, events: this.#events };
    for (const call of this.#requests) call.destroy();
    return report;
  }

  #watch(): void {
    if (this.#isStopped) return;
    let openedMs: number | undefined;
    let server: string | undefined;
    let isOver = false;
    const over = (how: string): void => {
      if (isOver || this.#isStopped) return;
      isOver = true;
      this.#requests.delete(call);
      if (openedMs !== undefined) {
        this.#open -= 1;
        this.#ends.push({ openedMs, endedMs: monotonicMs(), server, how });
      }
      setTimeout(() => this.#watch(), againMs);
    };
    const call = request({ ...tlsOptions(this.#target), agent: false, path }, (response) => {
      if (response.statusCode !== 200) {
        response.resume();
        response.on('end', () => over(`status ${response.statusCode}`));
        response.on('error', (error) => over(describe(error)));
        return;
      }
      openedMs = monotonicMs();
      this.#open += 1;
      const from = response.headers['x-stand-in'];
      if (typeof from === 'string') server = from;
      response.on('data', (chunk: Buffer) => {
        this.#events += chunk.toString('latin1').split('\n').length - 1;
      });
      response.on('end', () => over('end'));
      response.on('error', (error) => over(describe(error)));
    });
    this.#requests.add(call);
    call.on('error', (error) => over(describe(error)));
    call.end();
  }
}

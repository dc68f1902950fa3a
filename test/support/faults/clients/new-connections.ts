// A client that opens a new TLS connection for every question, at a steady rate whatever becomes of the earlier ones.
import { ask, type Call, type Target } from './target.ts';

export interface NewConnectionsOptions {
  readonly everyMs: number;
  readonly path: string;
  /** A question without an answer for this long has failed. */
  readonly timeoutMs: number;
}

export class NewConnections {
  readonly calls: Call[] = [];
  readonly #pending = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;

  constructor(target: Target, { everyMs, path, timeoutMs }: NewConnectionsOptions) {
    this.#timer = setInterval(() => {
      const call = ask(target, path, { timeoutMs }).then((result) => {
        this.calls.push(result);
        this.#pending.delete(call);
      });
      this.#pending.add(call);
    }, everyMs);
  }

  /** Starts no more; resolves when the last one has its outcome. */
  async stop(): Promise<Call[]> {
    clearInterval(this.#timer);
    await Promise.all(this.#pending);
    return this.calls.sort((a, b) => a.askedMs - b.askedMs);
  }
}

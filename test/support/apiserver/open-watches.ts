// The watches that are open on one API server.
import type { Exchange } from './exchange.ts';
import type { WatchStream } from './watch-stream.ts';

export class OpenWatches {
  readonly #open = new Map<WatchStream, Exchange>();
  #total = 0;

  add(stream: WatchStream, exchange: Exchange): void {
    this.#open.set(stream, exchange);
    this.#total += 1;
    exchange.closed.addEventListener('abort', () => this.#open.delete(stream));
  }

  /** A plain end of each body. */
  endAll(): void {
    for (const stream of [...this.#open.keys()]) stream.end();
  }

  /** Resets the connections that carry them. */
  resetAll(): void {
    for (const exchange of [...this.#open.values()]) exchange.destroyConnection('reset');
  }

  counts() {
    return { watchesOpen: this.#open.size, watchesTotal: this.#total };
  }

  resetTotal(): void {
    this.#total = 0;
  }
}

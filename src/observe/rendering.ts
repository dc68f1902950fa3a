// A page that costs time to make, for any number of readers: one rendering at a time, so many a second at most, and who
// comes in between gets the latest one. Without that, sixty connections that ask for /metrics keep the event loop from clients.
import { TokenBucket } from '../lib/token-bucket.ts';
import type { Clock } from '../model/clock.ts';

export interface Page {
  readonly contentType: string;
  readonly body: Buffer;
}

export interface RenderingOptions {
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Renderings a second. */
  readonly perSecond: number;
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
}

export class Rendering {
  readonly #options: RenderingOptions;
  #latest: Page | undefined;
  #running: Promise<Page> | undefined;
  readonly #bucket: TokenBucket;

  constructor(options: RenderingOptions) {
    this.#options = options;
    const { clock, perSecond } = options;
    this.#bucket = new TokenBucket({ clock, burst: perSecond, everyMs: 1_000 / perSecond });
  }

  /** A page at most a second old. Rejects with what the rendering failed with. */
  async page(): Promise<Page> {
    if (this.#running) return this.#running;
    if (!this.#bucket.take() && this.#latest) return this.#latest;
    this.#running = this.#render();
    try {
      this.#latest = await this.#running;
      return this.#latest;
    } finally {
      this.#running = undefined;
    }
  }

  async #render(): Promise<Page> {
    const { contentType, body } = await this.#options.render();
    return { contentType, body: Buffer.from(body) };
  }
}

// A page that costs time to make, for any number of readers: one rendering at a time, so many a second at most, and who
// comes in between gets the latest one. Without that, sixty connections that ask for /metrics keep the event loop from clients.
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
  /** Renderings that may be made now; as many as in a second at most. */
  #allowed: number;
  #countedMs: number;

  constructor(options: RenderingOptions) {
    this.#options = options;
    this.#allowed = options.perSecond;
    this.#countedMs = options.clock.nowMs();
  }

  /** A page at most a second old. Rejects with what the rendering failed with. */
  async page(): Promise<Page> {
    if (this.#running) return this.#running;
    if (this.#latest && !this.#mayRender()) return this.#latest;
    this.#running = this.#render();
    try {
      this.#latest = await this.#running;
      return this.#latest;
    } finally {
      this.#running = undefined;
    }
  }

  #mayRender(): boolean {
    const { clock, perSecond } = this.#options;
    const nowMs = clock.nowMs();
    this.#allowed = Math.min(perSecond, this.#allowed + ((nowMs - this.#countedMs) / 1000) * perSecond);
    this.#countedMs = nowMs;
    return this.#allowed >= 1;
  }

  async #render(): Promise<Page> {
    this.#allowed = Math.max(0, this.#allowed - 1);
    const { contentType, body } = await this.#options.render();
    return { contentType, body: Buffer.from(body) };
  }
}

// The timers of one owner, so that stopping it leaves none behind.

export class Timers {
  readonly #pending = new Set<NodeJS.Timeout>();
  #isStopped = false;

  after(delayMs: number, fn: () => void): () => void {
    if (this.#isStopped) return () => {};
    const timer = setTimeout(() => {
      this.#pending.delete(timer);
      fn();
    }, delayMs);
    this.#pending.add(timer);
    return () => {
      clearTimeout(timer);
      this.#pending.delete(timer);
    };
  }

  every(intervalMs: number, fn: () => void): () => void {
    if (this.#isStopped) return () => {};
    const timer = setInterval(fn, intervalMs);
    this.#pending.add(timer);
    return () => {
      clearInterval(timer);
      this.#pending.delete(timer);
    };
  }

  /** Resolves after the delay; never, once the owner has stopped. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** The value, or `late` when it takes longer than the delay. */
  async within<T, L>(delayMs: number, value: Promise<T>, late: L): Promise<T | L> {
    const { promise, resolve } = Promise.withResolvers<L>();
    const cancel = this.after(delayMs, () => resolve(late));
    try {
      return await Promise.race([value, promise]);
    } finally {
      cancel();
    }
  }

  /** Clears everything; nothing fires from now on. Idempotent. */
  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#pending) clearTimeout(timer);
    this.#pending.clear();
  }
}

/** Something that is open or shut, and can be waited for. */
export class AcceptPolicy {
  #shut: PromiseWithResolvers<void> | undefined;

  get isShut(): boolean {
    return this.#shut !== undefined;
  }

  set isShut(isShut: boolean) {
    if (isShut) {
      this.#shut ??= Promise.withResolvers<void>();
    } else {
      this.#shut?.resolve();
      this.#shut = undefined;
    }
  }

  async open(): Promise<void> {
    while (this.#shut) await this.#shut.promise;
  }
}

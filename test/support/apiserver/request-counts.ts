// How often each path and method was asked for.

export class RequestCounts {
  readonly #byPath = new Map<string, number>();
  readonly #byMethod = new Map<string, number>();

  count(method: string, path: string): void {
    this.#byPath.set(path, (this.#byPath.get(path) ?? 0) + 1);
    this.#byMethod.set(method, (this.#byMethod.get(method) ?? 0) + 1);
  }

  snapshot() {
    return {
      requests: [...this.#byMethod.values()].reduce((sum, count) => sum + count, 0),
      requestsByPath: Object.fromEntries(this.#byPath),
      requestsByMethod: Object.fromEntries(this.#byMethod),
    };
  }

  reset(): void {
    this.#byPath.clear();
    this.#byMethod.clear();
  }
}

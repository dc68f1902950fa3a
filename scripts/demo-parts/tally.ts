// What one kind of client saw: how many requests worked, the slowest, the longest time without any success, and who
// answered when.

/** Width of one column of the "who answered" strip. */
export const columnMs = 500;

/** A column of the strip: the API server that answered most, or that something failed, or that none answered. */
export type Mark = { readonly server: string } | 'failed' | 'nobody';

export class Tally {
  ok = 0;
  /** Sent a second time, because the connection was cut after the API server had begun to answer. */
  repeated = 0;
  failed = 0;
  slowestMs = 0;
  /** The first few failures, for the summary. */
  readonly failures: string[] = [];
  readonly #startedMs: number;
  readonly #columns = new Map<number, Map<string, number>>();
  readonly #failedColumns = new Set<number>();
  #lastOkMs: number;
  #longestPauseMs = 0;
  #stoppedMs: number | undefined;

  /** `startedMs`: the beginning of the first column and of the first pause. */
  constructor(startedMs: number) {
    this.#startedMs = startedMs;
    this.#lastOkMs = startedMs;
  }

  worked(server: string, tookMs: number, nowMs: number): void {
    this.ok += 1;
    this.slowestMs = Math.max(this.slowestMs, tookMs);
    this.#longestPauseMs = Math.max(this.#longestPauseMs, nowMs - this.#lastOkMs);
    this.#lastOkMs = nowMs;
    const column = this.#column(nowMs);
    const counts = this.#columns.get(column) ?? new Map<string, number>();
    counts.set(server, (counts.get(server) ?? 0) + 1);
    this.#columns.set(column, counts);
  }

  hasFailed(reason: string, nowMs: number): void {
    this.failed += 1;
    if (this.failures.length < 5) this.failures.push(reason);
    this.#failedColumns.add(this.#column(nowMs));
  }

  /** The client has stopped: the pause ends here. */
  stop(nowMs: number): void {
    this.#stoppedMs ??= nowMs;
  }

  /** The longest time without a success, the present one too. */
  longestPauseMs(nowMs: number): number {
    return Math.max(this.#longestPauseMs, (this.#stoppedMs ?? nowMs) - this.#lastOkMs);
  }

  /** One mark for each column until now, oldest first. */
  strip(nowMs: number): Mark[] {
    const end = this.#column(this.#stoppedMs ?? nowMs);
    const marks = Array.from({ length: end + 1 }, (_, column) => this.#mark(column));
    // The last column has only begun: that none has answered in it says nothing yet.
    return marks.at(-1) === 'nobody' ? marks.slice(0, -1) : marks;
  }

  #mark(column: number): Mark {
    if (this.#failedColumns.has(column)) return 'failed';
    const [most] = [...(this.#columns.get(column) ?? [])].sort(([, a], [, b]) => b - a);
    return most ? { server: most[0] } : 'nobody';
  }

  #column(nowMs: number): number {
    return Math.floor((nowMs - this.#startedMs) / columnMs);
  }
}

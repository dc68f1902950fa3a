// The control of every timing: how long the processes that a measurement depends on were ready to run and got
// no CPU. What such a stall explains is no fault of the product; see withRetry.
import { monotonicMs } from './clients/monotonic.ts';
import { waitedForCpuMs } from './processes.ts';

const everyMs = 25;
const windowMs = 500;

interface Sample {
  readonly atMs: number;
  /** Waiting since the last sample, over all processes, and lateness of our own timer. */
  readonly stalledMs: number;
}

export class StallWatch {
  readonly #pids: () => readonly number[];
  readonly #last = new Map<number, number>();
  readonly #samples: Sample[] = [];
  readonly #timer: NodeJS.Timeout;
  #lastMs = monotonicMs();

  constructor(pids: () => readonly number[]) {
    this.#pids = pids;
    this.#timer = setInterval(() => this.#sample(), everyMs);
  }

  /** Stall of all watched processes together between two moments; an upper bound of what it cost a client. */
  between(fromMs: number, toMs: number): number {
    this.#sample();
    const inside = this.#samples.filter(({ atMs }) => atMs > fromMs && atMs <= toMs + 2 * everyMs);
    return Math.round(inside.reduce((sum, { stalledMs }) => sum + stalledMs, 0));
  }

  /** The most stall in any half second between two moments: a standstill, and not the sum of many small waits. */
  worstBetween(fromMs: number, toMs: number): number {
    const inside = this.#samples.filter(({ atMs }) => atMs > fromMs && atMs <= toMs + 2 * everyMs);
    let worstMs = 0;
    let sumMs = 0;
    let first = 0;
    for (const { atMs, stalledMs } of inside) {
      sumMs += stalledMs;
      for (let oldest = inside[first]; oldest && atMs - oldest.atMs > windowMs; oldest = inside[first]) {
        sumMs -= oldest.stalledMs;
        first += 1;
      }
      worstMs = Math.max(worstMs, sumMs);
    }
    return Math.round(worstMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    const nowMs = monotonicMs();
    let stalledMs = 0;
    for (const pid of this.#pids()) {
      const waitedMs = waitedForCpuMs(pid);
      if (waitedMs === undefined) continue;
      stalledMs += waitedMs - (this.#last.get(pid) ?? waitedMs);
      this.#last.set(pid, waitedMs);
    }
    // If we were late ourselves the whole machine may have stood still (a paused virtual machine).
    stalledMs = Math.max(stalledMs, nowMs - this.#lastMs - 2 * everyMs);
    this.#lastMs = nowMs;
    this.#samples.push({ atMs: nowMs, stalledMs });
  }
}

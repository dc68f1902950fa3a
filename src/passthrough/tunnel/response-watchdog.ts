// Notices endpoints that send nothing after a client's bytes, for all tunnels with one coarse timer that stands
// still when no tunnel waits. A list in order of waiting time makes a look cost only what is due.
import { LinkedList, type Linked } from '../../lib/linked-list.ts';
import { type Clock, judgeAfter, type Timer } from '../../model/clock.ts';
import type { OutcomeReporter } from '../../model/outcome.ts';
import type { EndpointRecord } from './endpoint-record.ts';

/** How often the list is looked at while it is not empty. */
const lookEveryMs = 100;

/** Reports of one endpoint are at least this far apart. */
const reportEveryMs = 1000;

/** A place in the list; a tunnel has one and uses it again and again. */
export interface Waiter extends Linked<Waiter> {
  /** The endpoint that is waited for. */
  record: EndpointRecord | undefined;
  waitingSinceMs: number;
}

export class ResponseWatchdog {
  readonly #clock: Clock;
  readonly #outcomes: OutcomeReporter;
  readonly #afterMs: () => number;
  readonly #waiting = new LinkedList<Waiter>();
  #timer: Timer | undefined;
  /** Waiting that began before this moment counts from it: our own loop stood still until then. */
  #countFromMs = Number.NEGATIVE_INFINITY;
  #isStopped = false;

  constructor(clock: Clock, outcomes: OutcomeReporter, afterMs: () => number) {
    this.#clock = clock;
    this.#outcomes = outcomes;
    this.#afterMs = afterMs;
  }

  /** The client has sent bytes at `nowMs`, and `waiter` is not listed. */
  add(waiter: Waiter, nowMs: number): void {
    waiter.waitingSinceMs = nowMs;
    this.#waiting.append(waiter);
    if (this.#timer === undefined) this.#arm();
  }

  /** The endpoint has answered, or the tunnel is gone. */
  remove(waiter: Waiter): void {
    this.#waiting.remove(waiter);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    if (this.#isStopped) return;
    this.#timer = judgeAfter(this.#clock, lookEveryMs, {
      onExpired: () => {
        this.#timer = undefined;
        this.#report();
        if (this.#waiting.first) this.#arm();
      },
      onVoid: () => {
        this.#timer = undefined;
        this.#countFromMs = this.#clock.nowMs();
        if (this.#waiting.first) this.#arm();
      },
    });
  }

  #report(): void {
    const nowMs = this.#clock.nowMs();
    const afterMs = this.#afterMs();
    if (nowMs - this.#countFromMs < afterMs) return;
    let waiter = this.#waiting.first;
    while (waiter && nowMs - waiter.waitingSinceMs >= afterMs) {
      const { next, record } = waiter;
      // One report covers every tunnel of the endpoint that is due; the others wait for their turn.
      if (record === undefined || nowMs === record.silenceReportedMs) {
        this.remove(waiter);
      } else if (nowMs - record.silenceReportedMs >= reportEveryMs) {
        record.silenceReportedMs = nowMs;
        this.remove(waiter);
        this.#outcomes.tunnelSilent(record.id);
      }
      waiter = next;
    }
  }
}

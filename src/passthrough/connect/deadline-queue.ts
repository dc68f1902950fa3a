// Deadlines of one fixed length for many connections, with one timer for all: setting and cancelling one are a few
// assignments, because almost every deadline of the data path is cancelled within a millisecond. A deadline judges
// as judgeAfter does: when our own loop was late, everything waiting gets its whole time again.
import { LinkedList, type Linked } from '../../lib/linked-list.ts';
import { type Clock, judgeAfter, type Timer } from '../../model/clock.ts';

/** One deadline, owned by the queue until it expires or is cancelled. */
export interface Deadline extends Linked<Deadline> {
  dueMs: number;
  expired(): void;
}

export class DeadlineQueue {
  readonly #clock: Clock;
  readonly #lengthMs: () => number;
  readonly #waiting = new LinkedList<Deadline>();
  #timer: Timer | undefined;

  /** `lengthMs` is read anew each time, so that a reload can change it for deadlines to come. */
  constructor(clock: Clock, lengthMs: () => number) {
    this.#clock = clock;
    this.#lengthMs = lengthMs;
  }

  /** Sets the deadline, anew if it is set already. */
  set(deadline: Deadline): void {
    this.cancel(deadline);
    const lengthMs = this.#lengthMs();
    deadline.dueMs = this.#clock.nowMs() + lengthMs;
    this.#waiting.append(deadline);
    if (this.#timer === undefined) this.#wait(lengthMs);
  }

  cancel(deadline: Deadline): void {
    this.#waiting.remove(deadline);
    // The timer stays: setting and cancelling it for each connection is what this queue avoids.
  }

  /** Forgets everything; nothing expires after this. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    while (this.#waiting.first) this.cancel(this.#waiting.first);
  }

  #wait(delayMs: number): void {
    this.#timer = judgeAfter(this.#clock, delayMs, {
      onExpired: () => {
        this.#timer = undefined;
        this.#expire();
        this.#waitForFirst();
      },
      onVoid: () => {
        this.#timer = undefined;
        const dueMs = this.#clock.nowMs() + this.#lengthMs();
        for (let deadline = this.#waiting.first; deadline; deadline = deadline.next) deadline.dueMs = dueMs;
        this.#waitForFirst();
      },
    });
  }

  #waitForFirst(): void {
    const { first } = this.#waiting;
    if (first && this.#timer === undefined) this.#wait(Math.max(0, first.dueMs - this.#clock.nowMs()));
  }

  #expire(): void {
    const nowMs = this.#clock.nowMs();
    // Deadlines set by those that expire come behind and are not due.
    for (;;) {
      const deadline = this.#waiting.first;
      if (!deadline || deadline.dueMs > nowMs) return;
      this.cancel(deadline);
      deadline.expired();
    }
  }
}

// Deadlines of one fixed length for many connections, with one timer for all: setting and cancelling one are a few
// assignments, because almost every deadline of the data path is cancelled within a millisecond. A deadline judges
// as judgeAfter does: when our own loop was late, everything waiting gets its whole time again.
import { type Clock, judgeAfter, type Timer } from '../../model/clock.ts';

/** One deadline, owned by the queue until it expires or is cancelled. */
export interface Deadline {
  dueMs: number;
  isSet: boolean;
  previous: Deadline | undefined;
  next: Deadline | undefined;
  expired(): void;
}

export class DeadlineQueue {
  readonly #clock: Clock;
  readonly #lengthMs: () => number;
  #first: Deadline | undefined;
  #last: Deadline | undefined;
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
    deadline.isSet = true;
    deadline.next = undefined;
    deadline.previous = this.#last;
    if (this.#last) this.#last.next = deadline;
    else this.#first = deadline;
    this.#last = deadline;
    if (this.#timer === undefined) this.#wait(lengthMs);
  }

  cancel(deadline: Deadline): void {
    if (!deadline.isSet) return;
    deadline.isSet = false;
    const { previous, next } = deadline;
    if (previous) previous.next = next;
    else this.#first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    deadline.previous = undefined;
    deadline.next = undefined;
    // The timer stays: setting and cancelling it for each connection is what this queue avoids.
  }

  /** Forgets everything; nothing expires after this. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    while (this.#first) this.cancel(this.#first);
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
        for (let deadline = this.#first; deadline; deadline = deadline.next) deadline.dueMs = dueMs;
        this.#waitForFirst();
      },
    });
  }

  #waitForFirst(): void {
    if (this.#first && this.#timer === undefined) {
      this.#wait(Math.max(0, this.#first.dueMs - this.#clock.nowMs()));
    }
  }

  #expire(): void {
    const nowMs = this.#clock.nowMs();
    // Deadlines set by those that expire come behind and are not due.
    while (this.#first && this.#first.dueMs <= nowMs) {
      const deadline = this.#first;
      this.cancel(deadline);
      deadline.expired();
    }
  }
}

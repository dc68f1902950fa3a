// One dial of one endpoint for one client, and the connection that came of it until the client's endpoint is
// settled. It owns its leg for that time and tells its opening what happens.
import type { Endpoint } from '../../model/endpoint.ts';
import type { Deadline, DeadlineQueue } from './deadline-queue.ts';
import { type Leg, type LegMaker, type LegOwner, nobody } from '../socket/connection.ts';
import type { TunnelRecord } from '../tunnel/tunnel.ts';

export interface AttemptOwner {
  attemptConnected(attempt: Attempt): void;
  /** Has not connected within the race delay. */
  attemptSlow(attempt: Attempt): void;
  /** Everything that was written has been taken by the kernel. */
  attemptDrained(attempt: Attempt): void;
  /** The first flight has been written, and no byte has come back within the bound. */
  attemptSilent(attempt: Attempt): void;
  /** The endpoint's first bytes; returns false to pause reading. */
  attemptAnswered(attempt: Attempt, buffer: Buffer, byteCount: number): boolean;
  /** The endpoint has sent its FIN before any byte. */
  attemptEnded(attempt: Attempt): void;
  attemptFailed(attempt: Attempt, error: NodeJS.ErrnoException): void;
}

/** What all attempts of a process share. */
export interface AttemptShared {
  readonly legs: LegMaker;
  /** Deadlines of dials in a race, and of first flights. */
  readonly raceDelays: DeadlineQueue;
  readonly flightDelays: DeadlineQueue;
  halfOpenDials: number;
}

export class Attempt implements LegOwner, Deadline {
  readonly endpoint: Endpoint;
  readonly record: TunnelRecord;
  readonly startedMs: number;
  readonly leg: Leg;
  isConnected = false;
  connectedMs = 0;
  hasTimedOut = false;
  isReportedUnanswered = false;
  /** Bytes of the flight handed to the socket. */
  sentBytes = 0;
  flightWrittenMs: number | undefined = undefined;

  dueMs = 0;
  isSet = false;
  previous: Deadline | undefined = undefined;
  next: Deadline | undefined = undefined;

  readonly #shared: AttemptShared;
  readonly #owner: AttemptOwner;
  #isDialing = true;

  constructor(
    shared: AttemptShared,
    owner: AttemptOwner,
    endpoint: Endpoint,
    record: TunnelRecord,
    startedMs: number,
  ) {
    this.#shared = shared;
    this.#owner = owner;
    this.endpoint = endpoint;
    this.record = record;
    this.startedMs = startedMs;
    shared.halfOpenDials += 1;
    record.dialing += 1;
    this.leg = shared.legs.connect(endpoint, this);
    shared.raceDelays.set(this);
  }

  /** The flight's time starts. */
  awaitAnswer(nowMs: number): void {
    this.flightWrittenMs = nowMs;
    this.#shared.flightDelays.set(this);
  }

  /** Whatever the leg does from now on is not this attempt's business. */
  letGo(): Leg {
    this.#dialEnded();
    this.#shared.flightDelays.cancel(this);
    this.leg.owner = nobody;
    return this.leg;
  }

  /** The dial has ended, one way or the other. Idempotent. */
  #dialEnded(): void {
    if (!this.#isDialing) return;
    this.#isDialing = false;
    this.#shared.raceDelays.cancel(this);
    this.#shared.halfOpenDials -= 1;
    this.record.dialing -= 1;
  }

  expired(): void {
    if (this.isConnected) this.#owner.attemptSilent(this);
    else this.#owner.attemptSlow(this);
  }

  legConnected(): void {
    this.#dialEnded();
    this.#owner.attemptConnected(this);
  }

  legRead(_leg: Leg, buffer: Buffer, byteCount: number): boolean {
    return this.#owner.attemptAnswered(this, buffer, byteCount);
  }

  legDrained(): void {
    this.#owner.attemptDrained(this);
  }

  legEnded(): void {
    this.#owner.attemptEnded(this);
  }

  legFailed(_leg: Leg, error: NodeJS.ErrnoException): void {
    this.#dialEnded();
    this.#owner.attemptFailed(this, error);
  }

  legClosed(): void {}
}

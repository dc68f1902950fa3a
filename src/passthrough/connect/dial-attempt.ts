// One dial of one endpoint for one client, and the connection that came of it until the client's endpoint is
// settled. It owns its connection for that time and tells its connector what happens.
import type { Endpoint } from '../../model/endpoint.ts';
import type { Deadline, DeadlineQueue } from './deadline-queue.ts';
import {
  type Connection,
  type ConnectionFactory,
  type ConnectionOwner,
  nobody,
} from '../socket/connection.ts';
import type { TunnelRecord } from '../tunnel/tunnel.ts';

export interface DialAttemptOwner {
  attemptConnected(attempt: DialAttempt): void;
  /** Has not connected within the race delay. */
  attemptSlow(attempt: DialAttempt): void;
  /** Everything that was written has been taken by the kernel. */
  attemptDrained(attempt: DialAttempt): void;
  /** The first flight has been written, and no byte has come back within the bound. */
  attemptSilent(attempt: DialAttempt): void;
  /** The endpoint's first bytes; returns false to pause reading. */
  attemptAnswered(attempt: DialAttempt, buffer: Buffer, byteCount: number): boolean;
  /** The endpoint has sent its FIN before any byte. */
  attemptEnded(attempt: DialAttempt): void;
  attemptFailed(attempt: DialAttempt, error: NodeJS.ErrnoException): void;
}

/** What all attempts of a process share. */
export interface DialAttemptContext {
  readonly connections: ConnectionFactory;
  /** Deadlines of dials in a race, and of first flights. */
  readonly raceDelays: DeadlineQueue;
  readonly flightDelays: DeadlineQueue;
  halfOpenDials: number;
}

export class DialAttempt implements ConnectionOwner, Deadline {
  readonly endpoint: Endpoint;
  readonly record: TunnelRecord;
  readonly startedMs: number;
  readonly connection: Connection;
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

  readonly #shared: DialAttemptContext;
  readonly #owner: DialAttemptOwner;
  #isDialing = true;

  constructor(
    shared: DialAttemptContext,
    owner: DialAttemptOwner,
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
    this.connection = shared.connections.connect(endpoint, this);
    shared.raceDelays.set(this);
  }

  /** The flight's time starts. */
  awaitAnswer(nowMs: number): void {
    this.flightWrittenMs = nowMs;
    this.#shared.flightDelays.set(this);
  }

  /** Whatever the connection does from now on is not this attempt's business. */
  letGo(): Connection {
    this.#dialEnded();
    this.#shared.flightDelays.cancel(this);
    this.connection.owner = nobody;
    return this.connection;
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

  connectionOpened(): void {
    this.#dialEnded();
    this.#owner.attemptConnected(this);
  }

  connectionRead(_connection: Connection, buffer: Buffer, byteCount: number): boolean {
    return this.#owner.attemptAnswered(this, buffer, byteCount);
  }

  connectionDrained(): void {
    this.#owner.attemptDrained(this);
  }

  connectionEnded(): void {
    this.#owner.attemptEnded(this);
  }

  connectionFailed(_connection: Connection, error: NodeJS.ErrnoException): void {
    this.#dialEnded();
    this.#owner.attemptFailed(this, error);
  }

  connectionClosed(): void {}
}

// One dial of one endpoint for one client, and the connection that came of it until the client's endpoint is
// settled. It owns its connection for that time and tells its connector what happens.
import type { Endpoint } from '../../model/endpoint.ts';
import type { DialResult } from '../../model/outcome.ts';
import type { Deadline } from './deadline-queue.ts';
import type { DialContext } from './dial-context.ts';
import { type Connection, type ConnectionOwner, noOwner } from '../socket/connection.ts';
import type { TunnelRecord } from '../tunnel/tunnel.ts';
import { socketFailure } from '../../lib/errno.ts';

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
  isListed = false;
  previous: Deadline | undefined = undefined;
  next: Deadline | undefined = undefined;

  readonly #context: DialContext;
  readonly #owner: DialAttemptOwner;
  #isDialing = true;

  constructor(
    context: DialContext,
    owner: DialAttemptOwner,
    endpoint: Endpoint,
    record: TunnelRecord,
    startedMs: number,
  ) {
    this.#context = context;
    this.#owner = owner;
    this.endpoint = endpoint;
    this.record = record;
    this.startedMs = startedMs;
    context.halfOpenDials += 1;
    record.dialing += 1;
    this.connection = context.connections.connect(endpoint, this);
    context.raceDelays.set(this);
  }

  /** The flight's time starts. */
  awaitAnswer(nowMs: number): void {
    this.flightWrittenMs = nowMs;
    this.#context.flightDelays.set(this);
  }

  /** Whatever the connection does from now on is not this attempt's business. */
  letGo(): Connection {
    this.#dialEnded();
    this.#context.flightDelays.cancel(this);
    this.connection.owner = noOwner;
    return this.connection;
  }

  /** The dial has ended, one way or the other. Idempotent. */
  #dialEnded(): void {
    if (!this.#isDialing) return;
    this.#isDialing = false;
    this.#context.raceDelays.cancel(this);
    this.#context.halfOpenDials -= 1;
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

/** Codes that are not listed (forbidden by a filter) mean `unreachable`. */
export function dialResultOf(code: string | undefined): Exclude<DialResult, 'connected'> {
  return socketFailure(code) ?? 'unreachable';
}

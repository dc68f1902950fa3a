// From a client's first moment to a settled endpoint: dials race, and the client's first flight is kept and sent
// to a further candidate when an endpoint stays silent or closes before its first byte. Nothing has been answered
// until then, so the client sees one endpoint or a reset, never a mixture. No timer here judges an endpoint while
// our own loop stood still (judgeAfter).
import { type Clock, jittered, judgeAfter, type Random, type Timer } from '../model/clock.ts';
import type { Endpoint } from '../model/endpoint.ts';
import type { DialResult, OutcomeReporter } from '../model/outcome.ts';
import { type FlightVerdict, judgeFirstFlight, maxFirstFlightBytes } from './client-hello.ts';
import type { CloseReason, DataPathCounters } from './counters.ts';
import { dialResultOf } from './dial-failure.ts';
import { type Leg, type LegMaker, type LegOwner, nobody } from './leg.ts';
import type { PassthroughOptions } from './options.ts';
import type { ReplayBudget } from './replay-budget.ts';
import type { Tunnel, TunnelOpening, TunnelRecord } from './tunnel.ts';

/** The candidates for one client, best first; `usableCount` of them, from the front, are fit for new tunnels. */
export interface Pick {
  readonly candidates: readonly Endpoint[];
  readonly usableCount: number;
}

/** Synchronous and cheap; called once for each client and once more for each new round when all have failed. */
export type Picker = () => Pick;

/** What all openings of a process share. */
export interface OpeningShared {
  readonly clock: Clock;
  readonly random: Random;
  readonly outcomes: OutcomeReporter;
  readonly options: PassthroughOptions;
  readonly counters: DataPathCounters;
  readonly legs: LegMaker;
  readonly budget: ReplayBudget;
  halfOpenDials: number;
  record(id: string): TunnelRecord;
  /** The tunnel has, or no longer has, a connection to the endpoint. */
  carries(tunnel: Tunnel, record: TunnelRecord): void;
  leaves(tunnel: Tunnel, record: TunnelRecord): void;
  /** The endpoint is one of our own listeners. */
  isOwnAddress(endpoint: Endpoint): boolean;
  /** A dial would have led, or has led, back to ourselves. */
  loopRefused(endpoint: Endpoint): void;
}

export interface OpeningSettings {
  readonly picker: Picker;
  /** Bytes that are not TLS count as a first flight too. */
  readonly replayNonTls: boolean;
}

/** Half-open dials that races may not use, so that new clients get their first one, as a part of all. */
const reservedDialsRatio = 0.25;

/** When a dial or a replay has to wait for a slot or the budget, it asks again after this. */
const askAgainMs = 100;

class Attempt implements LegOwner {
  readonly endpoint: Endpoint;
  readonly record: TunnelRecord;
  readonly startedMs: number;
  leg!: Leg;
  isConnected = false;
  connectedMs = 0;
  hasTimedOut = false;
  isReportedSilent = false;
  /** Bytes of the flight handed to the socket. */
  sentBytes = 0;
  flightWrittenMs: number | undefined;
  readonly #opening: Opening;

  constructor(opening: Opening, endpoint: Endpoint, record: TunnelRecord, startedMs: number) {
    this.#opening = opening;
    this.endpoint = endpoint;
    this.record = record;
    this.startedMs = startedMs;
  }

  legConnected(): void {
    this.#opening.attemptConnected(this);
  }
  legRead(_leg: Leg, buffer: Buffer, byteCount: number): boolean {
    return this.#opening.attemptAnswered(this, buffer, byteCount);
  }
  legDrained(): void {
    this.#opening.flightWritten(this);
  }
  legEnded(): void {
    this.#opening.attemptEnded(this);
  }
  legFailed(_leg: Leg, error: NodeJS.ErrnoException): void {
    this.#opening.attemptFailed(this, error);
  }
  legClosed(): void {}
}

export class Opening implements LegOwner, TunnelOpening {
  readonly #shared: OpeningShared;
  readonly #settings: OpeningSettings;
  readonly #tunnel: Tunnel;
  #queue: readonly Endpoint[] = [];
  #queueIndex = 0;
  #usableCount = 0;
  /** Dials that lost a race without having failed: worth another try. */
  #putBack: Endpoint[] = [];
  #attempts: Attempt[] = [];
  #hadCarrier = false;
  #deadlineFromMs: number;

  #flightPieces: Buffer[] = [];
  #flightBytes = 0;
  #verdict: FlightVerdict = { kind: 'partial', neededBytes: 1 };
  #isClientEnded = false;
  #isClientPaused = false;

  #raceTimer: Timer | undefined;
  #raceOf: Attempt | undefined;
  #silenceTimer: Timer | undefined;
  #silenceOf: Attempt | undefined;
  #lastCandidateTimer: Timer | undefined;
  #deadlineTimer: Timer | undefined;
  #againTimer: Timer | undefined;

  constructor(shared: OpeningShared, settings: OpeningSettings, tunnel: Tunnel) {
    this.#shared = shared;
    this.#settings = settings;
    this.#tunnel = tunnel;
    this.#deadlineFromMs = tunnel.startedMs;
  }

  start(): void {
    this.#shared.budget.addTunnel();
    this.#startRound();
  }

  // --- candidates -----------------------------------------------------------------------------------------

  #startRound(): void {
    const { candidates, usableCount } = this.#settings.picker();
    this.#queue = candidates;
    this.#usableCount = usableCount;
    this.#queueIndex = 0;
    this.#putBack = [];
    if (!this.#dialNext()) this.#nothingLeft();
  }

  /** The next candidate without taking it. While a carrier lives only usable ones count: see `onSilence`. */
  #peek(): Endpoint | undefined {
    const isReplay = this.#attempts.some((attempt) => attempt.isConnected);
    for (;;) {
      const endpoint = this.#queue[this.#queueIndex];
      if (endpoint === undefined) return this.#putBack[0];
      if (isReplay && this.#usableCount > 0 && this.#queueIndex >= this.#usableCount) return this.#putBack[0];
      if (!this.#shared.isOwnAddress(endpoint)) return endpoint;
      this.#shared.loopRefused(endpoint);
      this.#queueIndex += 1;
    }
  }

  #take(endpoint: Endpoint): void {
    if (this.#queue[this.#queueIndex] === endpoint) this.#queueIndex += 1;
    else this.#putBack.shift();
  }

  /** Starts the next dial, or arranges that it starts as soon as it may. False when no candidate is left. */
  #dialNext(): boolean {
    const endpoint = this.#peek();
    if (endpoint === undefined) return false;
    const { options, clock, counters, legs } = this.#shared;
    const isFirst = this.#attempts.length === 0;
    const slots = options.maxHalfOpenDials * (isFirst ? 1 : 1 - reservedDialsRatio);
    if (this.#shared.halfOpenDials >= slots) {
      counters.dialsDelayed += 1;
      this.#again(askAgainMs, () => {
        if (!this.#dialNext()) this.#nothingLeft();
      });
      this.#armDeadline();
      return true;
    }
    this.#take(endpoint);
    const record = this.#shared.record(endpoint.id);
    const attempt = new Attempt(this, endpoint, record, clock.nowMs());
    this.#shared.halfOpenDials += 1;
    record.dialing += 1;
    this.#attempts.push(attempt);
    attempt.leg = legs.connect(endpoint, attempt);
    this.#armRace(attempt);
    return true;
  }

  #armRace(attempt: Attempt): void {
    this.#raceTimer?.cancel();
    this.#raceOf = attempt;
    this.#raceTimer = judgeAfter(this.#shared.clock, this.#shared.options.raceDelayMs, {
      onExpired: () => {
        this.#armDeadline();
        this.#reportDialTimeout(attempt);
        this.#dialNext(); // without another candidate this dial goes on alone, up to the deadline
      },
      onVoid: () => this.#armRace(attempt),
    });
  }

  #reportDialTimeout(attempt: Attempt): void {
    if (attempt.hasTimedOut || attempt.isConnected) return;
    attempt.hasTimedOut = true;
    this.#report(attempt, 'timeout');
  }

  #report(attempt: Attempt, result: DialResult): void {
    attempt.record.dials[result] += 1;
    const durationMs = this.#shared.clock.nowMs() - attempt.startedMs;
    this.#shared.outcomes.dialed(attempt.endpoint.id, result, durationMs);
  }

  /** No candidate may be without a connection for longer than this, whatever is tried meanwhile. */
  #armDeadline(): void {
    if (this.#deadlineTimer || this.#attempts.some((attempt) => attempt.isConnected)) return;
    const { clock, options } = this.#shared;
    const leftMs = Math.max(0, this.#deadlineFromMs + options.allDownDeadlineMs - clock.nowMs());
    this.#deadlineTimer = judgeAfter(clock, leftMs, {
      onExpired: () => {
        for (const attempt of this.#attempts) this.#reportDialTimeout(attempt);
        this.#giveUp('all-down');
      },
      // We stood still ourselves: the dials get their time once more.
      onVoid: () => {
        this.#deadlineTimer = undefined;
        this.#deadlineFromMs = clock.nowMs();
        this.#armDeadline();
      },
    });
  }

  #again(delayMs: number, fn: () => void): void {
    this.#againTimer?.cancel();
    this.#againTimer = this.#shared.clock.schedule(delayMs, () => {
      this.#againTimer = undefined;
      fn();
    });
  }

  /** No candidate can be started now. */
  #nothingLeft(): void {
    if (this.#attempts.length > 0) {
      this.#armLastCandidate();
      return;
    }
    if (this.#hadCarrier) {
      this.#giveUp('no-answer');
      return;
    }
    // Every candidate has failed within moments: within the deadline one may come back, or be discovered.
    this.#armDeadline();
    const { options, random } = this.#shared;
    this.#again(jittered(options.retryRoundMs, 0.2, random), () => this.#startRound());
  }

  // --- attempts -------------------------------------------------------------------------------------------

  attemptConnected(attempt: Attempt): void {
    const { leg } = attempt;
    this.#shared.halfOpenDials -= 1;
    attempt.record.dialing -= 1;
    // A dial to a free local port can be answered by the kernel with itself (simultaneous open).
    if (leg.localPort === attempt.endpoint.port && leg.localAddress === leg.remoteAddress) {
      this.#remove(attempt);
      leg.resetAndDestroy();
      this.#shared.loopRefused(attempt.endpoint);
      if (!this.#dialNext()) this.#nothingLeft();
      return;
    }
    attempt.isConnected = true;
    attempt.connectedMs = this.#shared.clock.nowMs();
    this.#hadCarrier = true;
    this.#report(attempt, 'connected');
    this.#cancelDialTimers();
    for (const other of [...this.#attempts]) {
      if (!other.isConnected) {
        this.#dropDial(other);
        this.#putBack.push(other.endpoint);
      }
    }
    this.#shared.carries(this.#tunnel, attempt.record);
    this.#tunnel.record = attempt.record;
    this.#sendFlight(attempt);
    if (this.#isClientEnded || this.#verdict.kind === 'unsafe') this.#settle(attempt);
  }

  attemptFailed(attempt: Attempt, error: NodeJS.ErrnoException): void {
    if (attempt.isConnected) {
      this.#carrierLost(attempt);
      return;
    }
    this.#shared.halfOpenDials -= 1;
    attempt.record.dialing -= 1;
    this.#remove(attempt);
    this.#report(attempt, dialResultOf(error.code));
    if (!this.#dialNext()) this.#nothingLeft();
  }

  attemptEnded(attempt: Attempt): void {
    // An endpoint that ends an idle connection after a while has its reasons: the client may know them.
    const idleMs = this.#shared.clock.nowMs() - attempt.connectedMs;
    if (this.#flightBytes === 0 && idleMs >= this.#shared.options.lastCandidateTimeoutMs) {
      this.#settle(attempt);
      this.#tunnel.legEnded(attempt.leg);
      return;
    }
    this.#carrierLost(attempt);
  }

  attemptAnswered(attempt: Attempt, buffer: Buffer, byteCount: number): boolean {
    this.#settle(attempt);
    return this.#tunnel.legRead(attempt.leg, buffer, byteCount);
  }

  /** Closed or reset before its first byte: nothing was answered, so the flight goes to the next one at once. */
  #carrierLost(attempt: Attempt): void {
    if (attempt.sentBytes > 0 && !attempt.isReportedSilent) this.#reportUnanswered(attempt);
    this.#dropCarrier(attempt);
    this.#moveOn();
  }

  #moveOn(): void {
    if (this.#attempts.some((other) => other.isConnected)) {
      this.#armLastCandidate();
    } else {
      // Nobody carries the client any more: dials have their time anew, those in progress too.
      this.#deadlineFromMs = this.#shared.clock.nowMs();
      this.#armDeadline();
    }
    const isCovered = this.#attempts.some((other) => !other.isConnected || !other.isReportedSilent);
    if (isCovered) return;
    if (this.#dialNext()) this.#shared.counters.movedOn += 1;
    else this.#nothingLeft();
  }

  #reportUnanswered(attempt: Attempt): void {
    attempt.isReportedSilent = true;
    attempt.record.unansweredFlights += 1;
    this.#shared.outcomes.firstFlightUnanswered(attempt.endpoint.id);
  }

  #remove(attempt: Attempt): void {
    attempt.leg.owner = nobody;
    if (this.#raceOf === attempt) this.#raceTimer?.cancel();
    if (this.#silenceOf === attempt) this.#silenceTimer?.cancel();
    this.#attempts = this.#attempts.filter((other) => other !== attempt);
  }

  #dropDial(attempt: Attempt): void {
    this.#shared.halfOpenDials -= 1;
    attempt.record.dialing -= 1;
    this.#remove(attempt);
    attempt.leg.destroy();
  }

  #dropCarrier(attempt: Attempt, isReset = false): void {
    this.#remove(attempt);
    this.#shared.leaves(this.#tunnel, attempt.record);
    const newest = this.#attempts.findLast((other) => other.isConnected);
    this.#tunnel.record = newest?.record;
    if (isReset) attempt.leg.resetAndDestroy();
    else attempt.leg.destroy();
    if (newest === undefined) this.#cancelFlightTimers();
  }

  // --- first flight ---------------------------------------------------------------------------------------

  legRead(_leg: Leg, buffer: Buffer, byteCount: number): boolean {
    const piece = Buffer.from(buffer.subarray(0, byteCount));
    this.#flightPieces.push(piece);
    this.#flightBytes += byteCount;
    this.#judgeFlight();
    const carriers = this.#attempts.filter((attempt) => attempt.isConnected);
    const [oldest] = carriers;
    if (oldest === undefined) {
      this.#isClientPaused = this.#flightBytes >= maxFirstFlightBytes;
      return !this.#isClientPaused;
    }
    // Two endpoints have the flight and the client goes on without an answer: from here on only one may have it.
    const isCommitted = carriers.length > 1 || this.#verdict.kind === 'unsafe';
    if (isCommitted) this.#settle(oldest);
    else this.#sendFlight(oldest);
    return true;
  }

  #judgeFlight(): void {
    const verdict = this.#verdict;
    if (this.#flightBytes > maxFirstFlightBytes) this.#verdict = { kind: 'unsafe', why: 'too-long' };
    else if (
      verdict.kind === 'complete' ||
      (verdict.kind === 'partial' && this.#flightBytes >= verdict.neededBytes)
    ) {
      this.#verdict = judgeFirstFlight(this.#flight());
    }
    if (this.#settings.replayNonTls && this.#verdict.kind === 'unsafe' && this.#verdict.why === 'not-tls') {
      this.#verdict = { kind: 'complete' };
    }
  }

  #flight(): Buffer {
    if (this.#flightPieces.length !== 1) this.#flightPieces = [Buffer.concat(this.#flightPieces)];
    return this.#flightPieces[0] as Buffer;
  }

  /** Sends what the attempt has not had yet. */
  #sendFlight(attempt: Attempt): void {
    if (attempt.sentBytes === this.#flightBytes) return;
    const rest = this.#flight().subarray(attempt.sentBytes);
    attempt.leg.write(rest);
    attempt.sentBytes = this.#flightBytes;
    this.#tunnel.noteUp(rest.length);
    if (attempt.leg.writableLength === 0) this.flightWritten(attempt);
    else attempt.leg.notifyWhenDrained();
  }

  /** The kernel has everything of the flight so far; the endpoint's time starts when it is complete. */
  flightWritten(attempt: Attempt): void {
    if (this.#verdict.kind !== 'complete' || attempt.sentBytes !== this.#flightBytes) return;
    attempt.flightWrittenMs = this.#shared.clock.nowMs();
    this.#cancelFlightTimers();
    this.#armSilence(attempt, this.#shared.options.firstFlightTimeoutMs);
  }

  #armSilence(attempt: Attempt, delayMs: number): void {
    this.#silenceTimer?.cancel();
    this.#silenceOf = attempt;
    this.#silenceTimer = judgeAfter(this.#shared.clock, delayMs, {
      onExpired: () => this.#onSilence(attempt),
      onVoid: () => this.#armSilence(attempt, delayMs),
    });
  }

  /**
   * A slow usable endpoint is better than an unusable one that answers fast (with etcd down TLS works and every
   * request fails), so only usable candidates are tried beside it; when the endpoint is judged dead, any is.
   */
  #onSilence(attempt: Attempt): void {
    if (!attempt.isReportedSilent) this.#reportUnanswered(attempt);
    this.#armLastCandidate();
    if (this.#peek() === undefined) return;
    const { budget, clock, counters } = this.#shared;
    if (budget.tryTake(clock.nowMs())) {
      counters.replays += 1;
      this.#dialNext();
    } else {
      counters.replaysDenied += 1;
      this.#armSilence(attempt, askAgainMs);
    }
  }

  /** If nothing more is tried, the newest carrier has its long time, and every older one with it. */
  #armLastCandidate(): void {
    const newest = this.#attempts.findLast((attempt) => attempt.flightWrittenMs !== undefined);
    if (this.#lastCandidateTimer || newest?.flightWrittenMs === undefined) return;
    const { clock, options } = this.#shared;
    const leftMs = Math.max(0, newest.flightWrittenMs + options.lastCandidateTimeoutMs - clock.nowMs());
    this.#lastCandidateTimer = judgeAfter(clock, leftMs, {
      onExpired: () => this.#giveUp('no-answer'),
      onVoid: () => {
        this.#lastCandidateTimer = undefined;
        newest.flightWrittenMs = clock.nowMs();
        this.#armLastCandidate();
      },
    });
  }

  // --- the client -----------------------------------------------------------------------------------------

  legEnded(): void {
    this.#isClientEnded = true;
    const oldest = this.#attempts.find((attempt) => attempt.isConnected);
    if (oldest) this.#settle(oldest);
  }

  legFailed(): void {
    this.#tunnel.reset('client');
  }

  legClosed(): void {
    // Without an error before it: only after a reset of our own.
    this.#tunnel.reset('client');
  }

  legConnected(): void {}
  legDrained(): void {}

  // --- the end --------------------------------------------------------------------------------------------

  /** This attempt it is: everything else is closed and the tunnel takes over. */
  #settle(attempt: Attempt): void {
    this.#finish();
    for (const other of [...this.#attempts]) {
      if (other === attempt) continue;
      if (other.isConnected) this.#dropCarrier(other);
      else this.#dropDial(other);
    }
    const tunnel = this.#tunnel;
    tunnel.record = attempt.record;
    attempt.record.totalTunnels += 1;
    tunnel.join(attempt.leg);
    if (attempt.sentBytes < this.#flightBytes) this.#sendRest(attempt);
    tunnel.bytesUp = this.#flightBytes; // a replay counts once for the client
    if (this.#isClientPaused) tunnel.client.resume();
    if (this.#isClientEnded) tunnel.legEnded(tunnel.client);
  }

  #sendRest(attempt: Attempt): void {
    const rest = this.#flight().subarray(attempt.sentBytes);
    attempt.sentBytes = this.#flightBytes;
    attempt.leg.write(rest);
    this.#tunnel.noteUp(rest.length);
  }

  #giveUp(reason: CloseReason): void {
    this.#tunnel.reset(reason);
  }

  abort(isReset: boolean): void {
    this.#finish();
    for (const attempt of [...this.#attempts]) {
      if (attempt.isConnected) this.#dropCarrier(attempt, isReset);
      else this.#dropDial(attempt);
    }
  }

  leaveEndpoint(record: TunnelRecord): boolean {
    const leaving = this.#attempts.filter((attempt) => attempt.record === record);
    const staying = this.#attempts.length - leaving.length;
    if (leaving.length === 0) return false;
    const next = this.#queue[this.#queueIndex] ?? this.#putBack.find((endpoint) => endpoint.id !== record.id);
    if (staying === 0 && next === undefined) return false;
    for (const attempt of leaving) {
      if (attempt.isConnected) this.#dropCarrier(attempt);
      else this.#dropDial(attempt);
    }
    this.#moveOn();
    return true;
  }

  #cancelDialTimers(): void {
    this.#raceTimer?.cancel();
    this.#deadlineTimer?.cancel();
    this.#againTimer?.cancel();
    this.#raceTimer = this.#deadlineTimer = this.#againTimer = undefined;
  }

  #cancelFlightTimers(): void {
    this.#silenceTimer?.cancel();
    this.#lastCandidateTimer?.cancel();
    this.#silenceTimer = this.#lastCandidateTimer = undefined;
  }

  #finish(): void {
    this.#cancelDialTimers();
    this.#cancelFlightTimers();
  }
}

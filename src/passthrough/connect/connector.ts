// Connects one client with an endpoint, from the first dial until that endpoint is settled: dials race, and the client's first flight is kept and sent
// to a further candidate when an endpoint stays silent or closes before its first byte. Nothing has been answered
// until then, so the client sees one endpoint or a reset, never a mixture. No timer here judges an endpoint while
// our own loop stood still (judgeAfter). Over 400 lines because it is one state machine: its parts would share all state.
import { jittered, judgeAfter, type Timer } from '../../model/clock.ts';
import type { Endpoint } from '../../model/endpoint.ts';
import type { DialResult } from '../../model/outcome.ts';
import { proxyHeader } from '../../model/proxy-header.ts';
import { DialAttempt, type DialAttemptOwner, dialResultOf } from './dial-attempt.ts';
import type { DialContext } from './dial-context.ts';
import type { Picker } from '../../model/snapshot.ts';
import { DialPlan } from './dial-plan.ts';
import { ClientTls, isServerHandshake } from '../tls/client-tls.ts';
import { FirstFlight } from './first-flight.ts';
import type { AcceptPolicy } from '../tunnel/accept-policy.ts';
import { readHelloFacts } from '../tls/hello-facts.ts';
import type { Connection, ConnectionOwner } from '../socket/connection.ts';
import type { Tunnel, TunnelConnector, TunnelRecord } from '../tunnel/tunnel.ts';

export interface ConnectorOptions {
  readonly picker: Picker;
  /** Bytes that are not TLS count as a first flight too. */
  readonly replayNonTls: boolean;
  /** Which clients are accepted, and how many; absent: all. */
  readonly policy?: AcceptPolicy;
  /** Each connection to an endpoint begins with a PROXY protocol header. */
  readonly sendProxy?: boolean;
}

/** Half-open dials that races may not use, so that new clients get their first one, as a part of all. */
const reservedDialsRatio = 0.25;

/** When a dial or a replay has to wait for a slot or the budget, it asks again after this. */
const askAgainMs = 100;

export class UpstreamConnector implements ConnectionOwner, DialAttemptOwner, TunnelConnector {
  readonly #context: DialContext;
  readonly #options: ConnectorOptions;
  readonly #tunnel: Tunnel;
  readonly #plan: DialPlan;
  readonly #flight: FirstFlight;
  /** Dials and connections in play, oldest first. */
  #attempts: DialAttempt[] = [];
  #hadCarrier = false;
  /** Attempts that have had bytes of the flight. */
  #receivers = 0;
  #isClientEnded = false;
  #isClientPaused = false;
  /** When a client without any connection to an endpoint is given up, counted from here. */
  #deadlineFromMs: number;
  #deadlineTimer: Timer | undefined;
  #lastCandidateTimer: Timer | undefined;
  #againTimer: Timer | undefined;

  constructor(context: DialContext, options: ConnectorOptions, tunnel: Tunnel) {
    this.#context = context;
    this.#options = options;
    this.#tunnel = tunnel;
    this.#plan = new DialPlan(context.isOwnAddress);
    this.#flight = new FirstFlight(options.replayNonTls, context.flightBuffers);
    this.#deadlineFromMs = tunnel.startedMs;
  }

  start(): void {
    this.#context.budget.addTunnel();
    this.#startRound();
  }

  // --- dials ----------------------------------------------------------------------------------------------

  #startRound(): void {
    this.#plan.startRound(this.#options.picker());
    if (!this.#dialNext()) this.#nothingLeft();
  }

  get #carrier(): DialAttempt | undefined {
    for (const attempt of this.#attempts) if (attempt.isConnected) return attempt;
    return undefined;
  }

  /**
   * Beside a living connection only usable candidates are dialled: a slow usable endpoint is better than an
   * unusable one that answers fast. With etcd down TLS works and every request fails. When health judges the
   * slow one dead, `leaveEndpoint` opens the way to all.
   */
  #peek(): Endpoint | undefined {
    return this.#plan.peek(this.#carrier !== undefined);
  }

  /** Starts the next dial, or arranges that it starts as soon as it may. False when no candidate is left. */
  #dialNext(): boolean {
    const endpoint = this.#peek();
    if (endpoint === undefined) return false;
    const context = this.#context;
    const part = this.#attempts.length === 0 ? 1 : 1 - reservedDialsRatio;
    if (context.halfOpenDials >= context.options.maxHalfOpenDials * part) {
      context.counters.dialsDelayed += 1;
      this.#armDeadline();
      this.#again(askAgainMs, () => {
        if (!this.#dialNext()) this.#nothingLeft();
      });
      return true;
    }
    this.#plan.take(endpoint);
    const record = context.record(endpoint.id);
    this.#attempts.push(new DialAttempt(context, this, endpoint, record, context.clock.nowMs()));
    return true;
  }

  attemptSlow(attempt: DialAttempt): void {
    this.#armDeadline();
    this.#reportTimeout(attempt);
    if (!this.#dialNext()) this.#lookAgain();
  }

  /** The dials in progress continue up to the deadline; meanwhile another endpoint may have come back, or been found. */
  #lookAgain(): void {
    if (this.#hadCarrier) return;
    const { options, random } = this.#context;
    this.#again(jittered(options.retryRoundMs, 0.2, random), () => {
      const underWay = new Set(this.#attempts.map(({ endpoint }) => endpoint.id));
      this.#plan.startRound(this.#options.picker(), underWay);
      if (!this.#dialNext()) this.#lookAgain();
    });
  }

  #reportTimeout(attempt: DialAttempt): void {
    if (attempt.hasTimedOut || attempt.isConnected) return;
    attempt.hasTimedOut = true;
    this.#report(attempt, 'timeout', this.#context.clock.nowMs());
  }

  #report(attempt: DialAttempt, result: DialResult, nowMs: number): void {
    attempt.record.dials[result] += 1;
    this.#context.outcomes.dialed(attempt.endpoint.id, result, nowMs - attempt.startedMs);
  }

  attemptFailed(attempt: DialAttempt, error: NodeJS.ErrnoException): void {
    if (attempt.isConnected) {
      this.#carrierLost(attempt);
      return;
    }
    this.#drop(attempt);
    this.#report(attempt, dialResultOf(error.code), this.#context.clock.nowMs());
    if (!this.#dialNext()) this.#nothingLeft();
  }

  attemptConnected(attempt: DialAttempt): void {
    const context = this.#context;
    if (context.isConnectedToItself(attempt.endpoint, attempt.connection)) {
      this.#drop(attempt, true);
      if (!this.#dialNext()) this.#nothingLeft();
      return;
    }
    const nowMs = context.clock.nowMs();
    if (this.#tunnel.isKeptAlive) context.keepAlive(attempt.connection);
    attempt.isConnected = true;
    attempt.connectedMs = nowMs;
    this.#hadCarrier = true;
    this.#report(attempt, 'connected', nowMs);
    this.#cancelDialTimers();
    if (this.#attempts.length > 1) this.#requeueDials();
    context.carries(this.#tunnel, attempt.record);
    this.#tunnel.record = attempt.record;
    // In front of the flight and no part of it: a replay gets one of its own.
    if (this.#options.sendProxy) attempt.connection.write(proxyHeader(this.#tunnel.proxied));
    this.#sendFlight(attempt);
    if (this.#isClientEnded || this.#flight.isUnsafe) this.#settle(attempt);
  }

  #requeueDials(): void {
    for (const other of [...this.#attempts]) {
      if (other.isConnected) continue;
      this.#drop(other);
      this.#plan.requeue(other.endpoint);
    }
  }

  /** No candidate can be started now. */
  #nothingLeft(): void {
    if (this.#attempts.length > 0) {
      this.#armLastCandidate();
      return;
    }
    if (this.#hadCarrier) {
      this.#tunnel.reset('no-answer');
      return;
    }
    // Every candidate has failed within moments: within the deadline one may come back, or be discovered.
    this.#armDeadline();
    const { options, random } = this.#context;
    this.#again(jittered(options.retryRoundMs, 0.2, random), () => this.#startRound());
  }

  /** A client without a connection to any endpoint is not kept for longer than this, whatever is tried. */
  #armDeadline(): void {
    if (this.#deadlineTimer || this.#carrier) return;
    const { clock, options } = this.#context;
    const leftMs = Math.max(0, this.#deadlineFromMs + options.allDownDeadlineMs - clock.nowMs());
    this.#deadlineTimer = judgeAfter(clock, leftMs, {
      onExpired: () => {
        for (const attempt of this.#attempts) this.#reportTimeout(attempt);
        this.#tunnel.reset('all-down');
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
    this.#againTimer = this.#context.clock.schedule(delayMs, () => {
      this.#againTimer = undefined;
      fn();
    });
  }

  // --- connections that have not answered yet -------------------------------------------------------------

  /** Sends what the attempt has not had yet. */
  #sendFlight(attempt: DialAttempt): void {
    const { length } = this.#flight;
    if (attempt.sentBytes === length) return;
    const rest = this.#flight.rest(attempt.sentBytes);
    if (attempt.sentBytes === 0) this.#receivers += 1;
    attempt.sentBytes = length;
    attempt.connection.write(rest);
    this.#tunnel.noteUp(rest.length);
    if (attempt.connection.writableLength === 0) this.attemptDrained(attempt);
    else attempt.connection.notifyWhenDrained();
  }

  /** The kernel has everything of the flight so far; the endpoint's time starts when it is complete. */
  attemptDrained(attempt: DialAttempt): void {
    if (!this.#flight.isComplete || attempt.sentBytes !== this.#flight.length) return;
    this.#cancelLastCandidate();
    attempt.awaitAnswer(this.#tunnel.lastUpMs);
  }

  attemptSilent(attempt: DialAttempt): void {
    this.#reportUnanswered(attempt);
    this.#armLastCandidate();
    this.#replay();
  }

  #replay(): void {
    const isDialing = this.#attempts.some((attempt) => !attempt.isConnected);
    if (isDialing || this.#peek() === undefined) return;
    const { budget, clock, counters } = this.#context;
    if (budget.tryTake(clock.nowMs())) {
      counters.replays += 1;
      this.#dialNext();
    } else {
      counters.replaysDenied += 1;
      this.#again(askAgainMs, () => this.#replay());
    }
  }

  #reportUnanswered(attempt: DialAttempt): void {
    if (attempt.isReportedUnanswered) return;
    attempt.isReportedUnanswered = true;
    attempt.record.unansweredFlights += 1;
    this.#context.outcomes.firstFlightUnanswered(attempt.endpoint.id);
  }

  /** If nothing more is tried, the newest connection has its long time, and every older one with it. */
  #armLastCandidate(): void {
    const newest = this.#attempts.findLast((attempt) => attempt.flightWrittenMs !== undefined);
    if (this.#lastCandidateTimer || newest?.flightWrittenMs === undefined) return;
    const { clock, options } = this.#context;
    const leftMs = Math.max(0, newest.flightWrittenMs + options.lastCandidateTimeoutMs - clock.nowMs());
    this.#lastCandidateTimer = judgeAfter(clock, leftMs, {
      onExpired: () => this.#tunnel.reset('no-answer'),
      onVoid: () => {
        this.#lastCandidateTimer = undefined;
        newest.flightWrittenMs = clock.nowMs();
        this.#armLastCandidate();
      },
    });
  }

  attemptEnded(attempt: DialAttempt): void {
    // An endpoint that ends an idle connection after a while has its reasons: the client may know them.
    const idleMs = this.#context.clock.nowMs() - attempt.connectedMs;
    if (this.#flight.length === 0 && idleMs >= this.#context.options.lastCandidateTimeoutMs) {
      this.#settle(attempt);
      this.#tunnel.connectionEnded(attempt.connection);
      return;
    }
    this.#carrierLost(attempt);
  }

  /** Closed or reset before its first byte: nothing was answered, so the flight goes to the next one at once. */
  #carrierLost(attempt: DialAttempt): void {
    if (attempt.sentBytes > 0) this.#reportUnanswered(attempt);
    this.#drop(attempt);
    this.#moveOn();
  }

  /** A connection has been lost or left: another one must carry the client, unless one does already. */
  #moveOn(): void {
    if (this.#carrier) this.#armLastCandidate();
    else {
      // Dials have their time anew, those in progress too.
      this.#deadlineFromMs = this.#context.clock.nowMs();
      this.#armDeadline();
    }
    const isCovered = this.#attempts.some((other) => !other.isConnected || !other.isReportedUnanswered);
    if (isCovered) return;
    if (this.#dialNext()) this.#context.counters.movedOn += 1;
    else this.#nothingLeft();
  }

  /** The attempt is over and its socket closed. */
  #drop(attempt: DialAttempt, isReset = false): void {
    this.#attempts = this.#attempts.filter((other) => other !== attempt);
    const connection = attempt.letGo();
    if (attempt.isConnected) {
      this.#context.leaves(this.#tunnel, attempt.record);
      const newest = this.#attempts.findLast((other) => other.isConnected);
      this.#tunnel.record = newest?.record;
      if (newest === undefined) this.#cancelLastCandidate();
    }
    // A RST leaves no orphan behind that would retransmit to a frozen or vanished host.
    if ((isReset || attempt.isConnected) && !connection.destroyed) connection.resetAndDestroy();
    else connection.destroy();
  }

  // --- the client -----------------------------------------------------------------------------------------

  connectionRead(_connection: Connection, buffer: Buffer, byteCount: number): boolean {
    this.#flight.add(buffer, byteCount);
    this.#tunnel.clientSpoke();
    const carrier = this.#carrier;
    if (carrier === undefined) {
      // There is neither an endpoint to take the bytes nor room to keep them.
      if (this.#context.flightBuffers.memory.isOver('firstFlights')) {
        this.#tunnel.reset('limit');
        return true;
      }
      this.#isClientPaused = this.#flight.isFull;
      return !this.#isClientPaused;
    }
    // When two endpoints have the flight and the client continues without an answer, from here on only one may have it.
    const isShared = this.#attempts.some((other) => other !== carrier && other.isConnected);
    if (isShared || this.#flight.isUnsafe) this.#settle(carrier);
    else this.#sendFlight(carrier);
    return true;
  }

  connectionEnded(): void {
    this.#isClientEnded = true;
    const carrier = this.#carrier;
    if (carrier) this.#settle(carrier);
  }

  connectionFailed(): void {
    this.#tunnel.reset('client');
  }

  connectionClosed(): void {
    this.#tunnel.reset('client');
  }

  connectionOpened(): void {}
  connectionDrained(): void {}

  // --- the end --------------------------------------------------------------------------------------------

  attemptAnswered(attempt: DialAttempt, buffer: Buffer, byteCount: number): boolean {
    const { isHello } = this.#flight;
    const hello = isHello && isServerHandshake(buffer) ? readHelloFacts(this.#flight.rest(0)) : undefined;
    this.#settle(attempt);
    if (hello) {
      const { client } = this.#tunnel;
      const { outcomes } = this.#context;
      this.#tunnel.clientTls = new ClientTls(attempt.endpoint.id, hello, outcomes, client.localAddress);
    }
    return this.#tunnel.connectionRead(attempt.connection, buffer, byteCount);
  }

  /** The attempt has won: every other one is closed, and its connection goes to the tunnel. */
  #settle(attempt: DialAttempt): void {
    this.#finish();
    if (this.#attempts.length > 1) {
      for (const other of this.#attempts) if (other !== attempt) this.#drop(other);
    }
    const connection = attempt.letGo();
    const tunnel = this.#tunnel;
    tunnel.record = attempt.record;
    attempt.record.totalTunnels += 1;
    tunnel.join(connection);
    const { length } = this.#flight;
    if (attempt.sentBytes < length) {
      if (attempt.sentBytes === 0) this.#receivers += 1;
      const rest = this.#flight.rest(attempt.sentBytes);
      connection.write(rest);
      tunnel.noteUp(rest.length);
    }
    // What an attempt that was dropped had not written is left to the garbage collector.
    this.#flight.release(this.#receivers <= 1 && connection.writableLength === 0);
    tunnel.bytesUp = length; // a replay counts once for the client
    if (this.#isClientPaused) tunnel.client.resume();
    if (this.#isClientEnded) tunnel.connectionEnded(tunnel.client);
  }

  abort(): void {
    this.#finish();
    this.#flight.release(false);
    for (const attempt of this.#attempts) this.#drop(attempt);
  }

  startKeepAlive(): void {
    for (const { isConnected, connection } of this.#attempts)
      if (isConnected) this.#context.keepAlive(connection);
  }

  uses(record: TunnelRecord): boolean {
    return this.#attempts.some((attempt) => attempt.record === record);
  }

  leaveEndpoint(record: TunnelRecord): boolean {
    const leaving = this.#attempts.filter((attempt) => attempt.record === record);
    if (leaving.length === 0) return false;
    const next = this.#plan.peek(false);
    const hasOther = leaving.length < this.#attempts.length || (next && next.id !== record.id);
    if (!hasOther) return false;
    for (const attempt of leaving) this.#drop(attempt);
    this.#moveOn();
    return true;
  }

  #cancelDialTimers(): void {
    this.#deadlineTimer?.cancel();
    this.#againTimer?.cancel();
    this.#deadlineTimer = this.#againTimer = undefined;
  }

  #cancelLastCandidate(): void {
    this.#lastCandidateTimer?.cancel();
    this.#lastCandidateTimer = undefined;
  }

  #finish(): void {
    this.#cancelDialTimers();
    this.#cancelLastCandidate();
  }
}

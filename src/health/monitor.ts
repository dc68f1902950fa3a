// Watches one endpoint: decides when to probe it, over which connection, and when silence has lasted
// long enough to say so. It owns the kept probe connection and its timers; it judges nothing (verdict.ts).
//
// A round starts on the kept connection. If no answer has come after a short while the endpoint is
// reported as suspected and two fresh connections are tried, a little apart. The first conclusive answer
// of any of them ends the round; silence is reported only when both fresh ones have failed to connect or
// to finish TLS, or when TLS works and the answer stays out. Over 400 lines because it is one state machine.
import { type Clock, jittered, judgeAfter, type Random, type Timer } from '../model/clock.ts';
import type { Endpoint } from '../model/endpoint.ts';
import type { Reason, Verdict } from '../model/snapshot.ts';
import type { CertificateFault } from '../model/certificate-fault.ts';
import type { ServingCertificate } from './certificate.ts';
import { type Pace, paceFor } from './pace.ts';
import type { CheckResult, ProbePhase, RunningCheck } from './probe.ts';
import type { ProbeResult } from './verdict.ts';
import { grownMs } from '../lib/backoff.ts';

export interface MonitorOptions {
  /** Between two probes of an endpoint in use, at most. */
  readonly intervalMs: number;
  /** Between two probes of an endpoint that carries nothing, jittered by a tenth. */
  readonly standbyIntervalMs: number;
  /** Between probes while something is doubtful: suspect, or coming back. */
  readonly fastIntervalMs: number;
  /** Longest wait for the answer on a working connection, before scaling with the round trip. */
  readonly timeoutMs: number;
  /** Age at which the kept connection is replaced, so that an expired certificate is noticed; jittered. */
  readonly reconnectMs: number;
}

/**
 * How a remembered endpoint is checked. `resting`: something else is usable, so rarely, without a kept connection.
 * `needed`: nothing else is, so every second until it answers.
 */
export type MemoryUse = 'resting' | 'needed';

/** The part of ProbeConnection that the monitor drives. */
export interface MonitoredConnection {
  readonly isKept: boolean;
  readonly connectMs: number | undefined;
  /** What the endpoint has shown in the handshake; undefined before, and where it was not looked at. */
  readonly certificate?: ServingCertificate | undefined;
  onLost: (() => void) | undefined;
  run(done: (result: CheckResult) => void): RunningCheck;
  close(): void;
}

/** What a fresh connection has found in TLS. */
export interface Handshake {
  /** The SNI of a client that was shown; absent: as a check does by itself. */
  readonly serverName?: string;
  readonly certificate?: ServingCertificate;
  /** Absent: the certificate verified, or nothing is known to verify it with. */
  readonly fault?: CertificateFault;
  readonly text?: string;
}

export interface MonitorDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** The options of now. */
  options(): MonitorOptions;
  /** A new connection with the credentials of now; `serverName` goes out as SNI in place of the usual one. */
  connect(serverName?: string): MonitoredConnection;
  /** The verdict of now, for the choice of the next interval. */
  verdict(): Verdict;
  /** Known to answer late: it is checked as often as a ready one, not more. */
  isSlow?(): boolean;
  /** This node's tunnels go there, or the next one would. */
  isInUse(): boolean;
  /** What the endpoint is remembered for; absent or undefined: it is listed or configured. */
  memory?(): MemoryUse | undefined;
  onSuspected(reason: Reason): void;
  /** A fresh connection was opened; before the result that it leads to, if it leads to one. */
  onHandshake?(handshake: Handshake): void;
  /** `isFresh`: over a connection that was opened for it, with a full handshake. */
  onResult(result: ProbeResult, durationMs: number, isFresh: boolean): void;
}

interface ProbeAttempt {
  readonly connection: MonitoredConnection;
  readonly isFresh: boolean;
  /** The SNI of a client, in place of the usual one. */
  readonly serverName?: string;
  check: RunningCheck | undefined;
  timers: Timer[];
}

interface Round {
  readonly startedMs: number;
  readonly pace: Pace;
  readonly attempts: Set<ProbeAttempt>;
  freshStarted: number;
  /** The SNI of the next fresh attempt, when a proof is for a client that sends one. */
  serverName?: string | undefined;
  /** Layers at which fresh attempts have ended in silence. */
  readonly freshSilences: (4 | 6)[];
  timers: Timer[];
}

/** How many fresh connections must fail before a round says "silent". */
const freshNeeded = 2;
/** From the first bad result of an endpoint in use to the next probe. */
const secondLookMs = 300;
const badIntervalMs = 1_000;
const maxBadIntervalMs = 5_000;
const maxBadStandbyIntervalMs = 15_000;
/** A check of a remembered endpoint where no process listens costs a packet; one that is answered costs a TLS handshake. */
const restingSilentMs = 450_000;
/** At 5,000 nodes less than one handshake a second. */
const restingAnsweredMs = 6_300_000;
const neededIntervalMs = 1_000;
const leastNeededMs = 100;

type BadCertificate = Extract<ProbeResult, { kind: 'broken' }> & { readonly fault: CertificateFault };

function isBadCertificate(result: CheckResult): result is BadCertificate {
  return result.kind === 'broken' && result.fault !== undefined;
}

export class Monitor {
  readonly #endpoint: Endpoint;
  readonly #deps: MonitorDeps;
  #kept: MonitoredConnection | undefined;
  #keptUntilMs = 0;
  #round: Round | undefined;
  #next: { timer: Timer; dueMs: number } | undefined;
  #badRounds = 0;
  #isRemembered = false;
  #isAnswering = true;
  #roundMs = 0;
  #connectMs: number | undefined;
  #answerMs: number | undefined;
  #isStopped = false;

  constructor(endpoint: Endpoint, deps: MonitorDeps) {
    this.#endpoint = endpoint;
    this.#deps = deps;
  }

  get endpoint(): Endpoint {
    return this.#endpoint;
  }

  /** Asks now, unless a probe is already under way. */
  probeNow(): void {
    if (this.#isStopped || this.#round) return;
    this.#next?.timer.cancel();
    this.#next = undefined;
    this.#startRound();
  }

  /** The endpoint's use has changed: a probe that is far away may have to come sooner. */
  reschedule(): void {
    if (this.#isStopped) return;
    const wasRemembered = this.#isRemembered;
    this.#isRemembered = this.#deps.memory?.() !== undefined;
    if (wasRemembered && !this.#isRemembered) {
      // It is listed again, most likely because it is well: as new as one that was never seen.
      this.#badRounds = 0;
      this.probeNow();
    }
    if (this.#round || !this.#next) return;
    const delayMs = this.#intervalMs();
    if (this.#deps.clock.nowMs() + delayMs < this.#next.dueMs) this.#scheduleIn(delayMs);
  }

  /** Credentials or CA have changed: the next probe opens a new connection, now. */
  reopen(): void {
    this.#dropKept();
    this.#abortRound();
    this.probeNow();
  }

  /**
   * Proves the endpoint: a round on a fresh connection, now, with `serverName` as SNI where one is given. A bad
   * certificate for that name alone decides nothing; the usual handshake that follows in the same round does.
   */
  prove(serverName?: string): void {
    if (this.#isStopped) return;
    // One that is asking over a fresh connection already is that proof.
    if (this.#round && this.#round.freshStarted > 0) return;
    this.#dropKept();
    this.#abortRound();
    this.#next?.timer.cancel();
    this.#next = undefined;
    this.#startRound(serverName);
  }

  stop(): void {
    this.#isStopped = true;
    this.#next?.timer.cancel();
    this.#next = undefined;
    this.#abortRound();
    this.#dropKept();
  }

  #intervalMs(): number {
    const { random } = this.#deps;
    const options = this.#deps.options();
    const isInUse = this.#deps.isInUse();
    const memory = this.#deps.memory?.();
    if (memory === 'resting' && !isInUse && this.#deps.verdict() !== 'suspect')
      return jittered(this.#isAnswering ? restingAnsweredMs : restingSilentMs, 0.33, random);
    // From the start of one check to that of the next, so that no SYN is more than a second away.
    if (memory === 'needed' && !this.#isAnswering)
      return Math.max(leastNeededMs, jittered(neededIntervalMs, 0.1, random) - this.#roundMs);
    const verdict = this.#deps.verdict();
    switch (verdict === 'suspect' && this.#deps.isSlow?.() === true ? 'ready' : verdict) {
      case 'ready':
        return isInUse
          ? options.intervalMs * (0.85 + 0.15 * random())
          : jittered(options.standbyIntervalMs, 0.1, random);
      case 'unknown':
      case 'suspect':
        return options.fastIntervalMs;
      case 'unready':
      case 'dead': {
        if (this.#badRounds === 0) return options.fastIntervalMs;
        // One bad answer proves little, and clients wait for the proof.
        if (this.#badRounds === 1 && isInUse) return Math.min(options.fastIntervalMs, secondLookMs);
        // Asking one that refuses or is silent costs it nothing; one that answers is spared by a whole fleet.
        const most = isInUse || !this.#isAnswering ? maxBadIntervalMs : maxBadStandbyIntervalMs;
        const grown = grownMs(this.#badRounds, { firstMs: badIntervalMs, capMs: most, factor: 1.3 });
        return jittered(grown, 0.1, random);
      }
    }
  }

  #scheduleIn(delayMs: number): void {
    this.#next?.timer.cancel();
    const { clock } = this.#deps;
    const timer = clock.schedule(delayMs, () => {
      this.#next = undefined;
      this.#startRound();
    });
    this.#next = { timer, dueMs: clock.nowMs() + delayMs };
  }

  #startRound(serverName?: string): void {
    const { clock } = this.#deps;
    const isKeptUsable = this.#kept?.isKept && clock.nowMs() < this.#keptUntilMs;
    const round: Round = {
      startedMs: clock.nowMs(),
      pace: paceFor({ connectMs: this.#connectMs, answerMs: this.#answerMs }, this.#deps.options()),
      attempts: new Set(),
      freshStarted: 0,
      serverName,
      freshSilences: [],
      timers: [],
    };
    this.#round = round;
    if (isKeptUsable && this.#kept) {
      this.#kept.onLost = undefined;
      this.#attempt(round, this.#kept, false);
    } else {
      this.#dropKept();
      this.#attemptFresh(round);
    }
    this.#whenLate(round);
  }

  #whenLate(round: Round): void {
    const { clock } = this.#deps;
    const onExpired = (): void => {
      this.#deps.onSuspected({ code: 'L7TOUT', text: `no answer for ${Math.round(round.pace.lateMs)} ms` });
      if (this.#round !== round) return;
      this.#attemptFresh(round);
      round.timers.push(
        clock.schedule(round.pace.spacingMs, () => {
          if (this.#round === round) this.#attemptFresh(round);
        }),
      );
    };
    round.timers.push(
      judgeAfter(clock, round.pace.lateMs, { onExpired, onVoid: () => this.#whenLate(round) }),
    );
  }

  #attemptFresh(round: Round): void {
    // One that has finished TLS is waited for; and more than two prove no more than two.
    const isAnotherThrough = [...round.attempts].some((a) => a.isFresh && a.check?.phase === 'requesting');
    if (isAnotherThrough || round.freshStarted >= freshNeeded) return;
    round.freshStarted += 1;
    const { serverName } = round;
    round.serverName = undefined;
    this.#attempt(round, this.#deps.connect(serverName), true, serverName);
  }

  #attempt(round: Round, connection: MonitoredConnection, isFresh: boolean, serverName?: string): void {
    const attempt: ProbeAttempt = {
      connection,
      isFresh,
      ...(serverName !== undefined && { serverName }),
      check: undefined,
      timers: [],
    };
    round.attempts.add(attempt);
    const check = connection.run((result) => {
      // A result may come before run() has returned; then the round is looked at in the next turn.
      if (attempt.check) this.#onResult(round, attempt, result);
      else queueMicrotask(() => this.#onResult(round, attempt, result));
    });
    attempt.check = check;
    if (isFresh) this.#limit(round, attempt, round.pace.freshMs, ['connecting', 'handshaking']);
    else this.#limit(round, attempt, round.pace.answerMs, ['requesting']);
  }

  /** Ends the attempt when it is still in one of `phases` after `delayMs`; a later phase gets its own time. */
  #limit(round: Round, attempt: ProbeAttempt, delayMs: number, phases: readonly ProbePhase[]): void {
    const onVoid = (): void => this.#limit(round, attempt, delayMs, phases);
    const onExpired = (): void => {
      const phase = attempt.check?.phase ?? 'connecting';
      if (!phases.includes(phase)) {
        this.#limit(round, attempt, round.pace.answerMs, ['requesting']);
        return;
      }
      attempt.check?.abort();
      const layer = phase === 'connecting' ? 4 : phase === 'handshaking' ? 6 : 7;
      this.#onSilence(round, attempt, layer);
    };
    attempt.timers.push(judgeAfter(this.#deps.clock, delayMs, { onExpired, onVoid }));
  }

  #forget(round: Round, attempt: ProbeAttempt): void {
    for (const timer of attempt.timers) timer.cancel();
    round.attempts.delete(attempt);
  }

  #onSilence(round: Round, attempt: ProbeAttempt, layer: 4 | 6 | 7, text?: string): void {
    if (this.#round !== round) return;
    this.#forget(round, attempt);
    if (!attempt.isFresh) {
      // The kept connection alone proves nothing.
      this.#dropKept();
      if (round.attempts.size === 0) this.#attemptFresh(round);
      return;
    }
    if (layer === 7) {
      this.#finish(round, { kind: 'silent', layer: 7, ...(text !== undefined && { text }) });
      return;
    }
    round.freshSilences.push(layer);
    const isKnownDead = this.#deps.verdict() === 'dead';
    if (round.freshSilences.length >= freshNeeded || isKnownDead) this.#concludeSilence(round, text);
    else if (round.attempts.size === 0) this.#attemptFresh(round);
  }

  #concludeSilence(round: Round, text?: string): void {
    const layer = round.freshSilences.includes(6) ? 6 : 4;
    this.#finish(round, { kind: 'silent', layer, ...(text !== undefined && { text }) });
  }

  #onResult(round: Round, attempt: ProbeAttempt, result: CheckResult): void {
    if (this.#round !== round || !round.attempts.has(attempt)) return;
    const { connection, isFresh } = attempt;
    if (isFresh && connection.connectMs !== undefined) this.#connectMs = connection.connectMs;
    if (isFresh) this.#tellHandshake(attempt, result);
    if (attempt.serverName !== undefined && isBadCertificate(result)) {
      this.#forget(round, attempt);
      // It has said what there is to say of that name, and counts for nothing else.
      round.freshStarted -= 1;
      this.#attemptFresh(round);
      return;
    }
    switch (result.kind) {
      case 'lost':
        this.#forget(round, attempt);
        this.#dropKept();
        this.#attemptFresh(round);
        return;
      case 'void':
        this.#finish(round, undefined);
        return;
      case 'silent':
        this.#onSilence(round, attempt, result.layer, result.text);
        return;
      case 'answered':
        this.#forget(round, attempt);
        this.#keep(connection, isFresh);
        this.#finish(round, result, isFresh);
        return;
      default:
        this.#finish(round, result, isFresh);
    }
  }

  #tellHandshake({ connection, serverName }: ProbeAttempt, result: CheckResult): void {
    if (result.kind !== 'answered' && !isBadCertificate(result)) return;
    const { certificate } = connection;
    this.#deps.onHandshake?.({
      ...(serverName !== undefined && { serverName }),
      ...(certificate && { certificate }),
      ...(isBadCertificate(result) && { fault: result.fault, text: result.text }),
    });
  }

  #keep(connection: MonitoredConnection, isFresh: boolean): void {
    if (connection !== this.#kept) this.#dropKept();
    if (!connection.isKept) return;
    this.#kept = connection;
    const { clock, random } = this.#deps;
    if (isFresh) this.#keptUntilMs = clock.nowMs() + jittered(this.#deps.options().reconnectMs, 0.2, random);
    connection.onLost = () => {
      this.#kept = undefined;
      this.probeNow();
    };
  }

  /** Ends the round with a result; without one (nothing learnt) the next round comes soon. */
  #finish(round: Round, result: ProbeResult | undefined, isFresh = true): void {
    const { clock } = this.#deps;
    const durationMs = clock.nowMs() - round.startedMs;
    this.#roundMs = durationMs;
    this.#abortRound();
    if (!result) {
      this.#scheduleIn(badIntervalMs);
      return;
    }
    const isGood = result.kind === 'answered' && (result.status ?? 0) < 500;
    // One that comes back answers badly for a moment; how long it was away says nothing of that.
    const isComing = !this.#isAnswering && result.kind === 'answered';
    this.#badRounds = isGood ? 0 : isComing ? 1 : this.#badRounds + 1;
    this.#isAnswering = result.kind === 'answered';
    if (result.kind === 'answered') {
      const sampleMs = Math.min(durationMs, this.#deps.options().timeoutMs);
      this.#answerMs = this.#answerMs === undefined ? sampleMs : 0.8 * this.#answerMs + 0.2 * sampleMs;
    } else {
      this.#dropKept();
    }
    this.#deps.onResult(result, durationMs, isFresh);
    if (this.#deps.memory?.() === 'resting' && !this.#deps.isInUse()) this.#dropKept();
    if (!this.#isStopped && !this.#round) this.#scheduleIn(this.#intervalMs());
  }

  #abortRound(): void {
    const round = this.#round;
    this.#round = undefined;
    if (!round) return;
    for (const timer of round.timers) timer.cancel();
    for (const attempt of round.attempts) {
      for (const timer of attempt.timers) timer.cancel();
      attempt.check?.abort();
      if (attempt.connection === this.#kept) this.#kept = undefined;
    }
    round.attempts.clear();
  }

  #dropKept(): void {
    const kept = this.#kept;
    this.#kept = undefined;
    kept?.close();
  }
}

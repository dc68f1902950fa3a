// The health of all known endpoints: one monitor each, passive signals in, judged states out. It owns the
// monitors and the states. Discovery says which endpoints there are; balance publishes what comes out.
import type { Logger } from 'pino';
import { RateLimitedLog } from '../lib/rate-limited-log.ts';
import type { Clock, Random } from '../model/clock.ts';
import type { Endpoint, EndpointId } from '../model/endpoint.ts';
import type { ClientTlsOutcome, DialResult, OutcomeReporter, TrafficReader } from '../model/outcome.ts';
import { formatReason, type Reason, type Verdict } from '../model/snapshot.ts';
import {
  type Handshake,
  type MemoryUse,
  Monitor,
  type MonitoredConnection,
  type MonitorOptions,
} from './monitor.ts';
import { Prover } from './prover.ts';
import { sniName } from './certificate.ts';
import { Expiry } from './expiry.ts';
import type { ProofRequest } from './proof.ts';
import { SeenCertificates } from './seen-certificates.ts';
import {
  type HealthEvent,
  type HealthState,
  initialHealth,
  isSlow,
  judge,
  type ProbeResult,
  type VerdictOptions,
} from './verdict.ts';

export interface HealthOptions extends MonitorOptions, VerdictOptions {}

export interface HealthObserver {
  /** A state has changed in something that others see. */
  onChange(endpoint: EndpointId, state: HealthState, previous: HealthState): void;
  /** A probe has ended; for metrics. */
  onProbe(endpoint: EndpointId, result: ProbeResult, durationMs: number): void;
  /** What is known of its certificates has changed, or the one that was seen last has expired. */
  onCertificate(endpoint: EndpointId): void;
  /**
   * An API server answered 401, or has just shown a certificate of an unknown authority: credentials or the CA may
   * have been rotated.
   */
  onStaleCredentials(): void;
}

export interface HealthDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly options: HealthOptions;
  readonly traffic: TrafficReader;
  readonly observer: HealthObserver;
  /** A new connection for checks; `serverName` goes out as SNI in place of the usual one. */
  connect(endpoint: Endpoint, serverName?: string): MonitoredConnection;
  /** The next new tunnel would go there. */
  isPreferred(endpoint: EndpointId): boolean;
  /** See MonitorDeps.memory. */
  memory?(endpoint: EndpointId): MemoryUse | undefined;
}

interface Watched {
  readonly monitor: Monitor;
  readonly prover: Prover;
  readonly certificates: SeenCertificates;
  readonly expiry: Expiry;
  state: HealthState;
  lastSignalMs: number;
  /** Lines of the log: a verdict that flaps, or an endpoint that is slow for hours, writes few. */
  readonly changes: RateLimitedLog;
  readonly slow: RateLimitedLog;
  /** False from a full handshake until its result is in: what is told of it before that asks for the next one. */
  isCertificateTold: boolean;
}

/** Changes of one endpoint in the log: a restart and what comes with it at once, then one in ten seconds. */
const changesAtOnce = 12;
const changeEveryMs = 10_000;
/** How often the log says that an endpoint still answers late. */
const slowEveryMs = 600_000;
/** Of all endpoints together: a list that changes without end brings new ones without end. */
const allChangesAtOnce = 100;
const allChangesEveryMs = 1_000;

/** Least time between two probes that client traffic asks for, per endpoint. */
const signalSpacingMs = 1_000;

export class Health implements OutcomeReporter {
  readonly #deps: HealthDeps;
  #options: HealthOptions;
  readonly #watched = new Map<EndpointId, Watched>();
  #isStopped = false;
  readonly #changes: RateLimitedLog;

  constructor(deps: HealthDeps) {
    this.#deps = deps;
    this.#changes = new RateLimitedLog(deps.clock, allChangesEveryMs, allChangesAtOnce);
    this.#options = deps.options;
  }

  /** The watched endpoints. */
  endpoints(): Endpoint[] {
    return [...this.#watched.values()].map(({ monitor }) => monitor.endpoint);
  }

  /** Applies new options: from the next probe on. */
  configure(options: HealthOptions): void {
    this.#options = options;
    for (const { monitor } of this.#watched.values()) monitor.reopen();
  }

  /** The state of an endpoint; undefined when it is not watched. */
  state(endpoint: EndpointId): HealthState | undefined {
    return this.#watched.get(endpoint)?.state;
  }

  /** What an endpoint has shown in handshakes; undefined when it is not watched. */
  certificates(endpoint: EndpointId): SeenCertificates | undefined {
    return this.#watched.get(endpoint)?.certificates;
  }

  /** Asks for a full handshake; when it takes place: proof.ts. One that is known to be bad is being looked at. */
  prove(endpoint: EndpointId, request: ProofRequest): void {
    const watched = this.#watched.get(endpoint);
    if (watched && watched.state.fault === undefined) watched.prover.want(request);
  }

  /** Watches exactly these endpoints from now on; those that stay keep their state. */
  watch(endpoints: readonly Endpoint[]): void {
    if (this.#isStopped) return;
    const wanted = new Set(endpoints.map(({ id }) => id));
    for (const [id, watched] of this.#watched) {
      if (wanted.has(id)) continue;
      this.#drop(watched);
      this.#watched.delete(id);
    }
    for (const endpoint of endpoints) {
      if (!this.#watched.has(endpoint.id)) this.#add(endpoint);
    }
  }

  /** A new token, and nothing else: connections stay, and endpoints that answered 401 are checked again. */
  renewed(): void {
    for (const { monitor, state } of this.#watched.values())
      if (state.reason.status === 401) monitor.probeNow();
  }

  /** Credentials or CA have changed. */
  reopen(): void {
    for (const { monitor } of this.#watched.values()) monitor.reopen();
  }

  /** Checks this one now. */
  probeNow(endpoint: EndpointId): void {
    this.#watched.get(endpoint)?.monitor.probeNow();
  }

  /** Asks every endpoint now, but for those that are being asked. */
  askAll(): void {
    for (const { monitor } of this.#watched.values()) monitor.probeNow();
  }

  /** Which endpoint is preferred may have changed. */
  reschedule(): void {
    for (const { monitor } of this.#watched.values()) monitor.reschedule();
  }

  stop(): void {
    this.#isStopped = true;
    for (const watched of this.#watched.values()) this.#drop(watched);
    this.#watched.clear();
  }

  dialed(endpoint: EndpointId, result: DialResult, _durationMs: number): void {
    const watched = this.#watched.get(endpoint);
    if (!watched) return;
    switch (result) {
      case 'connected':
        watched.monitor.reschedule();
        return;
      case 'exhausted':
        return;
      case 'refused':
        this.#apply(watched, { type: 'dial-refused', nowMs: this.#deps.clock.nowMs() });
        this.#probeOnSignal(watched);
        return;
      default:
        this.#suspect(watched, { code: 'L4TOUT', text: `client dial ${result}` });
    }
  }

  firstFlightUnanswered(endpoint: EndpointId): void {
    const watched = this.#watched.get(endpoint);
    if (watched) this.#suspect(watched, { code: 'L6TOUT', text: "no answer to a client's first bytes" });
  }

  tunnelSilent(endpoint: EndpointId): void {
    const watched = this.#watched.get(endpoint);
    if (watched) this.#probeOnSignal(watched);
  }

  clientTls(endpoint: EndpointId, outcome: ClientTlsOutcome, serverName?: string): void {
    const watched = this.#watched.get(endpoint);
    // With a bad certificate every check opens a fresh connection as it is.
    if (watched && watched.state.fault === undefined) {
      watched.prover.clientTls(outcome, sniName(serverName));
    }
  }

  #add(endpoint: Endpoint): void {
    const { clock, random, traffic } = this.#deps;
    const { id } = endpoint;
    const monitor = new Monitor(endpoint, {
      clock,
      random,
      options: () => this.#options,
      connect: (serverName) => this.#deps.connect(endpoint, serverName),
      verdict: () => watched.state.verdict,
      isSlow: () => isSlow(watched.state),
      isInUse: () => traffic.traffic(id).activeTunnels > 0 || this.#deps.isPreferred(id),
      memory: () => this.#deps.memory?.(id),
      onSuspected: (reason) => this.#applySuspicion(watched, reason),
      onHandshake: (handshake) => this.#onHandshake(watched, handshake),
      onResult: (result, durationMs, isFresh) => this.#onResult(watched, result, durationMs, isFresh),
    });
    const prover = new Prover({ clock, random, prove: ({ serverName }) => monitor.prove(serverName) });
    const expiry = new Expiry({
      clock,
      random,
      onExpired: () => {
        this.#deps.log.warn({ endpoint: id }, 'the serving certificate that was last seen has expired');
        this.#deps.observer.onCertificate(id);
      },
      onProofDue: () => prover.want({ cause: 'expiry' }),
    });
    const watched: Watched = {
      monitor,
      prover,
      certificates: new SeenCertificates(),
      expiry,
      state: initialHealth(clock.nowMs()),
      lastSignalMs: Number.NEGATIVE_INFINITY,
      changes: new RateLimitedLog(clock, changeEveryMs, changesAtOnce),
      slow: new RateLimitedLog(clock, slowEveryMs),
      isCertificateTold: true,
    };
    this.#watched.set(id, watched);
    monitor.probeNow();
  }

  #drop({ monitor, prover, expiry }: Watched): void {
    expiry.stop();
    prover.stop();
    monitor.stop();
  }

  #onHandshake(watched: Watched, handshake: Handshake): void {
    const { serverName, fault, text } = handshake;
    const { prover, monitor, certificates } = watched;
    const { running } = prover;
    const endpoint = monitor.endpoint.id;
    const isNew = certificates.note(handshake);
    const isGood = fault === undefined;
    // The usual handshake follows, and decides.
    if (!isGood && serverName !== undefined) {
      this.#deps.log.info({ endpoint, serverName, reason: text }, 'certificate is bad for a name');
      return;
    }
    if (serverName === undefined && certificates.usual) watched.expiry.follow(certificates.usual);
    prover.ended({ isGood, isNew });
    watched.isCertificateTold = false;
    if (isGood && running?.cause === 'sign') {
      this.#deps.log.info({ endpoint, serverName }, 'client refused a certificate that passes verification');
    }
  }

  #suspect(watched: Watched, reason: Reason): void {
    this.#applySuspicion(watched, reason);
    this.#probeOnSignal(watched);
  }

  #applySuspicion(watched: Watched, reason: Reason): void {
    const { clock, traffic } = this.#deps;
    const { bytesDown } = traffic.traffic(watched.monitor.endpoint.id);
    this.#apply(watched, { type: 'suspected', nowMs: clock.nowMs(), bytesDown, reason });
  }

  #probeOnSignal(watched: Watched): void {
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs - watched.lastSignalMs < signalSpacingMs) return;
    watched.lastSignalMs = nowMs;
    watched.monitor.probeNow();
  }

  #onResult(watched: Watched, result: ProbeResult, durationMs: number, isFresh: boolean): void {
    const { clock, traffic, observer } = this.#deps;
    const { id } = watched.monitor.endpoint;
    const { bytesDown } = traffic.traffic(id);
    observer.onProbe(id, result, durationMs);
    const nowMs = clock.nowMs();
    const askedMs = nowMs - durationMs;
    this.#apply(watched, { type: 'probed', nowMs, askedMs, bytesDown, result, isFresh });
    if (!watched.isCertificateTold) {
      watched.isCertificateTold = true;
      observer.onCertificate(id);
    }
    if (result.kind === 'answered' && result.status === 401) observer.onStaleCredentials();
  }

  #apply(watched: Watched, event: HealthEvent): void {
    const previous = watched.state;
    const state = judge(previous, event, this.#options);
    watched.state = state;
    if (this.#isStopped || this.#watched.get(watched.monitor.endpoint.id) !== watched) return;
    const isNewVerdict = state.verdict !== previous.verdict;
    if (event.type === 'probed' && state.verdict === 'suspect' && isSlow(state)) this.#logSlow(watched);
    else if (isNewVerdict || formatReason(state.reason) !== formatReason(previous.reason)) {
      this.#logChange(watched, previous);
    }
    this.#deps.observer.onChange(watched.monitor.endpoint.id, state, previous);
    // Once for each such trouble: an address that belongs to another cluster by now stays so.
    if (state.fault === 'authority' && previous.fault !== 'authority')
      this.#deps.observer.onStaleCredentials();
    if (isNewVerdict) this.#askTheOthers(watched, previous.verdict);
  }

  /**
   * What is known of the others may be a minute old. When an endpoint in use gets into trouble, a client will
   * need a good one soon; when one comes back, the dead ones may have come back with it (our own network).
   */
  #askTheOthers(changed: Watched, was: Verdict): void {
    const { traffic, isPreferred } = this.#deps;
    const { id } = changed.monitor.endpoint;
    const { verdict } = changed.state;
    const isTrouble = verdict !== 'ready' && (was === 'ready' || was === 'unknown');
    const isReturn = verdict === 'ready' && (was === 'unready' || was === 'dead');
    const isInUse = traffic.traffic(id).activeTunnels > 0 || isPreferred(id);
    for (const other of this.#watched.values()) {
      if (other === changed || this.#deps.memory?.(other.monitor.endpoint.id) === 'resting') continue;
      if ((isTrouble && isInUse) || (isReturn && other.state.verdict === 'dead')) other.monitor.probeNow();
    }
  }

  #logChange(watched: Watched, previous: HealthState): void {
    watched.changes.write((ownLeftOut) =>
      this.#changes.write((leftOut) => {
        const lines = {
          ...(ownLeftOut > 0 && { linesLeftOut: ownLeftOut }),
          ...(leftOut > 0 && { linesOfOthersLeftOut: leftOut }),
        };
        this.#writeChange(watched, previous, lines);
      }),
    );
  }

  #writeChange(watched: Watched, previous: HealthState, lines: object): void {
    const { verdict, reason } = watched.state;
    const fields = {
      endpoint: watched.monitor.endpoint.id,
      verdict,
      reason: formatReason(reason),
      was: previous.verdict,
      wasForMs: Math.round(this.#deps.clock.nowMs() - previous.sinceMs),
      ...lines,
    };
    if (verdict === previous.verdict) this.#deps.log.info(fields, 'endpoint reason changed');
    else if (verdict === 'ready' && watched.state.isUnverified)
      this.#deps.log.warn(fields, 'endpoint is ready, but could not be verified');
    else if (verdict === 'ready') this.#deps.log.info(fields, 'endpoint is ready');
    else this.#deps.log.warn(fields, `endpoint is ${verdict}`);
  }

  #logSlow(watched: Watched): void {
    const { monitor, state } = watched;
    const forMs = Math.round(this.#deps.clock.nowMs() - state.sinceMs);
    watched.slow.write(() =>
      this.#deps.log.warn(
        { endpoint: monitor.endpoint.id, reason: formatReason(state.reason), forMs },
        'endpoint is slow: others are preferred',
      ),
    );
  }
}

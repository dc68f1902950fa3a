// API servers over one etcd, as one node's agent sees them, without sockets: the real health checks and the real
// closer on a fake clock, and answers of /readyz as kube-apiserver makes them. What is closed is written down.
import { TunnelCloser } from '../../../src/balance/tunnel-closer.ts';
import type { ClosePolicyOptions } from '../../../src/balance/close-policy.ts';
import { makeSnapshot } from '../../../src/balance/snapshot.ts';
import { Health } from '../../../src/health/health.ts';
import type { MonitoredConnection } from '../../../src/health/monitor.ts';
import type { CheckResult, ProbePhase, RunningCheck } from '../../../src/health/probe.ts';
import { type Endpoint, type EndpointId, makeEndpoint } from '../../../src/model/endpoint.ts';
import type { Snapshot, SnapshotSource } from '../../../src/model/snapshot.ts';
import { FakeClock } from './fake-clock.ts';
import { recordingLog } from './recording-log.ts';

/** An answer of /readyz and how long it takes. */
export interface Answer {
  readonly afterMs: number;
  readonly failing: readonly string[];
}

export type Server = (nowMs: number) => Answer;

const closing: ClosePolicyOptions = {
  unreadyAfterMs: 5_000,
  betterReadyForMs: 20_000,
  windowMs: 10_000,
  shutdownWindowMs: 300_000,
  fall: 3,
};

const healthOptions = {
  intervalMs: 2_000,
  standbyIntervalMs: 60_000,
  fastIntervalMs: 500,
  timeoutMs: 1_000,
  reconnectMs: 600_000,
  rise: 2,
  startupGraceMs: 5_000,
};

export interface Closed {
  readonly atMs: number;
  readonly endpoint: EndpointId;
  readonly how: 'reset' | 'drain' | 'unanswered' | 'rebalance';
  readonly windowMs?: number;
}

/** The first endpoint carries tunnels; `random` decides the phases of the checks. */
export class SickWorld {
  readonly clock = new FakeClock();
  readonly closed: Closed[] = [];
  readonly ids: readonly EndpointId[];
  readonly health: Health;
  readonly #closer: TunnelCloser;
  readonly #endpoints: readonly Endpoint[];
  #version = 0;

  constructor(servers: readonly Server[], random: () => number) {
    const { clock } = this;
    const endpoints = servers.map((_, index) => makeEndpoint(`10.0.0.${index + 1}`, 6443));
    this.#endpoints = endpoints;
    this.ids = endpoints.map(({ id }) => id);
    const [first] = this.ids;
    const traffic = (id: EndpointId) => ({
      activeTunnels: id === first ? 3 : 0,
      totalTunnels: 3,
      bytesUp: 0,
      bytesDown: 0,
    });
    const log = recordingLog();
    const byId = new Map(this.ids.map((id, index) => [id, servers[index] as Server]));
    this.health = new Health({
      clock,
      random,
      log,
      options: healthOptions,
      traffic: { traffic },
      connect: ({ id }) => new Connection(clock, byId.get(id) as Server),
      isPreferred: (id) => this.snapshot().candidates[0]?.id === id,
      observer: {
        onChange: () => this.#closer.evaluate(),
        onProbe: () => {},
        onStaleCredentials: () => {},
        onCertificate: () => {},
      },
    });
    const note = (endpoint: EndpointId, how: Closed['how'], windowMs?: number): void => {
      this.closed.push({ atMs: clock.nowMs(), endpoint, how, ...(windowMs !== undefined && { windowMs }) });
    };
    this.#closer = new TunnelCloser({
      clock,
      random,
      log,
      snapshots: this.#snapshots(),
      state: (id) => this.health.state(id),
      prove: (id) => this.health.prove(id, { cause: 'move' }),
      ask: () => this.health.askAll(),
      options: () => ({
        ...closing,
        policy: 'rendezvous',
        rebalance: { enabled: false, overMs: 600_000 },
      }),
      table: {
        traffic,
        records: () => this.ids.map((id) => ({ id, activeTunnels: traffic(id).activeTunnels })),
        resetEndpoint: (id) => {
          note(id, 'reset');
          return 1;
        },
        drain: (id, { windowMs }) => note(id, 'drain', windowMs),
        cancelDrain: () => {},
        isDraining: () => false,
        resetUnanswered: () => 0,
        closeOneQuiet: () => false,
      },
    });
    this.health.watch(endpoints);
  }

  /** A client has been waiting for an answer of the first endpoint. */
  clientWaits(): void {
    this.health.tunnelSilent(this.ids[0] as EndpointId);
  }

  stop(): void {
    this.#closer.stop();
    this.health.stop();
  }

  snapshot(): Snapshot {
    this.#version += 1;
    const { clock } = this;
    return makeSnapshot(
      {
        set: {
          endpoints: this.#endpoints.map((endpoint) => ({
            ...endpoint,
            tier: 'discovered' as const,
            sources: ['watch' as const],
          })),
        },
        state: (id) => this.health.state(id),
        nodeName: 'node-1',
        nowMs: clock.nowMs(),
        wallMs: clock.wallMs(),
      },
      this.#version,
    );
  }

  #snapshots(): SnapshotSource {
    const snapshot = () => this.snapshot();
    return {
      get current() {
        return snapshot();
      },
      subscribe: () => () => {},
    };
  }
}

/** TCP and TLS take no time; the answer comes when the server says. */
class Connection implements MonitoredConnection {
  readonly connectMs = 1;
  onLost: (() => void) | undefined;
  readonly #clock: FakeClock;
  readonly #server: Server;
  #isUsed = false;
  #isClosed = false;
  #isRunning = false;

  constructor(clock: FakeClock, server: Server) {
    this.#clock = clock;
    this.#server = server;
  }

  get isKept(): boolean {
    return this.#isUsed && !this.#isClosed && !this.#isRunning;
  }

  run(done: (result: CheckResult) => void): RunningCheck {
    this.#isRunning = true;
    const phase: ProbePhase = 'requesting';
    const { afterMs, failing } = this.#server(this.#clock.nowMs());
    const timer = this.#clock.schedule(afterMs, () => {
      this.#isRunning = false;
      this.#isUsed = true;
      const isExpected = failing.length === 0;
      done({ kind: 'answered', isExpected, status: isExpected ? 200 : 500, failing });
    });
    return {
      phase,
      abort: () => {
        timer.cancel();
        this.#isRunning = false;
        this.close();
      },
    };
  }

  close(): void {
    this.#isClosed = true;
  }
}

/**
 * The checks `etcd` and `etcd-readiness` of one kube-apiserver: each asks etcd at most once a second, waits 2 s, and
 * answers from the last result meanwhile; they run one after the other. `others` is how often other nodes ask.
 */
export function apiServer({
  lostMs,
  backMs = Number.POSITIVE_INFINITY,
  othersEveryMs,
  phaseMs,
}: {
  /** When its etcd is lost. */
  readonly lostMs: number;
  readonly backMs?: number;
  readonly othersEveryMs: number;
  readonly phaseMs: number;
}): Server {
  const checks = ['etcd', 'etcd-readiness'].map((name) => new EtcdCheck(name, lostMs, backMs));
  let othersMs = phaseMs;
  const ask = (nowMs: number): Answer => {
    let afterMs = 0;
    const failing: string[] = [];
    for (const check of checks) {
      const { waitMs, isWell } = check.ask(nowMs + afterMs);
      afterMs += waitMs;
      if (!isWell) failing.push(check.name);
    }
    return { afterMs: afterMs + 5, failing };
  };
  return (nowMs) => {
    for (; othersMs < nowMs; othersMs += othersEveryMs) ask(othersMs);
    return ask(nowMs);
  };
}

class EtcdCheck {
  readonly name: string;
  readonly #lostMs: number;
  readonly #backMs: number;
  #startedMs = Number.NEGATIVE_INFINITY;
  /** Results that are known from a moment on, oldest first. */
  #results: { readonly fromMs: number; readonly isWell: boolean }[] = [];

  constructor(name: string, lostMs: number, backMs: number) {
    this.name = name;
    this.#lostMs = lostMs;
    this.#backMs = backMs;
  }

  ask(nowMs: number): { readonly waitMs: number; readonly isWell: boolean } {
    if (nowMs - this.#startedMs < 1_000) return { waitMs: 0, isWell: this.#last(nowMs) };
    this.#startedMs = nowMs;
    const isWell = nowMs < this.#lostMs || nowMs >= this.#backMs;
    const waitMs = isWell ? 0 : 2_000;
    this.#results = [...this.#results.slice(-8), { fromMs: nowMs + waitMs, isWell }];
    return { waitMs, isWell };
  }

  #last(nowMs: number): boolean {
    return this.#results.findLast(({ fromMs }) => fromMs <= nowMs)?.isWell ?? true;
  }
}

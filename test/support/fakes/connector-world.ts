// One client's connector against scripted endpoints, on a fake clock.
import { makeEndpoint, type Endpoint } from '../../../src/model/endpoint.ts';
import { zeroCounters } from '../../../src/passthrough/tunnel/counters.ts';
import { EndpointRecord } from '../../../src/passthrough/tunnel/endpoint-record.ts';
import { noOwner } from '../../../src/passthrough/socket/connection.ts';
import type { EndpointPick } from '../../../src/model/snapshot.ts';
import { DeadlineQueue } from '../../../src/passthrough/connect/deadline-queue.ts';
import { UpstreamConnector } from '../../../src/passthrough/connect/connector.ts';
import type { DialContext } from '../../../src/passthrough/connect/dial-context.ts';
import type { PassthroughOptions } from '../../../src/passthrough/tunnel/options.ts';
import { FlightBuffers } from '../../../src/passthrough/connect/flight-buffers.ts';
import { MemoryLedger } from '../../../src/passthrough/socket/memory-ledger.ts';
import { ReadBuffers } from '../../../src/passthrough/socket/read-buffers.ts';
import { ReplayBudget } from '../../../src/passthrough/connect/replay-budget.ts';
import { Tunnel, type TunnelContext } from '../../../src/passthrough/tunnel/tunnel.ts';
import { defaultPassthroughOptions } from '../agent/default-options.ts';
import { FakeClock } from './fake-clock.ts';
import { type EndpointScript, FakeConnection, FakeConnectionFactory } from './fake-connections.ts';

export const good: EndpointScript = {
  dial: { kind: 'connect', afterMs: 1 },
  answers: { kind: 'answer', afterMs: 5, waitsForBytes: 1 },
};
export const frozen: EndpointScript = { dial: { kind: 'connect', afterMs: 1 }, answers: { kind: 'silent' } };
export const refusing: EndpointScript = {
  dial: { kind: 'fail', afterMs: 1, code: 'ECONNREFUSED' },
  answers: { kind: 'silent' },
};
export const blackHole: EndpointScript = { dial: { kind: 'hang' }, answers: { kind: 'silent' } };

export interface WorldOptions {
  readonly scripts: readonly EndpointScript[];
  readonly usableCount?: number;
  readonly replayNonTls?: boolean;
  readonly options?: Partial<PassthroughOptions>;
  /** Spend the replay budget before the client comes. */
  readonly withoutBudget?: boolean;
  /** What the process may hold. */
  readonly memory?: MemoryLedger;
}

/** Endpoints are named e0, e1, ... in pick order. */
export class ConnectorWorld {
  readonly clock = new FakeClock();
  readonly endpoints: Endpoint[];
  readonly factory: FakeConnectionFactory;
  readonly client: FakeConnection;
  readonly tunnel: Tunnel;
  readonly shared: DialContext;
  readonly memory: MemoryLedger;
  readonly records = new Map<string, EndpointRecord<Tunnel>>();
  readonly counters = zeroCounters();
  /** `e0 refused`, `e1 unanswered`, with the time since the start. */
  readonly events: string[] = [];
  /** `e0 refused localhost`. */
  readonly clientTls: string[] = [];
  scripts: readonly EndpointScript[];
  isFinished = false;
  readonly #startMs: number;

  constructor({
    scripts,
    usableCount,
    replayNonTls = false,
    options = {},
    withoutBudget = false,
    memory = new MemoryLedger(),
  }: WorldOptions) {
    const { clock, counters } = this;
    this.scripts = scripts;
    this.memory = memory;
    this.#startMs = clock.nowMs();
    this.endpoints = scripts.map((_, index) => makeEndpoint('10.0.0.2', 1000 + index));
    this.factory = new FakeConnectionFactory(
      clock,
      ({ port }) => this.scripts[port - 1000] as EndpointScript,
    );
    const all = defaultPassthroughOptions(options);
    const budget = new ReplayBudget({ ...all, replayBudgetPercent: 0 }, clock.nowMs());
    if (withoutBudget) while (budget.tryTake(clock.nowMs()));
    const context: TunnelContext = {
      buffers: new ReadBuffers(this.memory),
      nowMs: () => clock.nowMs(),
      startWaiting() {},
      stopWaiting() {},
      halfClosed() {},
      stalled() {},
      keepAlive() {},
      finished: (tunnel) => {
        this.isFinished = true;
        tunnel.record?.tunnels.delete(tunnel);
      },
      count: (reason) => {
        counters.closed[reason] += 1;
      },
    };
    this.shared = {
      clock,
      random: () => 0.5,
      outcomes: {
        dialed: (id, result) => this.#note(id, result),
        firstFlightUnanswered: (id) => this.#note(id, 'unanswered'),
        tunnelSilent: (id) => this.#note(id, 'silent'),
        clientTls: (id, outcome, serverName) =>
          void this.clientTls.push(`${this.nameOf(id)} ${outcome} ${serverName}`),
      },
      options: all,
      counters,
      connections: this.factory,
      flightBuffers: new FlightBuffers(this.memory),
      budget,
      halfOpenDials: 0,
      raceDelays: new DeadlineQueue(clock, () => all.raceDelayMs),
      flightDelays: new DeadlineQueue(clock, () => all.firstFlightTimeoutMs),
      record: (id) => {
        const record = this.records.get(id) ?? new EndpointRecord<Tunnel>(id);
        this.records.set(id, record);
        return record;
      },
      carries: (tunnel, record) => record.tunnels.add(tunnel),
      leaves: (tunnel, record) => record.tunnels.delete(tunnel),
      isOwnAddress: () => false,
      keepAlive() {},
      isConnectedToItself: () => false,
    };
    this.client = new FakeConnection(clock, noOwner);
    this.tunnel = new Tunnel(context, this.client);
    const picker = (): EndpointPick => ({
      candidates: this.endpoints,
      usableCount: usableCount ?? this.endpoints.length,
    });
    const connector = new UpstreamConnector(this.shared, { picker, replayNonTls }, this.tunnel);
    this.tunnel.connector = connector;
    this.client.owner = connector;
    connector.start();
  }

  nameOf(id: string): string {
    return `e${this.endpoints.findIndex((endpoint) => endpoint.id === id)}`;
  }

  /** What the endpoint has received on all its connections, one entry for each. */
  receivedBy(index: number): Buffer[] {
    return this.factory.dials
      .filter(({ endpoint, isConnected }) => isConnected && endpoint === this.endpoints[index])
      .map(({ connection }) => connection.received);
  }

  /** The client's answer with the endpoints' names in it. */
  get answer(): string {
    const text = this.client.received.toString();
    return this.endpoints.reduce((named, { id }, index) => named.replaceAll(id, `e${index}`), text);
  }

  #note(id: string, what: string): void {
    this.events.push(`${this.clock.nowMs() - this.#startMs} ${this.nameOf(id)} ${what}`);
  }
}

// The tunnels of a pool, by endpoint: what health, metrics and status read, and the only way to close tunnels from
// outside. Clients enter the data path here (`accept`). Owns what all connectors share (buffers, replay budget, half-open
// dials). Over 400 lines because it puts all parts of a tunnel's life together and has no logic of its own beside that.
import { Socket } from 'node:net';
import type { Clock, Random } from '../model/clock.ts';
import type { Endpoint, EndpointId } from '../model/endpoint.ts';
import type { OutcomeReporter, TrafficReader } from '../model/outcome.ts';
import { type CloseReason, type DataPathCounters, zeroCounters } from './tunnel/counters.ts';
import { EndpointRecord } from './tunnel/endpoint-record.ts';
import { type Connection, noOwner } from './socket/connection.ts';
import { ConnectionFactory } from './socket/connection-factory.ts';
import type { ClientHandle, NodeHandles } from './socket/node-handles.ts';
import { DeadlineQueue } from './connect/deadline-queue.ts';
import { TunnelDrainer } from './tunnel/tunnel-drainer.ts';
import { type DataPathLog, DataPathMessages } from './data-path-messages.ts';
import { UpstreamConnector, type ConnectorOptions } from './connect/connector.ts';
import type { DialContext } from './connect/dial-context.ts';
import type { PassthroughOptions } from './tunnel/options.ts';
import { OwnAddresses } from './own-addresses.ts';
import { ProcessLoad } from './process-load.ts';
import { FlightBuffers } from './connect/flight-buffers.ts';
import { ProxyHeaderReader } from './connect/proxy-header-reader.ts';
import { ReadBuffers } from './socket/read-buffers.ts';
import { ReplayBudget } from './connect/replay-budget.ts';
import { ResponseWatchdog } from './tunnel/response-watchdog.ts';
import { StalledTunnels } from './tunnel/stalled-tunnels.ts';
import { TunnelAges } from './tunnel/tunnel-ages.ts';
import { Tunnel, type TunnelContext, type TunnelRecord, type TunnelView, viewOf } from './tunnel/tunnel.ts';

export type { DataPathLog };

export interface TunnelTableDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: DataPathLog;
  readonly outcomes: OutcomeReporter;
  readonly options: PassthroughOptions;
  /** Shared by the tables of a process: `maxTunnels` holds for all of them together. */
  readonly load?: ProcessLoad;
  readonly ownAddresses?: OwnAddresses;
}

export class TunnelTable implements TrafficReader {
  readonly counters: DataPathCounters = zeroCounters();
  readonly options: PassthroughOptions;
  readonly ownAddresses: OwnAddresses;
  readonly #clock: Clock;
  readonly #messages: DataPathMessages;
  readonly #connections: ConnectionFactory;
  readonly #watchdog: ResponseWatchdog;
  readonly #tunnelContext: TunnelContext;
  readonly #dialContext: DialContext;
  readonly #records = new Map<EndpointId, TunnelRecord>();
  readonly #tunnels = new Set<Tunnel>();
  readonly #load: ProcessLoad;
  readonly #ages: TunnelAges;
  readonly #drainer: TunnelDrainer;
  readonly #stalled: StalledTunnels;
  #closing: Promise<void> | undefined;
  #onNoTunnels: (() => void)[] = [];

  constructor({ clock, random, log, outcomes, options, load, ownAddresses }: TunnelTableDeps) {
    this.options = { ...options };
    this.#clock = clock;
    this.#messages = new DataPathMessages(log, clock);
    this.ownAddresses = ownAddresses ?? new OwnAddresses(clock);
    this.#load = load ?? new ProcessLoad();
    const { memory } = this.#load;
    const buffers = new ReadBuffers(memory);
    this.#connections = new ConnectionFactory(buffers);
    this.#watchdog = new ResponseWatchdog(clock, outcomes, () => this.options.silenceReportMs);
    this.#ages = new TunnelAges(clock, this.options, this.#tunnels);
    this.#drainer = new TunnelDrainer(clock, random, () => this.options.quietMs);
    this.#stalled = new StalledTunnels(clock, memory);
    const { counters } = this;
    this.#tunnelContext = {
      buffers,
      nowMs: () => clock.nowMs(),
      startWaiting: (tunnel, nowMs) => this.#watchdog.add(tunnel, nowMs),
      stopWaiting: (tunnel) => this.#watchdog.remove(tunnel),
      halfClosed: (tunnel) => this.#ages.halfClosed(tunnel),
      stalled: (tunnel) => this.#stalled.add(tunnel),
      keepAlive: (connection) => this.#keepAlive(connection),
      finished: (tunnel) => this.#finished(tunnel),
      count: (reason) => {
        counters.closed[reason] += 1;
      },
    };
    this.#dialContext = {
      clock,
      random,
      outcomes,
      options: this.options,
      counters,
      connections: this.#connections,
      flightBuffers: new FlightBuffers(memory),
      budget: new ReplayBudget(this.options, clock.nowMs()),
      raceDelays: new DeadlineQueue(clock, () => this.options.raceDelayMs),
      flightDelays: new DeadlineQueue(clock, () => this.options.firstFlightTimeoutMs),
      halfOpenDials: 0,
      record: (id) => this.record(id),
      carries: (tunnel, record) => record.tunnels.add(tunnel),
      leaves: (tunnel, record) => record.tunnels.delete(tunnel),
      isOwnAddress: (endpoint) => this.#isOwnAddress(endpoint),
      keepAlive: (connection) => this.#keepAlive(connection),
      isConnectedToItself: (endpoint, connection) => this.#isConnectedToItself(endpoint, connection),
    };
  }

  // --- reading --------------------------------------------------------------------------------------------

  /** Clients at the moment, whatever their phase. */
  get tunnelCount(): number {
    return this.#tunnels.size;
  }

  /** Sockets that the data path holds, of clients and of endpoints. */
  get openSockets(): number {
    return this.#connections.openConnections;
  }

  get halfOpenDials(): number {
    return this.#dialContext.halfOpenDials;
  }

  /** Live numbers of an endpoint; the same object for as long as the endpoint is not forgotten. */
  traffic(id: EndpointId): TunnelRecord {
    return this.record(id);
  }

  records(): IterableIterator<TunnelRecord> {
    return this.#records.values();
  }

  record(id: EndpointId): TunnelRecord {
    let record = this.#records.get(id);
    if (record === undefined) {
      record = new EndpointRecord<Tunnel>(id);
      this.#records.set(id, record);
    }
    return record;
  }

  /** Drops the numbers of an endpoint that is gone from discovery; false while it still has tunnels. */
  forget(id: EndpointId): boolean {
    const record = this.#records.get(id);
    if (record && (record.tunnels.size > 0 || record.dialing > 0)) return false;
    this.#records.delete(id);
    return true;
  }

  /** The sockets of all settled tunnels, so that tests can look at what they hold. */
  connectionsForTest(): Connection[] {
    return [...this.#tunnels].flatMap(({ client, upstream }) => (upstream ? [client, upstream] : [client]));
  }

  list(): TunnelView[] {
    const nowMs = this.#clock.nowMs();
    return [...this.#tunnels].map((tunnel) => viewOf(tunnel, nowMs));
  }

  /**
   * Tunnels whose client's bytes have stayed unanswered for `forMs`. Bytes sent before `sinceMs` (monotonic) do
   * not count: an idle HTTP/2 client's last bytes are often ones that need no answer.
   */
  unansweredFor(id: EndpointId, forMs: number, sinceMs = Number.NEGATIVE_INFINITY): number {
    return this.#unanswered(id, forMs, sinceMs).length;
  }

  /** New connections are made on bare handles from now on; the caller has checked them. */
  useHandles(handles: NodeHandles): void {
    this.#connections.useHandles(handles);
  }

  /** Applies new options; dials and timers that run keep their old values until they end. */
  configure(options: PassthroughOptions): void {
    Object.assign(this.options, options);
  }

  // --- closing --------------------------------------------------------------------------------------------

  /**
   * Resets both sides of the endpoint's tunnels, at once; returns how many. Clients that have not had a byte
   * from it yet are not reset but moved on to their next candidate, when they have one.
   */
  resetEndpoint(id: EndpointId, reason: CloseReason = 'dead'): number {
    const record = this.#records.get(id);
    if (record === undefined) return 0;
    let count = 0;
    for (const tunnel of [...record.tunnels]) {
      if (tunnel.connector?.leaveEndpoint(record)) continue;
      tunnel.reset(reason);
      count += 1;
    }
    return count;
  }

  /** Resets the tunnels that `unansweredFor` counts. */
  resetUnanswered(id: EndpointId, forMs: number, sinceMs = Number.NEGATIVE_INFINITY): number {
    const tunnels = this.#unanswered(id, forMs, sinceMs);
    for (const tunnel of tunnels) tunnel.reset('unanswered');
    return tunnels.length;
  }

  /**
   * Closes the tunnels that the endpoint has now within `windowMs`, at quiet moments where they have one, spread at
   * random; see tunnel-drainer.ts. Tunnels that are opened later are left alone.
   */
  drain(id: EndpointId, { windowMs }: { readonly windowMs: number }): void {
    const record = this.#records.get(id);
    if (record) this.#drainer.start(record, windowMs);
  }

  isDraining(id: EndpointId): boolean {
    const record = this.#records.get(id);
    return record !== undefined && this.#drainer.has(record);
  }

  /** The endpoint is well again: its remaining tunnels stay. */
  cancelDrain(id: EndpointId): void {
    const record = this.#records.get(id);
    if (record) this.#drainer.cancel(record);
  }

  /**
   * Closes the quietest tunnel of the endpoint, for rebalancing; false when none has been quiet for `quietMs`.
   * A tunnel whose client spoke last counts after `longQuietMs` only: its answer may still be on the way.
   */
  closeOneQuiet(id: EndpointId, quietMs = this.options.quietMs, longQuietMs = 60_000): boolean {
    const nowMs = this.#clock.nowMs();
    let quietest: Tunnel | undefined;
    for (const tunnel of this.#records.get(id)?.tunnels ?? []) {
      if (tunnel.isClosing || tunnel.connector) continue;
      const isQuiet = tunnel.isQuiet(nowMs, quietMs) || nowMs - tunnel.lastByteMs >= longQuietMs;
      if (isQuiet && (quietest === undefined || tunnel.lastByteMs < quietest.lastByteMs)) quietest = tunnel;
    }
    quietest?.close('rebalance');
    return quietest !== undefined;
  }

  /**
   * Lets tunnels end by themselves for `graceMs`, then resets them; resolves when every socket is gone. The
   * listeners must have stopped accepting. Idempotent; only a later call with no grace at all ends the wait.
   */
  closeAll(graceMs: number): Promise<void> {
    if (this.#closing && graceMs === 0) for (const resolve of this.#onNoTunnels.splice(0)) resolve();
    this.#closing ??= this.#closeAll(graceMs);
    return this.#closing;
  }

  async #closeAll(graceMs: number): Promise<void> {
    if (this.#tunnels.size > 0 && graceMs > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onNoTunnels.push(resolve);
      const timer = this.#clock.schedule(graceMs, resolve);
      await promise;
      timer.cancel();
    }
    for (const tunnel of [...this.#tunnels]) {
      if (tunnel.isClosing) tunnel.abandon();
      else tunnel.reset('stop');
    }
    await this.#connections.allClosed();
    this.#watchdog.stop();
    this.#dialContext.raceDelays.stop();
    this.#dialContext.flightDelays.stop();
    this.#ages.stop();
    this.#stalled.stop();
    this.#drainer.stop();
  }

  // --- for the listeners ----------------------------------------------------------------------------------

  /** Takes a client, as a raw handle or as a paused half-open socket; resets it when there are too many. */
  accept(connection: ClientHandle | Socket, options: ConnectorOptions): void {
    const isSocket = connection instanceof Socket;
    const client = isSocket
      ? this.#connections.adopt(connection, noOwner)
      : this.#connections.accept(connection, noOwner);
    const { policy } = options;
    if (this.#closing) {
      client.resetAndDestroy();
      return;
    }
    const admission = policy?.accept(() => client.remoteAddress) ?? 'accepted';
    if (admission !== 'accepted' && admission !== 'expects-proxy-header') {
      this.#refuse(client, admission);
      return;
    }
    const { limit, hasRoom } = this.#load.makeRoom(this.options.maxTunnels, policy);
    if (!hasRoom) {
      this.#refuse(client, 'full', limit);
      return;
    }
    if (limit !== undefined) this.#messages.evicted(limit);
    this.counters.accepted += 1;
    const tunnel = new Tunnel(this.#tunnelContext, client);
    if (this.#messages.isDebug) tunnel.shownClient = tunnel.clientText;
    this.#tunnels.add(tunnel);
    tunnel.policy = policy;
    this.#load.add(tunnel);
    this.#ages.add(tunnel);
    if (admission === 'expects-proxy-header') this.#readProxyHeader(tunnel, options);
    else this.#connect(tunnel, options);
  }

  #connect(tunnel: Tunnel, options: ConnectorOptions): UpstreamConnector {
    const connector = new UpstreamConnector(this.#dialContext, options, tunnel);
    tunnel.connector = connector;
    tunnel.client.owner = connector;
    connector.start();
    return connector;
  }

  /** The client begins with a PROXY header; then it is connected like any other. */
  #readProxyHeader(tunnel: Tunnel, options: ConnectorOptions): void {
    const reader = new ProxyHeaderReader(
      this.#clock,
      {
        proxyHeaderRead: (connection, rest) => {
          tunnel.announced = connection;
          if (tunnel.shownClient !== undefined) tunnel.shownClient = tunnel.clientText;
          // A sender that speaks for itself (a health check) has been accepted as a sender.
          if (connection && options.policy?.isAllowed(connection.source.host) === false) {
            this.#messages.notAllowed(connection.source.host);
            tunnel.reset('not-allowed');
            return true;
          }
          const connector = this.#connect(tunnel, options);
          return rest.length === 0 || connector.connectionRead(tunnel.client, rest, rest.length);
        },
        proxyHeaderFailed: (why) => {
          this.#messages.badHeader(tunnel.clientText, why);
          tunnel.reset('proxy-header');
        },
        proxyHeaderLost: () => tunnel.reset('client'),
      },
      this.#load.memory,
    );
    tunnel.connector = reader;
    tunnel.client.owner = reader;
  }

  /** The kernel or Node could not give a listener its next client, most likely for want of descriptors. */
  acceptFailed(address: string, error: Error): void {
    this.counters.acceptFailures += 1;
    this.#messages.acceptFailed(address, error);
  }

  #refuse(client: Connection, why: 'full' | 'not-allowed' | 'gone', limit = 0): void {
    const reason = why === 'full' ? 'limit' : why === 'gone' ? 'client' : why;
    this.counters.closed[reason] += 1;
    if (why === 'full') this.#messages.tooMany(limit);
    if (why === 'not-allowed') this.#messages.notAllowed(client.remoteAddress);
    client.resetAndDestroy();
  }

  #isOwnAddress(endpoint: Endpoint): boolean {
    if (!this.ownAddresses.includes(endpoint)) return false;
    this.#loopRefused(endpoint);
    return true;
  }

  #isConnectedToItself(endpoint: Endpoint, connection: Connection): boolean {
    if (!this.ownAddresses.isEphemeralPort(endpoint.port)) return false;
    if (connection.localPort !== endpoint.port || connection.localAddress !== connection.remoteAddress)
      return false;
    this.#loopRefused(endpoint);
    return true;
  }

  #loopRefused(endpoint: Endpoint): void {
    this.counters.closed.loop += 1;
    this.#messages.loop(endpoint.id);
  }

  // --- bookkeeping ----------------------------------------------------------------------------------------

  #finished(tunnel: Tunnel): void {
    tunnel.record?.tunnels.delete(tunnel);
    this.#drainer.forget(tunnel);
    this.#ages.forget(tunnel);
    this.#stalled.forget(tunnel);
    this.#tunnels.delete(tunnel);
    this.#load.remove(tunnel);
    this.#messages.closed(tunnel);
    if (this.#tunnels.size === 0) for (const resolve of this.#onNoTunnels.splice(0)) resolve();
  }

  #unanswered(id: EndpointId, forMs: number, sinceMs: number): Tunnel[] {
    const nowMs = this.#clock.nowMs();
    const record = this.#records.get(id);
    if (record === undefined) return [];
    return [...record.tunnels].filter(
      (tunnel) =>
        !tunnel.isClosing &&
        tunnel.connector === undefined &&
        tunnel.unansweredSinceMs !== Number.POSITIVE_INFINITY &&
        tunnel.lastUpMs >= sinceMs &&
        nowMs - Math.max(tunnel.unansweredSinceMs, sinceMs) >= forMs,
    );
  }

  #keepAlive(connection: Connection): void {
    const { keepAliveDelayMs, keepAliveIntervalMs, keepAliveCount } = this.options;
    connection.setKeepAlive(true, keepAliveDelayMs, keepAliveIntervalMs, keepAliveCount);
  }
}

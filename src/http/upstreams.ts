// The connections to API servers: a kept-alive agent for each endpoint, and what health wants to know of them.
// Owns every socket to an endpoint.
//
// All TLS options stand on the agent: given with a request they would be part of the agent's key, and each
// request would make a connection of its own. New credentials make new agents; the old ones finish their requests.
import type { ClientRequestArgs } from 'node:http';
import { Agent } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { identityOptions } from '../kubernetes/server-identity.ts';
import { type Clock, judgeAfter } from '../model/clock.ts';
import type { Endpoint, EndpointId } from '../model/endpoint.ts';
import { codeOf } from '../model/error-text.ts';
import type { DialResult, EndpointTraffic, OutcomeReporter, TrafficReader } from '../model/outcome.ts';
import type { HttpOptions } from './options.ts';
import { socketFailure } from '../lib/errno.ts';

/** What API servers are verified by. Never a client's or our own token or certificate. */
export interface UpstreamTrust {
  /** PEM; absent: the runtime's own CAs. */
  readonly ca?: string;
  readonly serverName?: string;
}

/** The certificate of a front proxy (requestHeader in the configuration); connections with it are kept apart. */
export interface FrontProxyPair {
  readonly cert: string;
  readonly key: string;
}

export interface UpstreamsDeps {
  readonly clock: Clock;
  readonly outcomes: OutcomeReporter;
  readonly options: HttpOptions;
  trust(): UpstreamTrust;
}

/** Requests and tunnels that one endpoint has of us. */
class Upstream implements EndpointTraffic {
  readonly sockets = new Set<TLSSocket>();
  /** Sent and without an answer: when each was sent. */
  readonly waiting = new Map<object, number>();
  /** Kept agents, without and with a front proxy's certificate. */
  plain: Agent | undefined;
  fronted: Agent | undefined;
  activeTunnels = 0;
  totalTunnels = 0;
  silenceReportedMs = Number.NEGATIVE_INFINITY;
  #closedUp = 0;
  #closedDown = 0;

  get bytesUp(): number {
    let sum = this.#closedUp;
    for (const socket of this.sockets) sum += socket.bytesWritten;
    return sum;
  }

  get bytesDown(): number {
    let sum = this.#closedDown;
    for (const socket of this.sockets) sum += socket.bytesRead;
    return sum;
  }

  closed(socket: TLSSocket): void {
    if (!this.sockets.delete(socket)) return;
    this.#closedUp += socket.bytesWritten;
    this.#closedDown += socket.bytesRead;
  }
}

/** Sockets whose handshake is done: what was given to any other one has not been sent. */
const connected = new WeakSet<object>();

export function isConnected(socket: Socket | undefined): boolean {
  return socket !== undefined && connected.has(socket);
}

export class Upstreams implements TrafficReader {
  readonly dials = new Map<EndpointId, Record<DialResult, number>>();
  readonly #deps: UpstreamsDeps;
  readonly #upstreams = new Map<EndpointId, Upstream>();
  #frontProxy: FrontProxyPair | undefined;
  #watchdog: { cancel(): void } | undefined;

  constructor(deps: UpstreamsDeps) {
    this.#deps = deps;
  }

  // --- for health, metrics and the picker -----------------------------------------------------------------

  traffic(id: EndpointId): EndpointTraffic {
    return this.#upstream(id);
  }

  ids(): IterableIterator<EndpointId> {
    return this.#upstreams.keys();
  }

  get openSockets(): number {
    let sum = 0;
    for (const { sockets } of this.#upstreams.values()) sum += sockets.size;
    return sum;
  }

  // --- for requests ---------------------------------------------------------------------------------------

  agent(endpoint: Endpoint, isFronted: boolean, isLast: boolean): Agent {
    const upstream = this.#upstream(endpoint.id);
    const key = isFronted ? 'fronted' : 'plain';
    let agent = upstream[key];
    if (agent === undefined) {
      agent = this.#makeAgent(endpoint, isFronted);
      upstream[key] = agent;
    }
    (agent as EndpointAgent).isLast = isLast;
    return agent;
  }

  /** A connection of its own, for an upgrade; `request` options that make `https.request` use it. */
  connection(endpoint: Endpoint, isFronted: boolean, isLast: boolean): { createConnection: () => TLSSocket } {
    const agent = this.agent(endpoint, isFronted, isLast) as EndpointAgent;
    return { createConnection: () => agent.dial({ host: endpoint.host, port: endpoint.port }) };
  }

  started(id: EndpointId): void {
    const upstream = this.#upstream(id);
    upstream.activeTunnels += 1;
    upstream.totalTunnels += 1;
  }

  ended(id: EndpointId): void {
    this.#upstream(id).activeTunnels -= 1;
  }

  /** A request has been sent, and nothing of its answer has come. */
  waits(id: EndpointId, request: object): void {
    this.#upstream(id).waiting.set(request, this.#deps.clock.nowMs());
    this.#watchdog ??= this.#armWatchdog();
  }

  answered(id: EndpointId, request: object): void {
    this.#upstreams.get(id)?.waiting.delete(request);
  }

  // --- for the agent --------------------------------------------------------------------------------------

  /** New connections are made with the credentials of now; requests under way end on the old ones. */
  renew(): void {
    for (const upstream of this.#upstreams.values()) {
      retire(upstream.plain);
      retire(upstream.fronted);
      upstream.plain = undefined;
      upstream.fronted = undefined;
    }
  }

  set frontProxy(pair: FrontProxyPair | undefined) {
    this.#frontProxy = pair;
    this.renew();
  }

  get hasFrontProxy(): boolean {
    return this.#frontProxy !== undefined;
  }

  /** Kept connections without a request are closed: nothing new goes to this endpoint. */
  closeIdle(id: EndpointId): void {
    const upstream = this.#upstreams.get(id);
    for (const agent of [upstream?.plain, upstream?.fronted]) closeFree(agent);
  }

  /** The endpoint is dead: everything on it fails now, and is tried elsewhere where that is safe. */
  reset(id: EndpointId): number {
    const upstream = this.#upstreams.get(id);
    if (upstream === undefined) return 0;
    const { activeTunnels } = upstream;
    for (const socket of [...upstream.sockets]) {
      socket.destroy(Object.assign(new Error('the endpoint is dead'), { code: 'ECONNRESET' }));
    }
    return activeTunnels;
  }

  /** Drops the numbers of an endpoint that is gone from discovery; false while it is in use. */
  forget(id: EndpointId): boolean {
    const upstream = this.#upstreams.get(id);
    if (upstream === undefined) return true;
    if (upstream.activeTunnels > 0) return false;
    retire(upstream.plain);
    retire(upstream.fronted);
    // It may come back before the next look.
    upstream.plain = undefined;
    upstream.fronted = undefined;
    if (upstream.sockets.size > 0) return false;
    this.#upstreams.delete(id);
    this.dials.delete(id);
    return true;
  }

  stop(): void {
    this.#watchdog?.cancel();
    for (const { sockets } of this.#upstreams.values()) for (const socket of [...sockets]) socket.destroy();
  }

  // --- inside ---------------------------------------------------------------------------------------------

  #upstream(id: EndpointId): Upstream {
    let upstream = this.#upstreams.get(id);
    if (upstream === undefined) {
      upstream = new Upstream();
      this.#upstreams.set(id, upstream);
    }
    return upstream;
  }

  #makeAgent(endpoint: Endpoint, isFronted: boolean): Agent {
    const { ca, serverName } = this.#deps.trust();
    const { idleUpstreamMs, maxIdlePerEndpoint } = this.#deps.options;
    const tls = {
      ...identityOptions(endpoint, serverName),
      ...(ca !== undefined && { ca }),
      ...(isFronted && this.#frontProxy),
      rejectUnauthorized: true,
      ALPNProtocols: ['http/1.1'],
    };
    const agent = new EndpointAgent(
      { ...tls, keepAlive: true, maxFreeSockets: maxIdlePerEndpoint, timeout: idleUpstreamMs },
      (socket, isLast) => this.#dialed(endpoint.id, socket, isLast),
    );
    return agent;
  }

  #dialed(id: EndpointId, socket: TLSSocket, isLast: boolean): void {
    const { clock, outcomes, options } = this.#deps;
    const upstream = this.#upstream(id);
    const startedMs = clock.nowMs();
    const limitMs = isLast ? options.lastCandidateTimeoutMs : options.firstFlightTimeoutMs;
    upstream.sockets.add(socket);
    let isSettled = false;
    let hasConnected = false;
    const settle = (result: DialResult): void => {
      if (isSettled) return;
      isSettled = true;
      timer.cancel();
      this.#count(id, result);
      outcomes.dialed(id, result, clock.nowMs() - startedMs);
    };
    const late = (): void => {
      // TCP connects, TLS hangs: a frozen process behind its kernel's backlog.
      if (hasConnected) outcomes.firstFlightUnanswered(id);
      settle('timeout');
      socket.destroy(Object.assign(new Error('no connection in time'), { code: 'ETIMEDOUT' }));
    };
    const watch = () => judgeAfter(clock, limitMs, { onExpired: late, onVoid: () => (timer = watch()) });
    let timer = watch();
    socket.once('connect', () => {
      hasConnected = true;
    });
    socket.once('secureConnect', () => {
      // With a certificate that is not right the socket is destroyed right after this.
      if (socket.destroyed) return;
      connected.add(socket);
      socket.setNoDelay(true);
      settle('connected');
      const { keepAliveDelayMs, keepAliveIntervalMs, keepAliveCount } = options;
      socket.setKeepAlive(true, keepAliveDelayMs, keepAliveIntervalMs, keepAliveCount);
    });
    socket.on('error', (error) => settle(resultOf(codeOf(error))));
    socket.once('close', () => {
      settle('reset');
      upstream.closed(socket);
    });
  }

  #count(id: EndpointId, result: DialResult): void {
    let counts = this.dials.get(id);
    if (counts === undefined) {
      counts = { connected: 0, refused: 0, timeout: 0, unreachable: 0, reset: 0, exhausted: 0 };
      this.dials.set(id, counts);
    }
    counts[result] += 1;
  }

  #armWatchdog(): { cancel(): void } {
    const { clock, outcomes, options } = this.#deps;
    return clock.schedule(options.silenceReportMs, () => {
      const nowMs = clock.nowMs();
      let isAnyWaiting = false;
      for (const [id, upstream] of this.#upstreams) {
        if (upstream.waiting.size === 0) continue;
        isAnyWaiting = true;
        // Insertion order: the first one has waited longest.
        const [sinceMs = nowMs] = upstream.waiting.values();
        const isDue = nowMs - upstream.silenceReportedMs >= 2 * options.silenceReportMs;
        if (!isDue || nowMs - sinceMs < options.silenceReportMs) continue;
        upstream.silenceReportedMs = nowMs;
        outcomes.tunnelSilent(id);
      }
      this.#watchdog = isAnyWaiting ? this.#armWatchdog() : undefined;
    });
  }
}

/** An https.Agent whose connections are seen from their first moment. */
class EndpointAgent extends Agent {
  /** Whether the next connection is for the last candidate of its request. */
  isLast = false;
  readonly #onDial: (socket: TLSSocket, isLast: boolean) => void;

  constructor(
    options: ConstructorParameters<typeof Agent>[0],
    onDial: (socket: TLSSocket, isLast: boolean) => void,
  ) {
    super(options);
    this.#onDial = onDial;
  }

  override createConnection(
    options: ClientRequestArgs,
    callback?: (error: Error | null, stream: TLSSocket) => void,
  ): TLSSocket {
    const socket = super.createConnection(options, callback as never) as TLSSocket;
    this.#onDial(socket, this.isLast);
    return socket;
  }

  /** A connection that the agent does not keep. */
  dial(address: { host: string; port: number }): TLSSocket {
    return this.createConnection({ ...this.options, ...address, timeout: 0 } as ClientRequestArgs);
  }
}

function closeFree(agent: Agent | undefined): void {
  for (const sockets of Object.values(agent?.freeSockets ?? {})) {
    for (const socket of [...(sockets ?? [])]) socket.destroy();
  }
}

function retire(agent: Agent | undefined): void {
  if (agent === undefined) return;
  agent.maxFreeSockets = 0;
  closeFree(agent);
}

/** Codes that are not listed are those of TLS. */
const resultOf = (code: string | undefined): DialResult => socketFailure(code) ?? 'reset';

// What all http listeners of one pool of endpoints share: http-proxy-3, the connections to the endpoints, the
// counters. Requests come in through `serve` and `upgrade`.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { createProxyServer, type ProxyServer } from 'http-proxy-3';
import type { Clock, Random } from '../model/clock.ts';
import type { Endpoint, EndpointId } from '../model/endpoint.ts';
import type { OutcomeReporter } from '../model/outcome.ts';
import type { Logger } from 'pino';
import type { Picker } from '../model/snapshot.ts';
import { RequestPlan } from './request-plan.ts';
import {
  type ClientRequestMessage,
  type ClientResponse,
  Exchange,
  type ExchangeContext,
} from './exchange.ts';
import { type FixedHttpOptions, fixedHttpOptions, type HttpOptions, type HttpSettings } from './options.ts';
import { BodyBudget } from './request-body.ts';
import { verbOf } from './request-check.ts';
import { RequestCounters } from './request-counters.ts';
import type { RequestHeaders } from './request-headers.ts';
import { Upgrade, type UpgradeOptions } from './upgrade.ts';
import { Upstreams, type UpstreamTrust } from './upstreams.ts';
import { type EndableWatch, WatchDrainer } from './watch-drainer.ts';

export type HttpLog = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

export interface ProxyCoreDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: HttpLog;
  readonly outcomes: OutcomeReporter;
  readonly options: HttpSettings & Partial<FixedHttpOptions>;
  readonly picker: Picker;
  /** What API servers are verified by; `renew()` when it has changed. */
  trust(): UpstreamTrust;
  /** In the snapshot of now: takes new requests. */
  isUsable(id: EndpointId): boolean;
  /** Dialling it would lead back to us. */
  isOwnAddress?(endpoint: Endpoint): boolean;
}

export class ProxyCore implements ExchangeContext {
  readonly clock: Clock;
  readonly options: HttpOptions;
  readonly counters = new RequestCounters();
  readonly upstreams: Upstreams;
  readonly budget: BodyBudget;
  readonly proxy: ProxyServer;
  isStopping = false;
  readonly #deps: ProxyCoreDeps;
  readonly #exchanges = new WeakMap<object, Exchange>();
  /** Watches that have begun: they have no end of their own, and may be ended when they are quiet. */
  readonly #watches: WatchDrainer;
  #onIdle: (() => void)[] = [];

  constructor(deps: ProxyCoreDeps) {
    const { clock, outcomes, options } = deps;
    this.#deps = deps;
    this.clock = clock;
    this.options = { ...fixedHttpOptions, ...options };
    this.#watches = new WatchDrainer(clock, deps.random);
    this.budget = new BodyBudget(this.options.maxReplayMemoryBytes);
    this.upstreams = new Upstreams({ clock, outcomes, options: this.options, trust: () => deps.trust() });
    this.proxy = createProxyServer({
      // Paths as the client wrote them, not normalised.
      toProxy: true,
      // A 503 may have to be kept from the client; headers are passed on one by one.
      selfHandleResponse: true,
      secure: true,
      xfwd: false,
    });
    // Without a listener an error would end the process; the call's own callback deals with it.
    this.proxy.on('error', (error) =>
      this.log.debug({ error: error.message }, 'a request failed outside its exchange'),
    );
    this.proxy.on('proxyReq', (upstream, request, _response, _options, socket) => {
      const exchange = this.#exchanges.get(request);
      this.#guard(exchange, () => exchange?.assigned(upstream, socket));
    });
    this.proxy.on('proxyRes', (answer, request) => {
      const exchange = this.#exchanges.get(request);
      if (exchange) this.#guard(exchange, () => exchange.answered(answer));
      else answer.destroy();
    });
  }

  get log(): HttpLog {
    return this.#deps.log;
  }

  plan(): RequestPlan {
    return new RequestPlan(this.#deps.picker, (endpoint) => this.#deps.isOwnAddress?.(endpoint) ?? false);
  }

  isUsable(id: EndpointId): boolean {
    return this.#deps.isUsable(id);
  }

  serve(
    request: ClientRequestMessage,
    response: ClientResponse,
    settings: { headers: RequestHeaders; isFronted: boolean },
  ): void {
    const exchange = new Exchange(this, request, response, settings);
    this.#exchanges.set(request, exchange);
    exchange.run().catch((error: unknown) => this.#broke(exchange, error));
  }

  /** What is thrown in an event of a socket would end the agent. */
  #guard(exchange: Exchange | undefined, step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#broke(exchange, error);
    }
  }

  #broke(exchange: Exchange | undefined, error: unknown): void {
    this.log.error(
      { error: error instanceof Error ? error.stack : String(error) },
      'internal error of the http listener while it handled a request',
    );
    exchange?.broken();
  }

  upgrade(request: IncomingMessage, socket: Socket, head: Buffer, options: UpgradeOptions): void {
    new Upgrade(this, request, socket, head, options).start();
  }

  /** The listener has answered by itself. */
  refused({ method = '', url = '' }: Pick<IncomingMessage, 'method' | 'url'>, code: number): void {
    this.counters.count(verbOf(method, url, false), code, '');
  }

  /** Applies new options; requests under way keep the old ones. */
  configure(options: HttpSettings): void {
    Object.assign(this.options, options);
  }

  watchBegan(watch: EndableWatch): void {
    this.#watches.add(watch);
  }

  watchEnded(watch: EndableWatch): void {
    this.#watches.remove(watch);
  }

  /** Requests finish by themselves; watches are ended within `windowMs`, as an API server ends them in time. */
  drain(id: EndpointId, windowMs: number): void {
    this.upstreams.closeIdle(id);
    this.#watches.drain(id, windowMs);
  }

  cancelDrain(id: EndpointId): void {
    this.#watches.cancelDrain(id);
  }

  /** Ends one watch without recent events, so that its client begins it anew elsewhere; false when there is none. */
  endOneQuietWatch(id: EndpointId): boolean {
    return this.#watches.endOneQuiet(id);
  }

  failed(endpoint: EndpointId, fields: { verb: string; kind: string; code: string | undefined }): void {
    this.log.debug({ endpoint, ...fields }, 'a request failed on an endpoint');
  }

  ended(): void {
    if (this.counters.inFlight === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  /** Resolves when no request is under way, or after `graceMs`. */
  async idle(graceMs: number): Promise<void> {
    if (this.counters.inFlight === 0 || graceMs === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onIdle.push(resolve);
    const timer = this.clock.schedule(graceMs, resolve);
    await promise;
    timer.cancel();
  }

  /** Ends what is under way. The listeners must have stopped. */
  stop(): void {
    for (const resolve of this.#onIdle.splice(0)) resolve();
    this.#watches.stop();
    this.upstreams.stop();
  }
}

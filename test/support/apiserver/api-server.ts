// One stand-in kube-apiserver: its life (starting, ready, stopping, killed), its part in the control plane
// (store, EndpointSlice entry), its switches and its counters. It keeps no objects; the store does.
import { type AnonymousMode, defaultGrants, type Grant, type User } from './access.ts';
import { Exchange, type Request, type Response } from './exchange.ts';
import { type Connection, Listener, type ServerCertificate } from './listener.ts';
import { findKind, keyOf } from './kinds.ts';
import { type Action, goodBehaviour, type Misbehaviour } from './misbehaviour.ts';
import { EndpointReconciler } from './reconciler.ts';
import { distortSlices, handle, type HandlerContext, type Phase } from './request-handler.ts';
import { StatusError, timedOut } from './status.ts';
import type { StoreApi } from './store.ts';
import { between, StoreCheck } from './store-check.ts';
import { Gate, Timers } from './timers.ts';
import { fastTimings, type Timings } from './timings.ts';
import type { WatchStream } from './watch-stream.ts';
import { complete } from './writes.ts';

export type CertificateName = 'good' | 'expired' | 'not-yet-valid' | 'wrong-name' | 'unknown-ca';

/** How SIGTERM is carried out; the defaults are kube-apiserver's. */
export interface ShutdownOptions {
  /** `--shutdown-delay-duration`: /readyz fails for this long while everything else works. */
  readonly delayMs: number;
  /** `--shutdown-send-retry-after`: watches are ended and requests get 429 before the listener closes. */
  readonly sendRetryAfter: boolean;
  /** How long those 429 are given at least. */
  readonly retryAfterMs: number;
}

export interface ApiServerOptions {
  readonly name: string;
  readonly host: string;
  /** 0: any free port; kept for later starts. */
  readonly port: number;
  readonly store: StoreApi;
  readonly certificates: Readonly<Record<CertificateName, ServerCertificate>>;
  readonly clientCa: string;
  readonly tokens?: ReadonlyMap<string, User>;
  readonly anonymous?: AnonymousMode;
  readonly grants?: readonly Grant[];
  readonly timings?: Partial<Timings>;
  readonly shutdown?: Partial<ShutdownOptions>;
}

export interface ApiServerStats {
  readonly phase: Phase;
  readonly connectionsAccepted: number;
  readonly connectionsOpen: number;
  readonly tlsHandshakes: number;
  readonly tlsFailures: number;
  readonly requests: number;
  /** Requests by path, without the query. */
  readonly requestsByPath: Readonly<Record<string, number>>;
  readonly requestsByMethod: Readonly<Record<string, number>>;
  readonly watchesOpen: number;
  readonly watchesTotal: number;
}

const defaultShutdown: ShutdownOptions = { delayMs: 0, sendRetryAfter: false, retryAfterMs: 1_000 };

export class ApiServer {
  readonly name: string;
  readonly host: string;
  readonly #options: ApiServerOptions;
  readonly #timings: Timings;
  readonly #listener: Listener;
  readonly #watches = new Map<WatchStream, Exchange>();
  readonly #writing = new Gate();
  readonly #silence = new Gate();
  readonly #requestsByPath = new Map<string, number>();
  readonly #requestsByMethod = new Map<string, number>();
  #watchesTotal = 0;
  #behaviour: Misbehaviour = goodBehaviour;
  #phase: Phase = 'down';
  #timers = new Timers();
  #reconciler: EndpointReconciler | undefined;
  #storeCheck: StoreCheck;
  #termination: Promise<void> | undefined;

  constructor(options: ApiServerOptions) {
    this.name = options.name;
    this.host = options.host;
    this.#options = options;
    this.#timings = { ...fastTimings, ...options.timings };
    this.#storeCheck = this.#makeStoreCheck();
    this.#listener = new Listener({
      host: options.host,
      port: options.port,
      certificate: options.certificates.good,
      clientCa: options.clientCa,
      idleTimeoutMs: this.#timings.idleMs,
      onRequest: (request, response, connection) => this.#requested(request, response, connection),
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  /** `host:port`, IPv6 in brackets. */
  get address(): string {
    return this.host.includes(':') ? `[${this.host}]:${this.port}` : `${this.host}:${this.port}`;
  }

  get url(): string {
    return `https://${this.address}`;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get behaviour(): Misbehaviour {
    return this.#behaviour;
  }

  /** Takes the port without answering on it, to learn whether it is free; `kill()` gives it back. */
  async bind(): Promise<void> {
    await this.#listener.listen();
  }

  /** Binds and begins to start up; resolves when TCP is accepted. `ready()` waits for the rest. */
  async start(): Promise<void> {
    if (this.#phase !== 'down') return;
    this.#phase = 'silent';
    this.#termination = undefined;
    this.#timers = new Timers();
    this.#storeCheck = this.#makeStoreCheck();
    try {
      if (!this.#behaviour.refuse) await this.#listener.listen();
    } catch (error) {
      this.#phase = 'down';
      throw error;
    }
    const { silentMs } = this.#timings;
    if (silentMs > 0) {
      this.#listener.freeze();
      this.#timers.after(silentMs, () => {
        if (!this.#behaviour.freeze) this.#listener.thaw();
        this.#enterForbidden();
      });
    } else {
      this.#enterForbidden();
    }
  }

  /** Resolves when start-up is over and the server is listed in the EndpointSlice. */
  async ready(): Promise<void> {
    await this.#registered.promise;
  }

  #registered = Promise.withResolvers<void>();

  #enterForbidden(): void {
    const { forbiddenMs, hooksMs } = this.#timings;
    const enterReady = () => {
      this.#phase = 'ready';
      const registerMs = between(this.#timings.registerMs);
      if (registerMs > 0) this.#timers.after(registerMs, () => void this.#register());
      else void this.#register();
    };
    const enterHooks = () => {
      this.#phase = 'hooks';
      if (hooksMs > 0) this.#timers.after(hooksMs, enterReady);
      else enterReady();
    };
    this.#phase = 'forbidden';
    if (forbiddenMs > 0) this.#timers.after(forbiddenMs, enterHooks);
    else enterHooks();
  }

  async #register(): Promise<void> {
    const { store } = this.#options;
    const { leaseMs, reconcileMs } = this.#timings;
    const reconciler = new EndpointReconciler({
      store,
      address: this.host,
      port: this.port,
      leaseMs,
      intervalMs: reconcileMs,
    });
    this.#reconciler = reconciler;
    try {
      await createNamespaces(store);
      await reconciler.start();
    } finally {
      this.#registered.resolve();
    }
  }

  /** As SIGKILL: everything ends at once, the slice keeps its entry until the lease has run out. */
  kill(): void {
    this.#reconciler?.abandon();
    this.#down();
    this.#listener.destroyAll('close');
  }

  /** As SIGTERM; resolves when the process would have ended. */
  terminate(options: Partial<ShutdownOptions> = {}): Promise<void> {
    this.#termination ??= this.#terminate({ ...defaultShutdown, ...this.#options.shutdown, ...options });
    return this.#termination;
  }

  async #terminate({ delayMs, sendRetryAfter, retryAfterMs }: ShutdownOptions): Promise<void> {
    if (this.#phase === 'down') return;
    const timers = this.#timers;
    const { drainMs } = this.#timings;
    this.#phase = 'stopping';
    // With a store that is gone the entry stays; the process does not wait for it.
    const removed = this.#reconciler?.remove();
    if (delayMs > 0) await timers.sleep(delayMs);
    else await timers.within(1_000, removed ?? Promise.resolve(), undefined);
    if (sendRetryAfter) {
      this.#phase = 'refusing';
      this.endWatches();
      await timers.sleep(retryAfterMs);
    }
    this.#listener.refuse();
    this.#listener.closeGracefully();
    await timers.within(drainMs, this.#listener.drained(), undefined);
    this.kill();
  }

  #down(): void {
    this.#phase = 'down';
    this.#timers.stop();
    this.#registered = Promise.withResolvers<void>();
    this.#listener.refuse();
    if (this.#behaviour.freeze) this.#listener.thaw();
    this.#watches.clear();
  }

  /** Changes the given switches and leaves the others. */
  async misbehave(change: Partial<Misbehaviour>): Promise<void> {
    const before = this.#behaviour;
    const now = { ...before, ...change };
    this.#behaviour = now;
    const { certificates } = this.#options;
    const certificate = now.tls === 'garbage' || now.tls === 'silent' ? 'good' : now.tls;
    if (now.tls !== before.tls || now.onConnect !== before.onConnect) {
      this.#listener.behave(now, certificates[certificate]);
    }
    this.#silence.isShut = now.silentWatches;
    this.#writing.isShut = now.freeze;
    this.#reconciler?.pause(now.freeze);
    if (now.freeze && !before.freeze) this.#listener.freeze();
    if (!now.freeze && before.freeze && this.#phase !== 'silent') this.#listener.thaw();
    if (now.refuse) this.#listener.refuse();
    else if (before.refuse && this.#phase !== 'down') await this.#listener.listen();
  }

  /** All switches back to good. */
  async behave(): Promise<void> {
    await this.misbehave(goodBehaviour);
  }

  async act(action: Action): Promise<void> {
    if (action === 'reset-connections') this.#listener.destroyAll('reset');
    else if (action === 'close-connections') this.#listener.destroyAll('close');
    else if (action === 'end-watches') this.endWatches();
    else if (action === 'compact') await this.#options.store.compact();
    else for (const exchange of [...this.#watches.values()]) exchange.destroyConnection('reset');
  }

  /** Ends the open watches with a plain end of the body. */
  endWatches(): void {
    for (const stream of [...this.#watches.keys()]) stream.end();
  }

  stats(): ApiServerStats {
    return {
      phase: this.#phase,
      ...this.#listener.counts,
      connectionsOpen: this.#listener.connectionsOpen,
      requests: [...this.#requestsByMethod.values()].reduce((sum, count) => sum + count, 0),
      requestsByPath: Object.fromEntries(this.#requestsByPath),
      requestsByMethod: Object.fromEntries(this.#requestsByMethod),
      watchesOpen: this.#watches.size,
      watchesTotal: this.#watchesTotal,
    };
  }

  resetStats(): void {
    this.#requestsByPath.clear();
    this.#requestsByMethod.clear();
    this.#watchesTotal = 0;
    Object.assign(this.#listener.counts, { connectionsAccepted: 0, tlsHandshakes: 0, tlsFailures: 0 });
  }

  #requested(request: Request, response: Response, connection: Connection): void {
    const gate = {
      open: () => this.#writing.open(),
      dropAfterBytes: () => (this.#behaviour.dropAfterBytes < 0 ? undefined : this.#behaviour.dropAfterBytes),
    };
    const exchange = new Exchange(request, response, gate, (how) => {
      if (how === 'reset') connection.raw.resetAndDestroy();
      else connection.raw.destroy();
    });
    count(this.#requestsByPath, exchange.path);
    count(this.#requestsByMethod, exchange.method);
    response.setHeader('x-stand-in', this.name);
    void this.#writing.open().then(() => handle(exchange, connection, this.#context()));
  }

  #context(): HandlerContext {
    const { store, tokens = new Map(), anonymous = 'on', grants = defaultGrants } = this.#options;
    const timers = this.#timers;
    return {
      store,
      tokens,
      anonymous,
      grants,
      address: this.address,
      phase: this.#phase,
      behaviour: this.#behaviour,
      bookmarkIntervalMs: this.#timings.bookmarkMs,
      audible: () => this.#silence.open(),
      storePasses: () => this.#storeCheck.passes(),
      sleep: (delayMs) => timers.sleep(delayMs),
      inTime: (operation) => inTime(timers, this.#timings.requestMs, operation),
      distort: (kind, body) => distortSlices(kind, body, this.#behaviour.slices),
      watchOpened: (stream, exchange) => {
        this.#watches.set(stream, exchange);
        this.#watchesTotal += 1;
        exchange.closed.addEventListener('abort', () => this.#watches.delete(stream));
      },
    };
  }

  #makeStoreCheck(): StoreCheck {
    return new StoreCheck(this.#options.store, this.#timers, this.#timings.storeCheck);
  }
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

async function inTime<T>(timers: Timers, limitMs: number, operation: Promise<T>): Promise<T> {
  const late = Symbol('late');
  const result = await timers.within(limitMs, operation, late);
  if (result === late) {
    throw new StatusError(timedOut('Timeout: request did not complete within the allotted timeout'));
  }
  return result as T;
}

async function createNamespaces(store: StoreApi): Promise<void> {
  const kind = findKind('', 'v1', 'namespaces');
  if (!kind) return;
  for (const name of ['default', 'kube-node-lease', 'kube-public', 'kube-system']) {
    const object = complete(kind, { verb: 'create', path: '' }, { metadata: { name } });
    await store.put(keyOf(kind, undefined, name), object, { expect: 'absent' });
  }
}

// One stand-in kube-apiserver: its life (starting, ready, stopping, killed), its part in the control plane
// (store, EndpointSlice entry), its switches and its counters. It keeps no objects; the store does.
import { type AnonymousMode, defaultGrants, type Grant, type User } from './access.ts';
import { Exchange, type Request, type Response } from './exchange.ts';
import { findKind, keyOf } from './kinds.ts';
import { type Connection, Listener, type ServerCertificate } from './listener.ts';
import { type Action, goodBehaviour, type Misbehaviour } from './misbehaviour.ts';
import { OpenWatches } from './open-watches.ts';
import { EndpointReconciler } from './reconciler.ts';
import { RequestCounts } from './request-counts.ts';
import { distortSlices, type HandlerContext, handle, handleUpgrade, type Phase } from './request-handler.ts';
import { type ApiServerStats, defaultShutdown, type ShutdownOptions, type StandIn } from './stand-in.ts';
import { startUp } from './start-up.ts';
import { StatusError, timedOut } from './status.ts';
import type { StoreApi } from './store.ts';
import type { StoreCheckName } from './health.ts';
import { between, StoreCheck } from './store-check.ts';
import { AcceptPolicy, Timers } from './timers.ts';
import { fastTimings, type Timings } from './timings.ts';
import { tokenUsers } from './tokens.ts';
import { complete } from './writes.ts';

export type CertificateName = 'good' | 'expired' | 'not-yet-valid' | 'wrong-name' | 'unknown-ca';

export interface ApiServerOptions {
  readonly name: string;
  readonly host: string;
  /** 0: any free port; kept for later starts. */
  readonly port: number;
  /** Address and port in the EndpointSlice, when they are others than those listened on. */
  readonly advertise?: { readonly host: string; readonly port: number };
  readonly store: StoreApi;
  readonly certificates: Readonly<Record<CertificateName, ServerCertificate>>;
  readonly clientCa: string;
  readonly tokens?: ReadonlyMap<string, User>;
  readonly anonymous?: AnonymousMode;
  readonly grants?: readonly Grant[];
  readonly timings?: Partial<Timings>;
  readonly shutdown?: Partial<ShutdownOptions>;
}

export class ApiServer implements StandIn {
  readonly name: string;
  readonly host: string;
  readonly #options: ApiServerOptions;
  readonly #timings: Timings;
  readonly #listener: Listener;
  readonly #watches = new OpenWatches();
  readonly #requests = new RequestCounts();
  /** Shut while frozen: nothing is written. */
  readonly #writing = new AcceptPolicy();
  /** Shut while watches are to be silent. */
  readonly #silence = new AcceptPolicy();
  #behaviour: Misbehaviour = goodBehaviour;
  #certificates: Readonly<Record<CertificateName, ServerCertificate>>;
  #phase: Phase = 'down';
  #timers = new Timers();
  #storeChecks: Readonly<Record<StoreCheckName, StoreCheck>>;
  #reconciler: EndpointReconciler | undefined;
  #registered = Promise.withResolvers<void>();
  #ended = Promise.withResolvers<void>();
  #isTerminating = false;

  constructor(options: ApiServerOptions) {
    this.name = options.name;
    this.host = options.host;
    this.#options = options;
    this.#certificates = options.certificates;
    this.#timings = { ...fastTimings, ...options.timings };
    this.#storeChecks = this.#makeStoreChecks();
    this.#listener = new Listener({
      host: options.host,
      port: options.port,
      certificate: options.certificates.good,
      clientCa: options.clientCa,
      idleTimeoutMs: this.#timings.idleMs,
      onRequest: (request, response, connection) => this.#requested(request, response, connection),
      onUpgrade: (request, socket, head, connection) => {
        this.#requests.count(request.method ?? '', new URL(request.url ?? '/', this.url).pathname);
        handleUpgrade(request, socket, head, connection, this.#context());
      },
    });
  }

  get port(): number {
    return this.#listener.port;
  }

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
  #makeStoreChecks(): Readonly<Record<StoreCheckName, StoreCheck>> {
    const make = () => new StoreCheck(this.#options.store, this.#timers, this.#timings.storeCheck);
    return { etcd: make(), 'etcd-readiness': make() };
  }

  async bind(): Promise<void> {
    await this.#listener.listen();
  }

  async start(): Promise<void> {
    if (this.#phase !== 'down') return;
    if (!this.#behaviour.refuse) await this.#listener.listen();
    this.#timers = new Timers();
    this.#storeChecks = this.#makeStoreChecks();
    this.#ended = Promise.withResolvers<void>();
    this.#isTerminating = false;
    startUp(this.#timings, this.#timers, (phase) => {
      this.#phase = phase;
      if (phase === 'silent') this.#listener.freeze();
      if (phase === 'forbidden' && !this.#behaviour.freeze) this.#listener.thaw();
      if (phase === 'ready')
        this.#timers.after(between(this.#timings.registerMs), () => void this.#register());
    });
  }

  ready(): Promise<void> {
    return this.#registered.promise;
  }

  async #register(): Promise<void> {
    const { store, advertise = { host: this.host, port: this.port } } = this.#options;
    const { leaseMs, reconcileMs: intervalMs } = this.#timings;
    const { host: address, port } = advertise;
    this.#reconciler = new EndpointReconciler({ store, address, port, leaseMs, intervalMs });
    this.#reconciler.pause(this.#behaviour.freeze);
    try {
      await createNamespaces(store);
      await this.#reconciler.start();
    } catch {
      // The store went away meanwhile; the reconciler's next turn tries again.
    } finally {
      this.#registered.resolve();
    }
  }

  kill(): void {
    this.#phase = 'down';
    this.#timers.stop();
    this.#reconciler?.abandon();
    this.#registered = Promise.withResolvers<void>();
    this.#listener.refuse();
    this.#listener.destroyAll('close');
    this.#listener.thaw();
    this.#behaviour = { ...this.#behaviour, freeze: false };
    this.#writing.isShut = false;
    this.#ended.resolve();
  }

  async terminate(options: Partial<ShutdownOptions> = {}): Promise<void> {
    if (this.#phase === 'down') return;
    if (!this.#isTerminating) {
      this.#isTerminating = true;
      void this.#stop({ ...defaultShutdown, ...this.#options.shutdown, ...options });
    }
    await this.#ended.promise;
  }

  async #stop({ delayMs, sendRetryAfter, retryAfterMs }: ShutdownOptions): Promise<void> {
    const timers = this.#timers;
    // With a store that is gone the entry stays; the process does not wait for it.
    const removed = (this.#reconciler?.remove() ?? Promise.resolve()).catch(() => {});
    if (delayMs > 0) {
      this.#phase = 'delaying';
      await timers.sleep(delayMs);
    } else {
      await timers.within(1_000, removed, undefined);
    }
    if (sendRetryAfter) {
      this.#phase = 'refusing';
      this.#watches.endAll();
      await timers.sleep(retryAfterMs);
    }
    // What was accepted just before the listener closes still gets its 429.
    if (!sendRetryAfter) this.#phase = 'draining';
    this.#listener.refuse();
    this.#listener.closeGracefully();
    await timers.within(this.#timings.drainMs, this.#listener.drained(), undefined);
    this.kill();
  }

  async freeze(): Promise<void> {
    await this.misbehave({ freeze: true });
  }

  async thaw(): Promise<void> {
    await this.misbehave({ freeze: false });
  }

  async misbehave(change: Partial<Misbehaviour>): Promise<void> {
    const before = this.#behaviour;
    const now = { ...before, ...change };
    this.#behaviour = now;
    if (now.tls !== before.tls || now.onConnect !== before.onConnect) {
      this.#serveCertificate();
    }
    this.#silence.isShut = now.silentWatches;
    this.#writing.isShut = now.freeze;
    this.#reconciler?.pause(now.freeze);
    if (now.freeze && !before.freeze) this.#listener.freeze();
    if (!now.freeze && before.freeze && this.#phase !== 'silent') this.#listener.thaw();
    const isRunning = this.#phase !== 'down' && !this.#isTerminating;
    if (now.refuse) this.#listener.refuse();
    else if (before.refuse && isRunning) await this.#listener.listen();
  }

  async behave(): Promise<void> {
    await this.misbehave(goodBehaviour);
  }

  /** From now on new connections are shown this certificate as the good one; open ones stay on theirs. */
  async replaceCertificate(certificate: ServerCertificate): Promise<void> {
    this.#certificates = { ...this.#certificates, good: certificate };
    this.#serveCertificate();
  }

  #serveCertificate(): void {
    const { tls } = this.#behaviour;
    this.#listener.behave(
      this.#behaviour,
      this.#certificates[tls === 'garbage' || tls === 'silent' ? 'good' : tls],
    );
  }

  async act(action: Action): Promise<void> {
    if (action === 'reset-connections') this.#listener.destroyAll('reset');
    else if (action === 'close-connections') this.#listener.destroyAll('close');
    else if (action === 'end-watches') this.#watches.endAll();
    else if (action === 'reset-watches') this.#watches.resetAll();
    else await this.#options.store.compact();
  }

  stats(): ApiServerStats {
    return {
      phase: this.#phase,
      ...this.#listener.counts,
      connectionsOpen: this.#listener.connectionsOpen,
      ...this.#requests.snapshot(),
      ...this.#watches.counts(),
    };
  }

  resetStats(): void {
    this.#requests.reset();
    this.#watches.resetTotal();
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
    this.#requests.count(exchange.method, exchange.path);
    // No real server says so; tests want to know who answered.
    response.setHeader('x-stand-in', this.name);
    // Go's server sends neither Connection nor Keep-Alive: clients get no hint of the idle timeout.
    response.removeHeader('connection');
    void this.#writing.open().then(() => handle(exchange, connection, this.#context()));
  }

  #context(): HandlerContext {
    const { store, tokens = tokenUsers, anonymous = 'on', grants = defaultGrants } = this.#options;
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
      storePasses: (check) => this.#storeChecks[check].passes(),
      sleep: (delayMs) => timers.sleep(delayMs),
      inTime: (operation) => inTime(timers, this.#timings.requestMs, operation),
      distort: (kind, body) => distortSlices(kind, body, this.#behaviour.slices),
      watchOpened: (stream, exchange) => this.#watches.add(stream, exchange),
    };
  }
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

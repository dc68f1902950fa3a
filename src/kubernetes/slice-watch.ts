// Lists and watches the EndpointSlices of the `kubernetes` service, through the endpoints that Fairlead itself
// knows, in pick order: never through the ClusterIP, never through our own listener. Survives everything an
// API server can do; what it learns goes to a sink, and a failure tells the sink nothing, so that nothing
// that is known is ever removed by an error.
//
// One endpoint is followed at a time. When it fails, the next one is tried at once; when all have failed (a
// round), there is a jittered, growing wait. A watch that ends properly continues where it was.
import { jittered, type Timer } from '../model/clock.ts';
import type { Endpoint, EndpointId } from '../model/endpoint.ts';
import type { WatchState } from '../model/status.ts';
import { type ApiFailure, checkServer } from './api-failure.ts';
import { ApiSession } from './api-session.ts';
import type { Credentials } from './credentials.ts';
import { EndpointRotation } from './endpoint-rotation.ts';
import { parseSliceEvent, parseSliceList } from './slice-events.ts';
import {
  defaultWatchTimings,
  type SliceWatchOptions,
  type SliceWatchState,
  type SliceWatchTimings,
} from './slice-watch-options.ts';

/** How following one endpoint ended. */
type Outcome =
  /** The watch ended on request; it continues, perhaps elsewhere. */
  | { readonly kind: 'ended' }
  /** We left, because another endpoint is better. */
  | { readonly kind: 'left' }
  | { readonly kind: 'failed'; readonly failure: ApiFailure };

const longestRetryAfterMs = 60_000;
const logAgainMs = 600_000;
const logChangedMs = 60_000;
/** How often the reason for having no credentials is looked at again. */
const noCredentialsMs = 10_000;

export class SliceWatch {
  readonly #options: SliceWatchOptions;
  readonly #timings: SliceWatchTimings;
  readonly #path: string;
  #state: SliceWatchState = { state: 'connecting', failures: 0 };
  #session: { api: ApiSession; endpoint: Endpoint; credentials: Credentials } | undefined;
  #isEstablished = false;
  #wake: (() => void) | undefined;
  #kickTimer: Timer | undefined;
  #unsubscribe: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #isStopped = false;
  readonly #stopping = Promise.withResolvers<void>();
  /** A kick that came while an attempt was under way: the wait after it is left out. */
  #isKicked = false;

  /** Where the watch continues; undefined: list first. */
  #resourceVersion: string | undefined;
  #listedMs = 0;
  #relistAfterMs = 0;
  readonly #rotation: EndpointRotation;
  /** Extra chances that were given in this round: for a 401 after which credentials had changed, for a 410. */
  #reloads = 0;
  #relists = 0;
  #isWell = false;
  #logged: { message: string; atMs: number } | undefined;

  constructor(options: SliceWatchOptions) {
    this.#options = options;
    this.#timings = options.timings ?? defaultWatchTimings;
    this.#rotation = new EndpointRotation(options.random, this.#timings.backoff);
    const selector = encodeURIComponent(`kubernetes.io/service-name=${options.service}`);
    const namespace = encodeURIComponent(options.namespace);
    this.#path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=${selector}`;
  }

  get state(): SliceWatchState {
    return this.#state;
  }

  start(): void {
    if (this.#running || this.#isStopped) return;
    this.#unsubscribe = this.#options.credentials.subscribe(() => this.#wakeUp());
    this.#running = this.#run().catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'EndpointSlice watch stopped: internal error');
      this.#set({ state: 'connecting', message: 'stopped by an internal error; see the log' });
    });
  }

  /** An endpoint has become ready, or the set or its order has changed: looks again at where to be. */
  kick(): void {
    if (this.#isStopped) return;
    const { isUsable = () => true, order } = this.#options;
    const current = this.#session?.endpoint.id;
    if (this.#wake) {
      const delayMs = this.#options.random() * this.#timings.kickJitterMs;
      this.#kickTimer ??= this.#options.clock.schedule(delayMs, () => {
        this.#kickTimer = undefined;
        this.#wakeUp();
      });
      return;
    }
    this.#isKicked = !this.#isEstablished;
    if (current === undefined) return;
    const better = order().find((endpoint) => endpoint.id !== current && isUsable(endpoint.id));
    if (!better) return;
    const isFirst = order()[0]?.id === current;
    if (!isUsable(current) || (!this.#isEstablished && !isFirst)) this.#leave();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopping.resolve();
    this.#unsubscribe?.();
    this.#kickTimer?.cancel();
    this.#leave();
    this.#wakeUp();
    await this.#running;
  }

  async #run(): Promise<void> {
    await Promise.race([this.#options.credentials.started, this.#stopping.promise]);
    while (!this.#isStopped) {
      const credentials = this.#options.credentials.current;
      if (credentials.kind === 'none' || credentials.unverified !== undefined) {
        await this.#waitForCredentials();
        continue;
      }
      const endpoint = this.#rotation.next(this.#options.order());
      if (endpoint) await this.#after(endpoint, await this.#follow(endpoint, credentials));
      else await this.#endRound();
    }
    this.#leave();
  }

  async #waitForCredentials(): Promise<void> {
    this.#leave();
    const { problem, current } = this.#options.credentials;
    const message = problem?.message ?? current.unverified ?? 'no credentials are configured';
    if (this.#state.state !== 'no-credentials') {
      this.#options.log.warn({ reason: message }, 'no EndpointSlice watch: no usable credentials');
    }
    this.#set({ state: 'no-credentials', message });
    await this.#pause(noCredentialsMs);
  }

  async #endRound(): Promise<void> {
    this.#leave();
    if (this.#options.order().length === 0)
      this.#set({ state: 'connecting', message: 'no endpoint is known' });
    this.#sayIll();
    this.#reloads = 0;
    this.#relists = 0;
    const delayMs = this.#rotation.end();
    const { kickJitterMs } = this.#timings;
    const isKicked = this.#isKicked;
    this.#isKicked = false;
    await this.#pause(isKicked ? Math.min(delayMs, this.#options.random() * kickJitterMs) : delayMs);
  }

  /** Opens or reuses the session to `endpoint`, lists if needed, and watches until something ends it. */
  async #follow(endpoint: Endpoint, credentials: Credentials): Promise<Outcome> {
    const { clock, random, userAgent = 'fairlead' } = this.#options;
    if (this.#session?.endpoint.id !== endpoint.id || this.#session.credentials !== credentials) {
      this.#leave();
      const api = new ApiSession({ endpoint, credentials, clock, userAgent, timings: this.#timings });
      this.#session = { api, endpoint, credentials };
    }
    const { api } = this.#session;
    if (this.#resourceVersion !== undefined && clock.nowMs() - this.#listedMs > this.#relistAfterMs) {
      this.#resourceVersion = undefined;
    }
    if (this.#resourceVersion === undefined) {
      // Version 0 is answered from the API server's own cache: no load on etcd, and an answer without it.
      const answer = await api.get(`${this.#path}&resourceVersion=0`);
      if (!answer.ok) return ended(answer.failure);
      const list = parseSliceList(answer.body);
      if (!list.ok)
        return { kind: 'failed', failure: { kind: 'garbage', text: `${list.problem}; ${checkServer}` } };
      this.#resourceVersion = list.resourceVersion;
      this.#listedMs = clock.nowMs();
      this.#relistAfterMs = jittered(this.#timings.relistMs, 0.2, random);
      this.#options.sink.listed(list.items, clock.wallMs(), endpoint);
      this.#set({ ...this.#state, syncedAtMs: clock.wallMs(), through: endpoint.id });
    }
    return this.#watch(api, endpoint);
  }

  async #watch(api: ApiSession, endpoint: Endpoint): Promise<Outcome> {
    const { clock, random } = this.#options;
    const { minWatchMs, maxWatchMs, watchGraceMs, goodWatchMs } = this.#timings;
    const watchMs = minWatchMs + random() * (maxWatchMs - minWatchMs);
    const query = `&watch=1&allowWatchBookmarks=true&resourceVersion=${this.#resourceVersion}&timeoutSeconds=${Math.ceil(watchMs / 1000)}`;
    let openedMs: number | undefined;
    const failure = await api.watch(this.#path + query, {
      lifeMs: watchMs + watchGraceMs,
      onOpen: () => {
        openedMs = clock.nowMs();
        this.#isEstablished = true;
        this.#confirm(endpoint);
      },
      onLine: (line) => this.#take(line, endpoint),
    });
    this.#isEstablished = false;
    const livedMs = openedMs === undefined ? 0 : clock.nowMs() - openedMs;
    if (livedMs >= goodWatchMs) this.#startAfresh();
    if (failure) return ended(failure);
    // An end without a watch before it would be an endless, fast loop.
    if (livedMs < Math.min(1_000, goodWatchMs)) {
      return { kind: 'failed', failure: { kind: 'reset', text: 'the watch ended immediately' } };
    }
    return { kind: 'ended' };
  }

  /** One line of the watch. */
  #take(line: string, endpoint: Endpoint): ApiFailure | undefined {
    const event = parseSliceEvent(line);
    const atMs = this.#options.clock.wallMs();
    switch (event.type) {
      case 'change':
        this.#resourceVersion = event.resourceVersion ?? this.#resourceVersion;
        this.#options.sink.changed(event.change, event.object, atMs, endpoint);
        this.#confirm(endpoint);
        return undefined;
      case 'bookmark':
        if (this.#isOlder(event.resourceVersion)) {
          // The API server counts from an older revision than we know (restored from a backup).
          this.#resourceVersion = undefined;
          return { kind: 'status', status: 410, text: 'an older resourceVersion' };
        }
        this.#resourceVersion = event.resourceVersion ?? this.#resourceVersion;
        this.#options.sink.confirmed(atMs);
        this.#confirm(endpoint);
        return undefined;
      case 'error':
        return {
          kind: 'status',
          status: event.code,
          text: `the watch reported ${event.code} ${event.reason}`,
          isEvent: true,
        };
      case 'garbage':
        return { kind: 'garbage', text: `${event.problem}; ${checkServer}` };
    }
  }

  #isOlder(version: string | undefined): boolean {
    if (version === undefined || this.#resourceVersion === undefined) return false;
    return BigInt(version) < BigInt(this.#resourceVersion);
  }

  /** Decides what an outcome means for the next attempt. */
  async #after(endpoint: Endpoint, outcome: Outcome): Promise<void> {
    if (this.#isStopped) return;
    if (outcome.kind === 'ended') {
      this.#startAfresh();
      return;
    }
    if (outcome.kind === 'left') {
      this.#set({ state: 'connecting', message: `left ${endpoint.id} for another endpoint` });
      this.#rotation.skip(endpoint.id);
      return;
    }
    const { failure } = outcome;
    const { status } = failure;
    const message = `${endpoint.id}: ${this.#explain(failure)}`;
    this.#options.log.debug({ endpoint: endpoint.id, reason: message }, 'EndpointSlice watch failed');
    this.#set({ state: 'connecting', message, failures: this.#state.failures + 1 });
    // Whatever spoke of our version, or spoke nonsense: only a new list is sure.
    if (failure.kind === 'garbage' || failure.isEvent || status === 410) this.#resourceVersion = undefined;
    if (status === 410 && this.#relists === 0) {
      this.#relists += 1;
      return;
    }
    if (status === 401 && this.#reloads < 2) {
      this.#reloads += 1;
      if (await this.#options.credentials.reload()) return;
    }
    this.#leave();
    this.#rotation.skip(endpoint.id, this.#floorMs(failure));
  }

  /** The wait that an answer asks for. */
  #floorMs({ status, retryAfterMs }: ApiFailure): number {
    // A starting API server says 403 for a moment; only when it stays so is it a matter of rights.
    if (status === 403 && this.#rotation.failedRounds >= 2) return this.#timings.forbiddenMs;
    return Math.min(longestRetryAfterMs, retryAfterMs ?? 0);
  }

  #explain({ status, text, user }: ApiFailure): string {
    const { namespace } = this.#options;
    if (status === 401) return 'HTTP 401: the credentials are not accepted';
    if (status !== 403) return text;
    const who = user === undefined ? 'the credentials' : `user "${user}"`;
    return `HTTP 403: ${who} may not list and watch endpointslices (discovery.k8s.io) in namespace ${namespace}`;
  }

  #startAfresh(): void {
    this.#rotation.reset();
    this.#reloads = 0;
    this.#relists = 0;
  }

  /** The watch is open, or has said something. */
  #confirm(endpoint: Endpoint): void {
    this.#state = {
      state: 'synced',
      syncedAtMs: this.#options.clock.wallMs(),
      through: endpoint.id,
      failures: 0,
    };
    if (!this.#isWell) this.#options.log.info({ endpoint: endpoint.id }, 'watching EndpointSlices');
    this.#isWell = true;
    this.#logged = undefined;
  }

  /** A round has failed; said once, then when the reason changes (at most once a minute), then occasionally. */
  #sayIll(): void {
    this.#isWell = false;
    const { message = '', failures } = this.#state;
    const nowMs = this.#options.clock.nowMs();
    if (this.#logged) {
      const gapMs = message === this.#logged.message ? logAgainMs : logChangedMs;
      if (nowMs - this.#logged.atMs < gapMs) return;
    }
    this.#logged = { message, atMs: nowMs };
    this.#options.log.warn(
      { reason: message, failures },
      'EndpointSlice watch is down; the known endpoints stay in use',
    );
  }

  #set(next: {
    state: WatchState;
    message?: string;
    failures?: number;
    syncedAtMs?: number;
    through?: EndpointId;
  }): void {
    const { syncedAtMs, failures } = this.#state;
    this.#state = { failures, ...(syncedAtMs === undefined ? {} : { syncedAtMs }), ...next };
  }

  #leave(): void {
    const session = this.#session;
    this.#session = undefined;
    this.#isEstablished = false;
    session?.api.close();
  }

  /** Waits; `#wakeUp` ends it. */
  #pause(delayMs: number): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#options.clock.schedule(delayMs, () => this.#wakeUp());
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

function ended(failure: ApiFailure): Outcome {
  return failure.kind === 'closed' ? { kind: 'left' } : { kind: 'failed', failure };
}

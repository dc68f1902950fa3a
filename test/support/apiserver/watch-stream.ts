// One open watch: store events become watch events, in order, with bookmarks, until the time-out, the client
// or the server ends it. Nothing is written while the server is frozen or its watches are silent.
import type { Exchange } from './exchange.ts';
import { apiVersionOf, type Kind } from './kinds.ts';
import type { KubeObject } from './objects.ts';
import type { Matcher } from './selectors.ts';
import type { Status } from './status.ts';
import type { StoreEvent, StoreWatch } from './store.ts';
import { type Representation, represent } from './table.ts';

type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED';

export interface WatchStreamOptions {
  readonly kind: Kind;
  readonly matches: Matcher;
  readonly as: Representation;
  readonly includeObject?: string;
  readonly hasBookmarks: boolean;
  readonly bookmarkIntervalMs: number;
  readonly timeoutMs: number;
  /** Resolves when events may be written. */
  readonly audible: () => Promise<void>;
  /** A last chance to spoil an object on purpose. */
  readonly distort: (kind: Kind, object: unknown) => unknown;
  /** The store's revision; hangs while the store is lost, so that even bookmarks stay away then. */
  readonly storeRevision: () => Promise<number>;
}

export class WatchStream {
  readonly #exchange: Exchange;
  readonly #options: WatchStreamOptions;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #lines: string[] = [];
  #storeWatch: StoreWatch | undefined;
  #isBookmarking = false;
  #hasSentColumns = false;
  #pumping: Promise<void> | undefined;
  #isOver = false;

  constructor(exchange: Exchange, options: WatchStreamOptions) {
    this.#exchange = exchange;
    this.#options = options;
    exchange.closed.addEventListener('abort', () => this.#close());
    if (exchange.isClosed) this.#close();
  }

  /** Sends the headers, so that the client sees an open watch before the first event. */
  async open(): Promise<void> {
    await this.#exchange.begin(200, { 'content-type': 'application/json' }, true);
    if (this.#isOver) return;
    const { timeoutMs, bookmarkIntervalMs, hasBookmarks } = this.#options;
    this.#timers.push(setTimeout(() => this.end(), timeoutMs));
    if (!hasBookmarks) return;
    this.#timers.push(setInterval(() => void this.#bookmarkNow(), bookmarkIntervalMs));
    // Like the watch cache of a real API server: once more shortly before the end.
    if (timeoutMs > 2_000) this.#timers.push(setTimeout(() => void this.#bookmarkNow(), timeoutMs - 2_000));
  }

  /** Takes over the subscription; it is cancelled when the stream ends. */
  attach(storeWatch: StoreWatch): void {
    this.#storeWatch = storeWatch;
    if (this.#isOver) storeWatch.cancel();
  }

  initial(object: KubeObject): void {
    this.#object('ADDED', object);
  }

  event(event: StoreEvent): void {
    const { matches } = this.#options;
    const before = event.previous && matches(event.previous.value);
    const after = event.value !== undefined && matches(event.value);
    if (after) this.#object(before ? 'MODIFIED' : 'ADDED', withRevision(event.value, event.revision));
    else if (before && event.previous)
      this.#object('DELETED', withRevision(event.previous.value, event.revision));
  }

  /** A resourceVersion without news: kind and version, the kind's empty fields, and no name. */
  bookmark(revision: number, annotations?: Record<string, string>): void {
    const { kind, as } = this.#options;
    const metadata = { resourceVersion: String(revision), ...(annotations && { annotations }) };
    const object: KubeObject = {
      kind: kind.kind,
      apiVersion: apiVersionOf(kind),
      metadata,
      ...kind.emptyFields,
    };
    const table = {
      kind: 'Table',
      apiVersion: 'meta.k8s.io/v1',
      metadata,
      columnDefinitions: null,
      rows: [],
    };
    this.#line('BOOKMARK', as === 'table' ? table : represent(kind, object, as));
  }

  async #bookmarkNow(): Promise<void> {
    if (this.#isBookmarking) return;
    this.#isBookmarking = true;
    try {
      // Every event up to this revision has come before the answer.
      this.bookmark(await this.#options.storeRevision());
    } catch {
      // The store is away; the next bookmark comes with the next interval.
    } finally {
      this.#isBookmarking = false;
    }
  }

  error(status: Status): void {
    this.#line('ERROR', status);
  }

  /** A plain end of the body, after what is queued. */
  end(): void {
    if (this.#isOver) return;
    this.#release();
    void this.#pump().then(() => this.#exchange.end());
  }

  #object(type: WatchEventType, object: KubeObject): void {
    const { kind, as, includeObject, distort } = this.#options;
    const hasColumns = !this.#hasSentColumns;
    this.#hasSentColumns = true;
    const shown = represent(kind, object, as, { hasColumns, ...(includeObject && { includeObject }) });
    this.#line(type, distort(kind, shown));
  }

  #line(type: WatchEventType | 'BOOKMARK' | 'ERROR', object: unknown): void {
    if (this.#isOver) return;
    this.#lines.push(`${JSON.stringify({ type, object })}\n`);
    void this.#pump();
  }

  /** Writes the queue in order; a second call waits for the one that is at it. */
  #pump(): Promise<void> {
    this.#pumping ??= this.#write().finally(() => {
      this.#pumping = undefined;
    });
    return this.#pumping;
  }

  async #write(): Promise<void> {
    await this.#options.audible();
    for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
      if (!(await this.#exchange.write(line))) return;
      await this.#options.audible();
    }
  }

  #close(): void {
    this.#release();
    this.#lines.length = 0;
  }

  #release(): void {
    this.#isOver = true;
    this.#storeWatch?.cancel();
    for (const timer of this.#timers) clearTimeout(timer);
  }
}

/** The object as clients see it: with the revision of its last change as resourceVersion. */
export function withRevision(object: KubeObject | undefined, revision: number): KubeObject {
  const { kind, apiVersion, metadata, ...rest } = object ?? { metadata: {} };
  return {
    ...(kind !== undefined && { kind }),
    ...(apiVersion !== undefined && { apiVersion }),
    metadata: { ...metadata, resourceVersion: String(revision) },
    ...rest,
  };
}

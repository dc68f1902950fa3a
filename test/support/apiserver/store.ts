// What stands for etcd: keys with values, one revision counter for all of them, a history of changes for
// watches, compaction, and keys that expire (leases). API servers share it and keep no state of their own.
// It can be lost: then every operation hangs, as with an etcd that is gone, and open watches are silent.
import type { KubeObject } from './objects.ts';

export interface StoredValue {
  readonly key: string;
  readonly value: KubeObject;
  /** Revision of the last change; the resourceVersion of the object. */
  readonly revision: number;
}

export interface StoreEvent {
  readonly type: 'put' | 'delete';
  readonly key: string;
  readonly revision: number;
  /** The value after a put. */
  readonly value?: KubeObject;
  /** The value before, when there was one, and its revision. */
  readonly previous?: StoredValue;
}

export interface PutOptions {
  /** Only when the key is absent (`absent`), present (`present`), or still at this revision. */
  readonly expect?: 'absent' | 'present' | number;
  /** The key expires this long after its last put. */
  readonly ttlMs?: number;
}

export type WriteResult =
  | { readonly ok: true; readonly revision: number; readonly previous?: StoredValue }
  | {
      readonly ok: false;
      readonly reason: 'exists' | 'missing' | 'conflict';
      readonly current?: StoredValue;
    };

export type ListResult =
  | { readonly ok: true; readonly items: readonly StoredValue[]; readonly revision: number }
  | { readonly ok: false; readonly reason: 'compacted'; readonly revision: number };

export type WatchResult =
  | { readonly ok: true; readonly watch: StoreWatch }
  | { readonly ok: false; readonly reason: 'compacted'; readonly revision: number };

export interface StoreWatch {
  /** Idempotent; no event comes after it. */
  cancel(): void;
}

export interface StoreWatcher {
  onEvent(event: StoreEvent): void;
  /** The watch cannot go on: its place in the history is compacted (only over a connection that broke). */
  onLost?(): void;
}

/** What a store writes down, to come back with all of it after a restart. */
export type JournalEntry =
  | { readonly type: 'put'; readonly key: string; readonly value: KubeObject; readonly ttlMs?: number }
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'compact' };

/** The operations, the same in process and over a socket. They hang while the store is lost. */
export interface StoreApi {
  get(key: string): Promise<StoredValue | undefined>;
  /** Values under a prefix in key order, now or as they were at `atRevision`. */
  list(prefix: string, atRevision?: number): Promise<ListResult>;
  put(key: string, value: KubeObject, options?: PutOptions): Promise<WriteResult>;
  delete(key: string, options?: { expect?: number }): Promise<WriteResult>;
  /** Events of a prefix with a revision greater than `afterRevision`. */
  watch(prefix: string, afterRevision: number, watcher: StoreWatcher): Promise<WatchResult>;
  /** Forgets the history up to the current revision: older watches and lists answer "compacted". */
  compact(): Promise<void>;
  /** The current revision; what a health check of the store asks. */
  revision(): Promise<number>;
  /** Releases what the client holds; the shared data stays. Idempotent. */
  close(): Promise<void>;
}

interface Entry extends StoredValue {
  readonly ttlMs?: number;
  readonly expiresAtMs?: number;
}

export interface StoreOptions {
  readonly nowMs?: () => number;
  readonly firstRevision?: number;
  /** Called with every change before it is answered. */
  readonly journal?: ((entry: JournalEntry) => void) | undefined;
}

export class Store implements StoreApi {
  readonly #entries = new Map<string, Entry>();
  readonly #watchers = new Set<{ prefix: string; watcher: StoreWatcher }>();
  readonly #nowMs: () => number;
  readonly #journal: StoreOptions['journal'];
  #history: StoreEvent[] = [];
  #revision: number;
  #compacted: number;
  #outage: { over: Promise<void>; end: () => void } | undefined;

  /** Starts above revision 1, so that "1" is a resourceVersion of the past, as in a cluster that has lived. */
  constructor({ nowMs = () => performance.now(), firstRevision = 100, journal }: StoreOptions = {}) {
    this.#nowMs = nowMs;
    this.#journal = journal;
    this.#revision = firstRevision;
    this.#compacted = firstRevision;
  }

  /** From now on every operation hangs. */
  lose(): void {
    if (this.#outage) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#outage = { over: promise, end: resolve };
  }

  /** Ends the outage: hanging operations are carried out, and leases start anew, as with a new etcd leader. */
  recover(): void {
    for (const entry of this.#entries.values()) {
      if (entry.ttlMs !== undefined) this.#keep(entry, entry.ttlMs);
    }
    this.#outage?.end();
    this.#outage = undefined;
  }

  get isLost(): boolean {
    return this.#outage !== undefined;
  }

  async get(key: string): Promise<StoredValue | undefined> {
    await this.#available();
    this.#expire();
    const entry = this.#entries.get(key);
    return entry && plain(entry);
  }

  async list(prefix: string, atRevision?: number): Promise<ListResult> {
    await this.#available();
    this.#expire();
    const revision = atRevision ?? this.#revision;
    if (revision < this.#compacted) return { ok: false, reason: 'compacted', revision: this.#revision };
    const items = new Map<string, StoredValue>();
    for (const entry of this.#entries.values()) {
      if (entry.key.startsWith(prefix)) items.set(entry.key, plain(entry));
    }
    for (const event of this.#history.toReversed()) {
      if (event.revision <= revision) break;
      if (!event.key.startsWith(prefix)) continue;
      if (event.previous) items.set(event.key, event.previous);
      else items.delete(event.key);
    }
    const sorted = [...items.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
    return { ok: true, items: sorted, revision };
  }

  async put(key: string, value: KubeObject, { expect, ttlMs }: PutOptions = {}): Promise<WriteResult> {
    await this.#available();
    this.#expire();
    const before = this.#entries.get(key);
    const refusal = refuse(before, expect);
    if (refusal) return refusal;
    const revision = this.#set(key, value, ttlMs);
    this.#journal?.({ type: 'put', key, value, ...(ttlMs !== undefined && { ttlMs }) });
    const previous = before && plain(before);
    return { ok: true, revision, ...(previous && { previous }) };
  }

  async delete(key: string, { expect }: { expect?: number } = {}): Promise<WriteResult> {
    await this.#available();
    this.#expire();
    const refusal = refuse(this.#entries.get(key), expect ?? 'present');
    if (refusal) return refusal;
    const previous = plain(this.#entries.get(key)!);
    const revision = this.#remove(previous);
    this.#journal?.({ type: 'delete', key });
    return { ok: true, revision, previous };
  }

  async watch(prefix: string, afterRevision: number, watcher: StoreWatcher): Promise<WatchResult> {
    await this.#available();
    this.#expire();
    if (afterRevision < this.#compacted) return { ok: false, reason: 'compacted', revision: this.#revision };
    const entry = { prefix, watcher };
    for (const event of this.#history) {
      if (event.revision > afterRevision && event.key.startsWith(prefix)) watcher.onEvent(event);
    }
    this.#watchers.add(entry);
    return { ok: true, watch: { cancel: () => this.#watchers.delete(entry) } };
  }

  async compact(): Promise<void> {
    await this.#available();
    this.#compact();
    this.#journal?.({ type: 'compact' });
  }

  /** Repeats journalled changes in a fresh store; leases start anew. */
  replay(entries: Iterable<JournalEntry>): void {
    for (const entry of entries) {
      if (entry.type === 'put') this.#set(entry.key, entry.value, entry.ttlMs);
      else if (entry.type === 'compact') this.#compact();
      else this.#remove(this.#entries.get(entry.key)!);
    }
  }

  async revision(): Promise<number> {
    await this.#available();
    return this.#revision;
  }

  async close(): Promise<void> {}

  async #available(): Promise<void> {
    while (this.#outage) await this.#outage.over;
  }

  #set(key: string, value: KubeObject, ttlMs?: number): number {
    const before = this.#entries.get(key);
    this.#revision += 1;
    const entry: Entry = { key, value, revision: this.#revision };
    if (ttlMs === undefined) this.#entries.set(key, entry);
    else this.#keep(entry, ttlMs);
    const previous = before && plain(before);
    this.#publish({ type: 'put', key, revision: entry.revision, value, ...(previous && { previous }) });
    return entry.revision;
  }

  #compact(): void {
    this.#compacted = this.#revision;
    this.#history = [];
  }

  #keep(entry: Entry, ttlMs: number): void {
    this.#entries.set(entry.key, { ...plain(entry), ttlMs, expiresAtMs: this.#nowMs() + ttlMs });
  }

  /** Leases are looked at when something is asked, so the store needs no timers. */
  #expire(): void {
    const nowMs = this.#nowMs();
    for (const entry of this.#entries.values()) {
      if (entry.expiresAtMs !== undefined && entry.expiresAtMs <= nowMs) {
        this.#remove(plain(entry));
        this.#journal?.({ type: 'delete', key: entry.key });
      }
    }
  }

  #remove({ key, value, revision }: StoredValue): number {
    const previous = { key, value, revision };
    this.#entries.delete(key);
    this.#revision += 1;
    this.#publish({ type: 'delete', key, revision: this.#revision, previous });
    return this.#revision;
  }

  #publish(event: StoreEvent): void {
    this.#history.push(event);
    for (const { prefix, watcher } of [...this.#watchers]) {
      if (event.key.startsWith(prefix)) watcher.onEvent(event);
    }
  }
}

function plain({ key, value, revision }: Entry): StoredValue {
  return { key, value, revision };
}

function refuse(before: Entry | undefined, expect: PutOptions['expect']): WriteResult | undefined {
  if (expect === 'absent' && before) return { ok: false, reason: 'exists', current: plain(before) };
  if (expect === 'present' && !before) return { ok: false, reason: 'missing' };
  if (typeof expect === 'number' && !before) return { ok: false, reason: 'missing' };
  if (typeof expect === 'number' && before && before.revision !== expect)
    return { ok: false, reason: 'conflict', current: plain(before) };
  return undefined;
}

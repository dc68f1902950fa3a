// Keeps the memory of API servers that were once verified (memory.ts): counts the time for which a synced watch has not
// listed them, and keeps them in a file beside the cache that two agents of one node may write. Owns the memory, one
// timer and the file.
import type { Logger } from 'pino';
import type { Clock, Random, Timer } from '../model/clock.ts';
import type { Endpoint, EndpointId } from '../model/endpoint.ts';
import { CacheWriter, memoryFile, readStateFile, readTextOrNothing, writeStateFile } from './cache-file.ts';
import {
  emptyMemory,
  forgetExpired,
  type Memory,
  mergeEntries,
  noteElapsed,
  noteListed,
  noteVerified,
  type RememberedEndpoint,
} from './memory.ts';
import { decodeMemory, encodeMemory } from './memory-format.ts';

export interface RememberingOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** The cache; the memory is kept beside it. Absent: in this process only. */
  readonly cacheFile?: string;
  /** Time of a synced watch without an endpoint after which it is forgotten. */
  readonly rememberForMs: number;
  /** What was remembered before a reload. */
  readonly before?: readonly RememberedEndpoint[];
  isOwnListener(endpoint: Endpoint): boolean;
  /** Something other than the memory proposes it now. */
  isProposed(endpoint: EndpointId): boolean;
  /** The watch is open and has listed. */
  isSynced(): boolean;
  /** Some endpoint is usable: while none is, nothing is forgotten. */
  isAnyUsable(): boolean;
  onChange(entries: readonly RememberedEndpoint[]): void;
}

const tickMs = 60_000;
/** Counted time goes to disk this often: that much of it a killed agent loses. */
const saveEveryMs = 600_000;

export class Remembering {
  readonly #options: RememberingOptions;
  readonly #file: string | undefined;
  readonly #writer: CacheWriter | undefined;
  #memory: Memory = emptyMemory;
  /** The file as last read or written. */
  #base: readonly RememberedEndpoint[] = [];
  #savedMs: number;
  #listed: ReadonlySet<EndpointId> | undefined;
  #tick: Timer | undefined;
  #tickedMs: number;
  #wasSynced = false;
  #isStopped = false;

  constructor(options: RememberingOptions) {
    this.#options = options;
    const { clock, random, log, cacheFile, before = [], isOwnListener } = options;
    this.#tickedMs = this.#savedMs = clock.nowMs();
    this.#file = cacheFile === undefined ? undefined : memoryFile(cacheFile);
    let entries = before;
    if (this.#file !== undefined) {
      this.#base = readStateFile(this.#file, decodeMemory, log, 'the list of remembered endpoints') ?? [];
      entries = mergeEntries([], before, this.#base);
      this.#writer = new CacheWriter({ file: this.#file, clock, random, log, write: () => this.#write() });
    }
    const kept = entries.filter(({ endpoint }) => !isOwnListener(endpoint));
    this.#memory = { ...emptyMemory, entries: kept };
    this.#schedule();
  }

  get entries(): readonly RememberedEndpoint[] {
    return this.#memory.entries;
  }

  verified(endpoint: Endpoint): void {
    this.#become(noteVerified(this.#memory, endpoint, this.#listed?.has(endpoint.id) ?? false));
  }

  /** The synced watch lists these. */
  listed(ids: readonly EndpointId[]): void {
    const now = new Set(ids);
    const next = noteListed(this.#memory, now, this.#listed);
    this.#listed = now;
    this.#become(next);
  }

  /** Writes what the file lacks, and nothing after it. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#tick?.cancel();
    await this.#writer?.stop();
    // Another agent may have written over what this one knows, between its reading and its renaming.
    if (this.#writer) await this.#write().catch(() => {}); // said by the writer, if it lasts
  }

  #become(next: Memory): void {
    const { entries } = this.#memory;
    if (next === this.#memory) return;
    this.#memory = next;
    if (next.entries === entries || this.#isStopped) return;
    this.#options.onChange(next.entries);
    this.#save(true);
  }

  #save(isUrgent: boolean): void {
    this.#savedMs = this.#options.clock.nowMs();
    this.#writer?.saveText(encodeMemory(this.#memory.entries), isUrgent);
  }

  #schedule(): void {
    this.#tick = this.#options.clock.schedule(tickMs, () => {
      if (this.#isStopped) return;
      this.#count();
      this.#schedule();
    });
  }

  #count(): void {
    const { clock, isSynced, isProposed, isAnyUsable, rememberForMs, log } = this.#options;
    const nowMs = clock.nowMs();
    // A process that was stopped for a while has watched nothing meanwhile.
    const elapsedMs = Math.min(nowMs - this.#tickedMs, 2 * tickMs);
    this.#tickedMs = nowMs;
    const wasSynced = this.#wasSynced;
    this.#wasSynced = isSynced();
    if (!wasSynced || !this.#wasSynced || this.#listed === undefined || !isAnyUsable()) return;
    const before = this.#memory;
    const counted = noteElapsed(before, elapsedMs, isProposed);
    const next = forgetExpired(counted, rememberForMs);
    this.#memory = next;
    if (next.entries.length < counted.entries.length) {
      const kept = new Set(next.entries);
      const gone = counted.entries.filter((entry) => !kept.has(entry)).map(({ endpoint }) => endpoint.id);
      log.info({ endpoints: gone }, 'forgetting endpoints that the cluster has not listed for a long time');
      this.#options.onChange(next.entries);
      this.#save(true);
    } else if (next.entries !== before.entries && nowMs - this.#savedMs >= saveEveryMs) this.#save(false);
  }

  /** Reads, merges and writes, as the other agent of an update may have written meanwhile. */
  async #write(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    const there = await readTextOrNothing(file);
    const reading = there === undefined ? undefined : decodeMemory(there);
    const theirs = reading?.ok ? reading.value : [];
    const merged = mergeEntries(this.#base, this.#memory.entries, theirs).filter(
      ({ endpoint }) => !this.#options.isOwnListener(endpoint),
    );
    const text = encodeMemory(merged);
    if (text !== there && (merged.length > 0 || there !== undefined)) await writeStateFile(file, text);
    this.#base = merged;
    this.#adopt(merged);
  }

  /** What the other agent has added or counted. */
  #adopt(merged: readonly RememberedEndpoint[]): void {
    // Meanwhile this agent may have learnt more: what it has keeps its own words.
    const own = new Set(this.#memory.entries.map(({ endpoint }) => endpoint.id));
    const added = merged.filter(({ endpoint }) => !own.has(endpoint.id));
    if (added.length === 0) return;
    const entries = mergeEntries([], this.#memory.entries, added);
    const listed = this.#listed;
    const next = { ...this.#memory, entries };
    this.#memory = listed ? noteListed(next, listed, listed) : next;
    if (!this.#isStopped) this.#options.onChange(this.#memory.entries);
  }
}

// The cache on disk: read once at boot, before anything else answers, and written when the set has really
// changed.
import { renameSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import type { Clock, Random, Timer } from '../model/clock.ts';
import { codeOf, codeOrMessage } from '../model/error-text.ts';
import { type CacheContent, decodeCache, encodeCache } from './cache-format.ts';
import { readFileText, readFileTextSync, UnreadableFile } from '../lib/read-file.ts';
import { removeLeftovers, replaceFile } from '../lib/replace-file.ts';
import type { Parsed } from '../model/endpoint.ts';

/** Where the agents that keep this cache keep what they remember (memory-format.ts says why it is not in the cache). */
export function memoryFile(cacheFile: string): string {
  return `${cacheFile}.remembered`;
}

/**
 * Reads the cache, synchronously: a listener needs endpoints within milliseconds. Undefined when there is
 * none; one that is not as it should be is set aside as `FILE.corrupt`, with a warning.
 */
export function readCache(file: string, log: Pick<Logger, 'warn'>): CacheContent | undefined {
  return readStateFile(file, decodeCache, log, 'the endpoint cache');
}

/** The same for another file of the agent; `what` begins what is logged. */
export function readStateFile<T>(
  file: string,
  decode: (text: string) => Parsed<T>,
  log: Pick<Logger, 'warn'>,
  what: string,
): T | undefined {
  let problem: string;
  try {
    const reading = decode(readFileTextSync(file));
    if (reading.ok) return reading.value;
    problem = reading.problem;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    if (!(error instanceof UnreadableFile) || error.code !== undefined) {
      log.warn({ file, reason: codeOrMessage(error) }, `${what} cannot be read`);
      return undefined;
    }
    problem = `it ${error.reason}`;
  }
  const aside = `${file}.corrupt`;
  log.warn({ file, problem, aside }, `${what} is invalid: moved aside, not used`);
  try {
    renameSync(file, aside);
  } catch (error) {
    log.warn({ file, reason: codeOrMessage(error) }, `${what} cannot be moved aside`);
  }
  return undefined;
}

/** The text of a regular file of bounded size; undefined for anything else. Never rejects. */
export async function readTextOrNothing(file: string): Promise<string | undefined> {
  return readFileText(file).catch(() => undefined);
}

/** Replaces `file` by `text` atomically. Rejects with the system's error. */
export async function writeStateFile(file: string, text: string): Promise<void> {
  // One level only: Node's recursive mkdir never returns where a parent cannot be made (as in /proc).
  await mkdir(dirname(file)).catch(() => {}); // what is wrong, the next call says
  await replaceFile(file, Buffer.from(text), { mode: 0o644 });
  await removeLeftovers(file, Date.now()).catch(() => {}); // litter, no more
}

interface Options {
  readonly file: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly write?: (file: string, text: string) => Promise<void>;
}

/** Changes within this time are written together; jittered upwards by as much again. */
const urgentMs = 1_000;
const patientMs = 30_000;
/** How soon a failed write is tried again; a full disk is not asked often. */
const retryMs = 60_000;

/** Writes what it is given last, only when it differs from what is on disk. */
export class CacheWriter {
  readonly #options: Options;
  #written: string | undefined;
  #wanted: string | undefined;
  #timer: Timer | undefined;
  #dueMs = 0;
  #writing: Promise<void> | undefined;
  #isFailing = false;
  #isStopped = false;

  /** `onDisk`: what was read at boot. */
  constructor(options: Options, onDisk?: CacheContent) {
    this.#options = options;
    this.#written = onDisk && encodeCache(onDisk);
  }

  /** The latest write has failed: the cache on disk is older than what is known. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  /** `isUrgent`: written within seconds; otherwise within a minute, as a pick may change with every fault. */
  save(content: CacheContent, isUrgent = true): void {
    this.saveText(encodeCache(content), isUrgent);
  }

  saveText(text: string, isUrgent = true): void {
    if (this.#isStopped) return;
    if (text === (this.#wanted ?? this.#written)) return;
    this.#wanted = text;
    const { random } = this.#options;
    this.#plan((isUrgent ? urgentMs : patientMs) * (1 + random()));
  }

  /** Writes what is outstanding, and nothing after that. */
  async stop(): Promise<void> {
    if (!this.#isStopped) {
      this.#isStopped = true;
      this.#timer?.cancel();
    }
    await this.#writing;
    if (this.#wanted !== undefined) await this.#write();
  }

  #plan(delayMs: number): void {
    const dueMs = this.#options.clock.nowMs() + delayMs;
    if (this.#timer && this.#dueMs <= dueMs) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    this.#timer = this.#options.clock.schedule(delayMs, () => {
      this.#timer = undefined;
      this.#writing ??= this.#write().finally(() => {
        this.#writing = undefined;
      });
    });
  }

  async #write(): Promise<void> {
    const { file, log, write = writeStateFile } = this.#options;
    const text = this.#wanted;
    this.#wanted = undefined;
    if (text === undefined || text === this.#written) return;
    try {
      await write(file, text);
      this.#written = text;
      if (this.#isFailing) log.info({ file }, 'the endpoint cache can be written again');
      this.#isFailing = false;
    } catch (error) {
      const reason = codeOrMessage(error);
      if (!this.#isFailing) log.warn({ file, reason }, 'the endpoint cache cannot be written');
      this.#isFailing = true;
      this.#wanted ??= text;
    }
    if (this.#wanted === undefined || this.#isStopped) return;
    this.#plan((this.#isFailing ? retryMs : urgentMs) * (1 + this.#options.random()));
  }
}

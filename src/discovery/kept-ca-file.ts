// The CA that has verified an API server last, kept beside the cache file: it keeps verifying after a restart while
// the configured one cannot be read. Public data only. Owns the file.
import { stat } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { KeptCa } from '../kubernetes/credentials.ts';
import { readCa } from '../kubernetes/pem.ts';
import { readFileText } from '../lib/read-file.ts';
import type { Clock } from '../model/clock.ts';
import { codeOf, codeOrMessage, messageOf } from '../model/error-text.ts';
import { writeStateFile } from './cache-file.ts';

/** Where the CA of the pool with this cache file is kept. */
export const keptCaPath = (cacheFile: string): string => `${cacheFile}.ca.pem`;

/** A full disk is not asked often. */
const retryMs = 60_000;
const maxBytes = 1 << 20;

export interface KeptCaOptions {
  readonly cacheFile: string;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly write?: (file: string, text: string) => Promise<void>;
}

export class KeptCaFile {
  readonly #options: KeptCaOptions;
  readonly #file: string;
  /** What the file holds, as far as this process knows. */
  #written: string | undefined;
  #writing: Promise<void> | undefined;
  #failedMs = Number.NEGATIVE_INFINITY;
  #warned = '';

  constructor(options: KeptCaOptions) {
    this.#options = options;
    this.#file = keptCaPath(options.cacheFile);
  }

  /** Undefined when none is kept, or what is kept is not a CA. */
  async read(): Promise<KeptCa | undefined> {
    const file = this.#file;
    try {
      const ca = readCa({ text: await readFileText(file), where: file });
      return { ca, file, writtenMs: (await stat(file)).mtimeMs };
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') this.#warn('the kept copy of the CA cannot be read', messageOf(error));
      return undefined;
    }
  }

  /** `ca` has verified an API server. Returns at once; what fails is tried again, not too soon. */
  keep(ca: string): void {
    const { clock } = this.#options;
    if (ca === this.#written || this.#writing || ca.length > maxBytes) return;
    if (clock.nowMs() - this.#failedMs < retryMs) return;
    this.#writing = this.#write(ca).finally(() => {
      this.#writing = undefined;
    });
  }

  /** Waits for a write that is under way. */
  async stop(): Promise<void> {
    await this.#writing;
  }

  async #write(ca: string): Promise<void> {
    const { write = writeStateFile, log, clock } = this.#options;
    try {
      // Its time says since when this CA verifies: a restart changes nothing.
      const before = this.#written === undefined ? await this.read() : undefined;
      if (before?.ca !== ca) {
        await write(this.#file, ca);
        log.info({ file: this.#file }, 'saved a copy of the CA that verifies the API servers');
      }
      this.#written = ca;
      this.#warned = '';
    } catch (error) {
      this.#failedMs = clock.nowMs();
      this.#warn('cannot save a copy of the CA', codeOrMessage(error));
    }
  }

  #warn(message: string, reason: string): void {
    if (reason === this.#warned) return;
    this.#warned = reason;
    this.#options.log.warn({ file: this.#file, reason }, message);
  }
}

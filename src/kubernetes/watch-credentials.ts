// Keeps credentials current: they rotate under us (kubelet's certificate by symlink, projected tokens every
// hour, whole kubeconfigs when a node joins). Owns the current value; a reading that does not hold together
// is reported and leaves the one before in use.
//
// Polling, not fs.watch: inotify does not see through the symlink swaps of projected volumes reliably, and a
// few stat calls every ten seconds cost nothing.
import type { Logger } from 'pino';
import { type Clock, jittered, type Random, type Timer } from '../model/clock.ts';
import type { HostPort } from '../model/endpoint.ts';
import type { FairleadError } from '../model/errors.ts';
import { type Credentials, type CredentialSource, noCredentials } from './credentials.ts';
import {
  type CredentialOptions,
  type ExecSlot,
  loadCredentials,
  type LoadedCredentials,
} from './load-credentials.ts';
import { fileSignature } from './read-file.ts';

export interface CredentialWatch extends CredentialSource {
  stop(): Promise<void>;
}

interface Dependencies {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** How often files are looked at; ten seconds by default. */
  readonly pollMs?: number;
}

/** While nothing has been read yet (a node that is joining has no kubelet.conf) we look more often. */
const joiningPollMs = 2_000;
/** Least time between two forced readings. */
const minReloadGapMs = 1_000;
const minExecReloadGapMs = 10_000;

/** Starts reading at once; `current` is `noCredentials` until the first reading that holds together. */
export function watchCredentials(
  options: CredentialOptions,
  { clock, random, log, pollMs = 10_000 }: Dependencies,
): CredentialWatch {
  const listeners = new Set<(next: Credentials) => void>();
  const files = new Set<string>();
  let slot: ExecSlot = {};
  let current = noCredentials;
  let server: HostPort | undefined;
  let problem: FairleadError | undefined;
  let warned = '';
  let hasLoaded = false;
  let signature: string | undefined;
  let timer: Timer | undefined;
  let running: Promise<boolean> | undefined;
  let forced: Promise<boolean> | undefined;
  let reloadedMs: number | undefined;
  let isStopped = false;

  function take(loaded: LoadedCredentials): boolean {
    if (problem) log.info({ was: problem.message }, 'credentials can be read again');
    problem = undefined;
    const text = loaded.warnings.join('\n');
    if (text !== warned && text !== '')
      log.warn({ warnings: loaded.warnings }, 'parts of the credentials are not used');
    warned = text;
    const isSame = hasLoaded && contentOf(loaded.credentials, loaded.server) === contentOf(current, server);
    hasLoaded = true;
    if (isSame) return false;
    current = loaded.credentials;
    server = loaded.server;
    log.info({ kind: current.kind, hasCa: current.ca !== undefined }, 'credentials loaded');
    for (const listener of [...listeners]) listener(current);
    return true;
  }

  async function read(): Promise<boolean> {
    const seen = new Set<string>();
    // Taken before reading: a change while we read shows as another signature next time.
    const before = await signatureOf(files);
    try {
      const loaded = await loadCredentials(options, seen, slot, clock.wallMs());
      if (isStopped) return false;
      signature = sameFiles(files, seen) ? before : undefined;
      return take(loaded);
    } catch (error) {
      if (isStopped) return false;
      signature = sameFiles(files, seen) ? before : undefined;
      const next = error as FairleadError;
      if (next.message !== problem?.message) {
        log.warn({ err: next, mend: next.mend }, 'credentials cannot be read, the earlier ones stay in use');
      }
      problem = next;
      return false;
    } finally {
      for (const file of seen) files.add(file);
      for (const file of files) if (!seen.has(file)) files.delete(file);
    }
  }

  /** One reading at a time. */
  async function readOnce(): Promise<boolean> {
    if (isStopped) return false;
    running ??= read().finally(() => {
      running = undefined;
    });
    return running;
  }

  /** A forced reading does not share one that was under way before: that one may have seen the old files. */
  async function readForced(): Promise<boolean> {
    const changed = running ? await running : false;
    if (changed || isStopped) return changed;
    slot.plugin?.stop();
    slot = {};
    return readOnce();
  }

  function reload(): Promise<boolean> {
    // Every probe and the watch may ask after the same 401; an exec plugin is too dear to run for each.
    const gapMs = slot.plugin ? minExecReloadGapMs : minReloadGapMs;
    if (!forced && reloadedMs !== undefined && clock.nowMs() - reloadedMs < gapMs)
      return Promise.resolve(false);
    forced ??= readForced().finally(() => {
      forced = undefined;
      reloadedMs = clock.nowMs();
    });
    return forced;
  }

  async function poll(): Promise<void> {
    const isUnchanged = signature !== undefined && signature === (await signatureOf(files));
    // A plugin's credentials expire without any file changing; it is asked, and answers from its cache.
    const mustAsk = slot.plugin !== undefined || (problem !== undefined && current.kind === 'exec');
    if (!isStopped && (!isUnchanged || mustAsk)) await readOnce();
    plan();
  }

  function plan(): void {
    if (isStopped) return;
    const baseMs = hasLoaded ? pollMs : Math.min(joiningPollMs, pollMs);
    timer = clock.schedule(jittered(baseMs, 0.2, random), () => void poll());
  }

  const started = readOnce().then(plan);
  return {
    get current() {
      return current;
    },
    get server() {
      return server;
    },
    get problem() {
      return problem;
    },
    started,
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    reload,
    async stop() {
      isStopped = true;
      timer?.cancel();
      listeners.clear();
      slot.plugin?.stop();
      await Promise.all([running, forced]);
    },
  };
}

function contentOf(
  { kind, ca, cert, key, token, serverName }: Credentials,
  server: HostPort | undefined,
): string {
  return JSON.stringify([kind, ca, cert, key, token, serverName, server]);
}

async function signatureOf(files: ReadonlySet<string>): Promise<string> {
  const parts = await Promise.all([...files].map(async (file) => `${file} ${await fileSignature(file)}`));
  return parts.sort().join('\n');
}

function sameFiles(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((file) => b.has(file));
}

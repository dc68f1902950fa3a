// Keeps credentials current: they rotate under us (kubelet's certificate by symlink, projected tokens every
// hour, whole kubeconfigs when a node joins). Owns the current value; a part that cannot be read is reported, and
// its value before stays in use.
//
// Polling, not fs.watch: inotify does not see through the symlink swaps of projected volumes reliably, and a
// few stat calls every ten seconds cost nothing.
import type { Logger } from 'pino';
import { type Clock, jittered, type Random, type Timer } from '../model/clock.ts';
import type { HostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import { problemKinds } from '../model/problems.ts';
import { beingRead, type CredentialProblem, type GoodParts, useParts } from './credential-parts.ts';
import { type Credentials, type CredentialSource, type KeptCa, noCredentials } from './credentials.ts';
import {
  asksForVerification,
  assemble,
  type CredentialOptions,
  type CredentialReading,
  type ExecSlot,
  readCredentials,
} from './load-credentials.ts';
import { fileFingerprint } from '../lib/file-fingerprint.ts';

export interface CredentialWatch extends CredentialSource {
  /** What the configuration asks for and cannot be read. */
  readonly problems: readonly CredentialProblem[];
  /** In use because the configured CA cannot be read; since when, wall time. */
  readonly keptCa: (KeptCa & { readonly sinceMs: number }) | undefined;
  /** The last good value of each part, for a successor with the same options. */
  readonly good: GoodParts;
  stop(): Promise<void>;
}

interface Dependencies {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** How often files are looked at; ten seconds by default. */
  readonly pollMs?: number;
  /** The CA that is kept on disk; asked for only while the configured one cannot be read. */
  readonly kept?: () => Promise<KeptCa | undefined>;
  /** What a predecessor with the same options has read. */
  readonly good?: GoodParts;
  /** What is in use until the first reading has ended. */
  readonly initial?: Credentials;
}

/** While not everything has been read yet (a node that is joining has no kubelet.conf) we look more often. */
const joiningPollMs = 2_000;
/** Least time between two forced readings. */
const minReloadGapMs = 1_000;
const minExecReloadGapMs = 10_000;

/** Starts reading at once; `current` is `initial` until the first reading has ended. */
export function watchCredentials(
  options: CredentialOptions,
  { clock, random, log, pollMs = 10_000, kept = async () => undefined, ...before }: Dependencies,
): CredentialWatch {
  const listeners = new Set<(next: Credentials) => void>();
  const files = new Set<string>();
  let slot: ExecSlot = {};
  let current = before.initial ?? unread(options);
  let good: GoodParts = before.good ?? {};
  let server = good.place?.server;
  let keptCa: (KeptCa & { readonly sinceMs: number }) | undefined;
  let problems: readonly CredentialProblem[] = [];
  let warned = '';
  let hasTaken = false;
  let hasLoaded = false;
  let fingerprint: string | undefined;
  let timer: Timer | undefined;
  let running: Promise<boolean> | undefined;
  let forced: Promise<boolean> | undefined;
  let reloadedMs: number | undefined;
  let isStopped = false;

  /** True when the content has changed. */
  async function take(reading: CredentialReading): Promise<boolean> {
    const { serverName } = options;
    const inUse = await useParts(reading, good, { serverName, kept });
    if (isStopped) return false;
    say(inUse.problems, reading.warnings);
    good = inUse.good;
    problems = inUse.problems;
    keptCa = inUse.keptCa && { ...inUse.keptCa, sinceMs: keptCa?.sinceMs ?? clock.wallMs() };
    const isSame = contentOf(inUse.credentials, inUse.server) === contentOf(current, server);
    const isFirst = !hasTaken;
    hasTaken = true;
    hasLoaded ||= problems.length === 0;
    if (isSame && !isFirst) return false;
    current = inUse.credentials;
    server = inUse.server;
    log.info({ kind: current.kind, hasCa: current.ca !== undefined }, 'credentials loaded');
    for (const listener of [...listeners]) listener(current);
    return true;
  }

  function say(next: readonly CredentialProblem[], warnings: readonly string[]): void {
    const known = new Set(problems.map(({ message }) => message));
    for (const { code, message } of next) {
      if (known.has(message)) continue;
      const { fix } = problemKinds[code];
      log.warn({ code, reason: message, fix }, 'part of the credentials cannot be read');
    }
    if (problems.length > 0 && next.length === 0)
      log.info({ was: problems.map(({ message }) => message) }, 'credentials can be read again');
    const text = warnings.join('\n');
    if (text !== warned && text !== '') log.warn({ warnings }, 'parts of the credentials are ignored');
    warned = text;
  }

  /** An exec plugin may take half a minute; the CA is known meanwhile. */
  function takeCaFirst(parts: Omit<CredentialReading, 'identity'>): void {
    if (isStopped || current.unverified === undefined || parts.ca.state !== 'read') return;
    const { ca, place } = parts;
    const named = place.state === 'read' ? place.value : {};
    const name = options.serverName ?? named.serverName;
    current = assemble({ ca: ca.value, ...(name !== undefined && { serverName: name }) });
    server = named.server;
    for (const listener of [...listeners]) listener(current);
  }

  async function read(): Promise<boolean> {
    const seen = new Set<string>();
    // Taken before reading: a change while we read shows as another fingerprint next time.
    const before = await fingerprintOf(files);
    const reading = await readCredentials(options, seen, slot, clock.wallMs(), takeCaFirst);
    for (const file of seen) files.add(file);
    if (isStopped) return false;
    fingerprint = sameFiles(files, seen) ? before : undefined;
    for (const file of files) if (!seen.has(file)) files.delete(file);
    return take(reading);
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
    const isUnchanged = fingerprint !== undefined && fingerprint === (await fingerprintOf(files));
    // A plugin's credentials expire without any file changing; it is asked, and answers from its cache.
    const mustAsk = slot.plugin !== undefined || (problems.length > 0 && current.kind === 'exec');
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
      if (problems.length === 0) return undefined;
      const all = problems.map(({ message }) => message).join('; ');
      return new FairleadError('KUBECONFIG_INVALID', all);
    },
    get problems() {
      return problems;
    },
    get keptCa() {
      return keptCa;
    },
    get good() {
      return good;
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

/** What is known of credentials before any has been read: whether there will be a CA. */
function unread(options: CredentialOptions): Credentials {
  return asksForVerification(options) ? { kind: 'none', unverified: beingRead } : noCredentials;
}

function contentOf(credentials: Credentials, server: HostPort | undefined): string {
  const { kind, ca, cert, key, token, serverName, unverified, isSystemTrusted } = credentials;
  return JSON.stringify([kind, ca, cert, key, token, serverName, unverified, isSystemTrusted, server]);
}

async function fingerprintOf(files: ReadonlySet<string>): Promise<string> {
  const parts = await Promise.all([...files].map(async (file) => `${file} ${await fileFingerprint(file)}`));
  return parts.sort().join('\n');
}

function sameFiles(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((file) => b.has(file));
}

// The credentials of one pool of endpoints, and what is wrong with them: read from the configured places, the CA kept
// on disk once it has verified something, and what the configuration asks for and the agent does not have.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { credentialOptions } from './options.ts';
import type { PoolConfig } from '../config/config.ts';
import { KeptCaFile } from '../discovery/kept-ca-file.ts';
import type { ProbeTarget } from '../health/probe.ts';
import { canVerify, type Credentials, noCredentials } from '../kubernetes/credentials.ts';
import {
  asksForVerification,
  type CredentialOptions,
  defaultServiceAccountDir,
} from '../kubernetes/load-credentials.ts';
import type { SliceWatchState } from '../kubernetes/slice-watch-options.ts';
import { type CredentialWatch, watchCredentials } from '../kubernetes/watch-credentials.ts';
import type { Clock, Random } from '../model/clock.ts';
import type { HostPort } from '../model/endpoint.ts';
import { problemKinds } from '../model/problems.ts';
import { formatReason, type JudgedEndpoint } from '../model/snapshot.ts';
import type { StatusKeptCa, StatusProblem } from '../model/status.ts';

interface Deps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** KUBERNETES_SERVICE_HOST, in a pod. */
  readonly serviceHost?: string;
  /** Other credentials are in use. `isTokenOnly`: connections that are open stay good. */
  changed(isTokenOnly: boolean): void;
}

/** What the problems are told from. */
export interface ProblemFacts {
  readonly asksForVerification: boolean;
  readonly credentials: Credentials;
  readonly read: CredentialWatch['problems'];
  /** Undefined: no watch is wanted. */
  readonly watch: SliceWatchState | undefined;
  /** An API server has been verified since the start. */
  readonly hasVerified: boolean;
  readonly endpoints: readonly JudgedEndpoint[];
}

type Problem = Omit<StatusProblem, 'pool'>;

/** What the configuration asks for and the agent does not have. Pure. */
export function problemsOfPool(facts: ProblemFacts): Problem[] {
  const { credentials, read, watch, endpoints } = facts;
  const found = [...read];
  // Without credentials, or with nothing to verify by, the reason is above.
  const mayWatch = credentials.kind !== 'none' && canVerify(credentials);
  if (watch && mayWatch && watch.syncedAtMs === undefined) {
    const message = `the EndpointSlice watch has never worked: ${watch.message ?? watch.state}`;
    found.push({ code: 'WATCH_NOT_SYNCED', message, isSinceStart: true });
  }
  if (facts.asksForVerification && !facts.hasVerified) {
    const [first] = endpoints;
    const shown = first ? `; ${first.endpoint.id}: ${formatReason(first.reason)}` : '';
    const message = `no API server has been verified${shown}`;
    found.push({ code: 'ENDPOINTS_UNVERIFIED', message, isSinceStart: true });
  }
  return found.map((problem) => ({ ...problem, fix: problemKinds[problem.code].fix }));
}

export class PoolCredentials {
  readonly #deps: Deps;
  #options: CredentialOptions = {};
  #check: ProbeTarget['check'] = 'https';
  #watch: CredentialWatch | undefined;
  /** Undefined without a cache file: then there is no directory for state. */
  #kept: KeptCaFile | undefined;
  #hasVerified = false;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  get current(): Credentials {
    return this.#watch?.current ?? noCredentials;
  }

  /** The server of the kubeconfig, when there is one. */
  get server(): HostPort | undefined {
    return this.#watch?.server;
  }

  /** The API servers of this pool are to be verified. */
  get isVerificationAsked(): boolean {
    return this.#check === 'https' && asksForVerification(this.#options);
  }

  /** Starts reading; what was in use before stays so until then. */
  start(config: PoolConfig): CredentialWatch {
    const { clock, random, log, serviceHost, changed } = this.#deps;
    const serviceAccount = {
      dir: defaultServiceAccountDir,
      exists: existsSync(join(defaultServiceAccountDir, 'token')),
      ...(serviceHost !== undefined && { host: serviceHost }),
    };
    const options = credentialOptions(config, serviceAccount);
    const { cacheFile } = config.discovery;
    const kept = cacheFile === undefined ? undefined : new KeptCaFile({ cacheFile, clock, log });
    const before = this.#watch;
    const isSame = isDeepStrictEqual(options, this.#options);
    const watch = watchCredentials(options, {
      ...{ clock, random, log },
      ...(kept && { kept: () => kept.read() }),
      ...(before && { initial: before.current }),
      ...(before && isSame && { good: before.good }),
    });
    let used = watch.current;
    watch.subscribe((next) => {
      // Projected tokens rotate every 48 minutes: a handshake for each would cost the API servers of a large fleet more
      // than all checks do.
      const isTokenOnly = isDeepStrictEqual({ ...used, token: '' }, { ...next, token: '' });
      used = next;
      changed(isTokenOnly);
    });
    if (!isSame) this.#hasVerified = false;
    this.#options = options;
    this.#check = config.health.check;
    this.#kept = kept;
    this.#watch = watch;
    return watch;
  }

  /** What a new health check shows, and verifies by. */
  target(): Pick<ProbeTarget, 'credentials' | 'isVerified' | 'unverified' | 'onVerified'> {
    const credentials = this.current;
    const { ca, unverified } = credentials;
    return {
      credentials,
      isVerified: canVerify(credentials),
      ...(unverified !== undefined && { unverified }),
      onVerified: () => {
        this.#hasVerified = true;
        // A CA counts as good once it has verified something.
        if (ca !== undefined && ca === this.#watch?.good.ca) this.#kept?.keep(ca);
      },
    };
  }

  /** `watch`: undefined where none is wanted. */
  problems(watch: SliceWatchState | undefined, endpoints: readonly JudgedEndpoint[]): Problem[] {
    return problemsOfPool({
      asksForVerification: this.isVerificationAsked,
      credentials: this.current,
      read: this.#watch?.problems ?? [],
      watch,
      hasVerified: this.#hasVerified,
      endpoints,
    });
  }

  /** The kept CA that verifies in place of the configured one. */
  get keptCa(): StatusKeptCa | undefined {
    const kept = this.#watch?.keptCa;
    if (!kept) return undefined;
    const { file, writtenMs, sinceMs } = kept;
    return { file, writtenAt: new Date(writtenMs).toISOString(), since: new Date(sinceMs).toISOString() };
  }

  /** Reads everything again now. */
  reload(): void {
    void this.#watch?.reload();
  }

  async stop(): Promise<void> {
    await this.#watch?.stop();
    await this.#kept?.stop();
  }
}

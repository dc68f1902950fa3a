// Endpoints that are configured by name, resolved again and again: every few seconds while no endpoint is usable. A
// failed or empty answer changes nothing; the last good answer of each name stands.
//
// The system's resolver is asked (getaddrinfo: /etc/hosts counts, as for every other client on the node). It has no
// cancellation and occupies a thread of libuv's pool, of which it never gets more than half (libuv's limit for slow
// work): reading and writing files continues beside resolvers that hang. A name is never resolved again while an answer is
// due, and one that waits behind hanging ones for a while is looked up in /etc/hosts here.
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Logger } from 'pino';
import { type Clock, jittered, type Random, type Timer } from '../model/clock.ts';
import { type Endpoint, type HostPort, makeEndpoint, type SourceName } from '../model/endpoint.ts';
import { codeOf, messageOf } from '../model/error-text.ts';
import { lookupInHosts } from './hosts-lookup.ts';
import type { Propose, Source } from './source.ts';
import { type Backoff, grownMs } from '../lib/backoff.ts';

/** Every address of a name, both families; rejects when there is none, or when it is not wanted any more. */
export type Lookup = (host: string, isWanted?: () => boolean) => Promise<readonly string[]>;

/**
 * Lookups that the process gives to the resolver at a time: as many as libuv starts. What waits in libuv's queue holds up
 * the end of the process; what waits here does not.
 */
const maxLookups = 2;

/** Lets `most` lookups run at a time, first come, first served. */
export function inTurns(most: number, ask: Lookup): Lookup {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (host, isWanted = () => true) => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      if (!isWanted()) throw new Error('not wanted any more');
      return await ask(host);
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
}

export const systemLookup: Lookup = inTurns(maxLookups, async (host) =>
  (await lookup(host, { all: true, order: 'verbatim' })).map(({ address }) => address),
);

export interface NameSource extends Source {
  /** True: no endpoint is usable. Names are resolved again at once, then soon, until it is false. */
  setUrgent(isUrgent: boolean): void;
}

export interface DnsSourceOptions {
  /** In whose name the addresses are proposed: `dns`, or `kubeconfig` for the server of a kubeconfig. */
  readonly source?: Extract<SourceName, 'dns' | 'kubeconfig'>;
  readonly names: readonly HostPort[];
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly lookup?: Lookup;
  /** What /etc/hosts says, without the resolver; empty when it says nothing. */
  readonly hosts?: Lookup;
  readonly isUrgent?: boolean;
}

/** After a failure the next look comes sooner than the interval, but not at once. */
const retryMs = 5_000;
/** While no endpoint is usable: from one look to the next, growing. */
const urgent: Backoff = { firstMs: 2_000, capMs: 15_000, factor: 1.5 };
/** A resolver without an answer for this long hangs. */
const hangsAfterMs = 2_000;
/** What one name may give; a load balancer's name has a handful. */
const maxAddresses = 32;

export function dnsSource(options: DnsSourceOptions): NameSource {
  const { source = 'dns', names, intervalMs, clock, random, log } = options;
  const { lookup: ask = systemLookup, hosts = lookupInHosts } = options;
  const good = new Map<HostPort, readonly Endpoint[]>();
  const failing = new Set<HostPort>();
  /** Absent while an answer is due. */
  const timers = new Map<HostPort, Timer>();
  /** Running while an answer is due. */
  const hanging = new Map<HostPort, Timer>();
  const askedMs = new Map<HostPort, number>();
  let isUrgent = options.isUrgent ?? false;
  /** Lookups since it became urgent, by name. */
  const urgentLookups = new Map<HostPort, number>();
  let propose: Propose = () => {};
  let isStopped = false;

  function take(name: HostPort, addresses: readonly string[]): boolean {
    const found = addresses
      .filter((address) => isIP(address) && !address.includes('%'))
      .slice(0, maxAddresses);
    if (found.length === 0) return false;
    good.set(
      name,
      found.map((address) => makeEndpoint(address, name.port, { name: name.host })),
    );
    if (failing.delete(name)) log.info({ name: name.host }, 'a name resolves again');
    propose({ source, endpoints: [...good.values()].flat() });
    return true;
  }

  async function resolve(name: HostPort): Promise<void> {
    timers.delete(name);
    askedMs.set(name, clock.nowMs());
    lookInHostsSoon(name);
    let isGood = false;
    try {
      const addresses = await ask(name.host, () => !isStopped);
      if (isStopped) return;
      if (!take(name, addresses)) throw new Error('no address');
      isGood = true;
    } catch (error) {
      if (isStopped) return;
      const reason = codeOf(error) ?? messageOf(error);
      // Said once per outage: a resolver that is down stays down for a while.
      if (!failing.has(name))
        log.warn({ name: name.host, reason }, 'a name does not resolve; its last addresses stay in use');
      failing.add(name);
    } finally {
      hanging.get(name)?.cancel();
      hanging.delete(name);
    }
    schedule(name, jittered(delayMs(name, isGood), 0.2, random));
  }

  /** For as long as the resolver hangs, or others hang before this name has its turn. */
  function lookInHostsSoon(name: HostPort): void {
    const timer = clock.schedule(hangsAfterMs, () => {
      void hosts(name.host)
        .catch(() => [])
        .then((addresses) => {
          if (isStopped || hanging.get(name) !== timer) return;
          take(name, addresses);
          lookInHostsSoon(name);
        });
    });
    hanging.set(name, timer);
  }

  function delayMs(name: HostPort, isGood: boolean): number {
    const usualMs = isGood ? intervalMs : Math.min(retryMs, intervalMs);
    if (!isUrgent) return usualMs;
    const count = urgentLookups.get(name) ?? 0;
    urgentLookups.set(name, count + 1);
    return Math.min(usualMs, grownMs(count + 1, urgent));
  }

  function schedule(name: HostPort, afterMs: number): void {
    timers.get(name)?.cancel();
    timers.set(
      name,
      clock.schedule(afterMs, () => void resolve(name)),
    );
  }

  return {
    start(to) {
      propose = to;
      for (const name of names) void resolve(name);
    },
    setUrgent(next) {
      const isNew = next && !isUrgent;
      isUrgent = next;
      if (!isNew || isStopped) return;
      urgentLookups.clear();
      for (const name of names) {
        if (!timers.has(name)) continue;
        // An endpoint that comes and goes does not make a name be asked more often than that.
        const sinceMs = clock.nowMs() - (askedMs.get(name) ?? Number.NEGATIVE_INFINITY);
        schedule(name, Math.max(0, jittered(urgent.firstMs, 0.2, random) - sinceMs));
      }
    },
    async stop() {
      isStopped = true;
      for (const timer of [...timers.values(), ...hanging.values()]) timer.cancel();
    },
  };
}

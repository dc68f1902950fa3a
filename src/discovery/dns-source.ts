// Endpoints that are configured by name, resolved again and again. A failed or empty answer changes nothing;
// the last good answer of each name stands.
//
// The system's resolver is asked (getaddrinfo: /etc/hosts counts, as for every other client on the node). It
// has no cancellation and occupies a thread, so a name is never asked again while an answer is due.
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Logger } from 'pino';
import { type Clock, jittered, type Random, type Timer } from '../model/clock.ts';
import { type Endpoint, type HostPort, makeEndpoint, type SourceName } from '../model/endpoint.ts';
import { codeOf, messageOf } from '../model/error-text.ts';
import type { Propose, Source } from './source.ts';

/** Every address of a name, both families; rejects when there is none. */
export type Lookup = (host: string) => Promise<readonly string[]>;

export const systemLookup: Lookup = async (host) =>
  (await lookup(host, { all: true, order: 'verbatim' })).map(({ address }) => address);

export interface DnsSourceOptions {
  /** In whose name the addresses are proposed: `dns`, or `kubeconfig` for the server of a kubeconfig. */
  readonly source?: Extract<SourceName, 'dns' | 'kubeconfig'>;
  readonly names: readonly HostPort[];
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly lookup?: Lookup;
}

/** After a failure the next look comes sooner than the interval, but not at once. */
const retryMs = 5_000;
/** What one name may give; a load balancer's name has a handful. */
const maxAddresses = 32;

export function dnsSource(options: DnsSourceOptions): Source {
  const { source = 'dns', names, intervalMs, clock, random, log, lookup: ask = systemLookup } = options;
  const good = new Map<HostPort, readonly Endpoint[]>();
  const failing = new Set<HostPort>();
  const timers = new Map<HostPort, Timer>();
  let isStopped = false;

  async function look(name: HostPort, propose: Propose): Promise<void> {
    let isGood = false;
    try {
      const addresses = (await ask(name.host)).filter((address) => isIP(address) && !address.includes('%'));
      if (isStopped) return;
      if (addresses.length === 0) throw new Error('no address');
      isGood = true;
      if (failing.delete(name)) log.info({ name: name.host }, 'a name resolves again');
      const found = addresses.slice(0, maxAddresses);
      good.set(
        name,
        found.map((address) => makeEndpoint(address, name.port, { name: name.host })),
      );
      propose({ source, endpoints: [...good.values()].flat() });
    } catch (error) {
      if (isStopped) return;
      const reason = codeOf(error) ?? messageOf(error);
      // Said once per outage: a resolver that is down stays down for a while.
      if (!failing.has(name))
        log.warn({ name: name.host, reason }, 'a name does not resolve, its last addresses stay');
      failing.add(name);
    }
    const delayMs = isGood ? intervalMs : Math.min(retryMs, intervalMs);
    timers.set(
      name,
      clock.schedule(jittered(delayMs, 0.2, random), () => void look(name, propose)),
    );
  }

  return {
    start(propose) {
      for (const name of names) void look(name, propose);
    },
    async stop() {
      isStopped = true;
      for (const timer of timers.values()) timer.cancel();
    },
  };
}

// The addresses of our own listeners, so that no dial leads back to ourselves. Discovery leaves such endpoints
// out with a warning; this is the last line, for addresses that appear on the host later.
import { readFileSync } from 'node:fs';
import type { Clock } from '../model/clock.ts';
import { messageOf } from '../model/error-text.ts';
import {
  canonicalHost,
  type Endpoint,
  type EndpointId,
  formatHostPort,
  type HostPort,
} from '../model/endpoint.ts';
import { isLoopback, isWildcard } from '../model/host.ts';
import { interfaceAddresses } from '../model/own-listener.ts';

/** Addresses of the host change rarely; asking costs a syscall or more. */
const refreshMs = 10_000;

/**
 * The addresses of this host, looked at again after a while. Where the system refuses to tell (a sandbox without
 * AF_NETLINK), the last known ones: an agent that starts without is better than none. `log` is told once.
 */
export function cachedHostAddresses(
  clock: Pick<Clock, 'nowMs'>,
  log?: { warn(fields: object, message: string): void },
  read: () => readonly string[] = interfaceAddresses,
): () => ReadonlySet<string> {
  let addresses = new Set<string>();
  let readMs = Number.NEGATIVE_INFINITY;
  let isUnknown = false;
  return () => {
    const nowMs = clock.nowMs();
    if (nowMs - readMs < refreshMs) return addresses;
    readMs = nowMs;
    try {
      addresses = new Set(read().map(canonicalHost));
      isUnknown = false;
    } catch (error) {
      if (!isUnknown) {
        const fields = { reason: messageOf(error) };
        log?.warn(
          fields,
          'cannot read the addresses of this host: allow AF_NETLINK for the process (systemd: RestrictAddressFamilies)',
        );
      }
      isUnknown = true;
    }
    return addresses;
  };
}

export class OwnAddresses {
  readonly #hostAddresses: () => ReadonlySet<string>;
  readonly #exact = new Map<EndpointId, number>();
  /** Ports bound on all addresses. */
  readonly #wildcardPorts = new Map<number, number>();

  constructor(clock: Clock, hostAddresses = cachedHostAddresses(clock)) {
    this.#hostAddresses = hostAddresses;
  }

  add(address: HostPort): void {
    if (isWildcard(address.host)) bump(this.#wildcardPorts, address.port, 1);
    else bump(this.#exact, formatHostPort(address), 1);
  }

  remove(address: HostPort): void {
    if (isWildcard(address.host)) bump(this.#wildcardPorts, address.port, -1);
    else bump(this.#exact, formatHostPort(address), -1);
  }

  includes({ id, host, port }: Endpoint): boolean {
    if (this.#exact.has(id)) return true;
    if (!this.#wildcardPorts.has(port)) return false;
    if (isWildcard(host) || isLoopback(host)) return true;
    return this.#hostAddresses().has(host);
  }

  /** Dialling a free local port of the ephemeral range can be answered by the dialling socket itself. */
  isEphemeralPort(port: number): boolean {
    this.#ephemeralFrom ??= firstEphemeralPort();
    return port >= this.#ephemeralFrom;
  }
  #ephemeralFrom: number | undefined;
}

/** The lower end of net.ipv4.ip_local_port_range; 1024 where it cannot be read. */
function firstEphemeralPort(): number {
  try {
    return Number.parseInt(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), 10) || 1024;
  } catch {
    return 1024;
  }
}

function bump<K>(counts: Map<K, number>, key: K, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}

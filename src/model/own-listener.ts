// Recognises endpoints that lead back to Fairlead itself: dialling one would be an endless loop.
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Endpoint, HostPort } from './endpoint.ts';
import { isLocalhost, isLoopback, isWildcard, plainAddress } from './host.ts';

/** The addresses of this host's interfaces. */
export function interfaceAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((entry) => entry.address));
}

/**
 * Whether a connection to `endpoint` would end at one of `listeners` (as bound, with their real ports).
 * Other addresses of the host are not ours: an API server may hold 10.0.0.1:6443 while Fairlead holds
 * 127.0.0.1:6443. `localAddresses` is asked only for a listener on every address.
 */
export function ownListenerCheck(
  listeners: readonly HostPort[],
  localAddresses: () => Iterable<string>,
): (endpoint: Pick<Endpoint, 'host' | 'port'>) => boolean {
  const own = listeners.map(({ host, port }) => ({ host: plainAddress(host), port }));
  return (endpoint) => {
    const host = plainAddress(endpoint.host);
    return own.some((listener) => {
      if (listener.port !== endpoint.port) return false;
      if (listener.host === host || isWildcard(host)) return true;
      if (isLocalhost(listener.host) && isLocalhost(host)) return true;
      if (!isWildcard(listener.host)) return false;
      if (listener.host === '0.0.0.0' && isIPv6(host)) return host === '::1';
      return isLoopback(host) || [...localAddresses()].some((address) => plainAddress(address) === host);
    });
  };
}

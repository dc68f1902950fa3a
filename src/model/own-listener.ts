// Recognises endpoints that lead back to Fairlead itself: dialling one would be an endless loop.
import { isIPv4, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { canonicalHost, type Endpoint, type HostPort } from './endpoint.ts';

/** An IPv4 address written as IPv6 reaches the same socket. */
function plain(host: string): string {
  const canonical = canonicalHost(host);
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(canonical)?.[1];
  return mapped && isIPv4(mapped) ? mapped : canonical;
}

const isUnspecified = (host: string) => host === '0.0.0.0' || host === '::';
const isLoopback = (host: string) => host.startsWith('127.') || host === '::1';
/** What `localhost` may resolve to: one listener on it stands for both. */
const isLocalhost = (host: string) => host === '127.0.0.1' || host === '::1';

function interfaceAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((entry) => entry.address));
}

/**
 * Whether a connection to `endpoint` would end at one of `listeners` (as bound, with their real ports).
 * Other addresses of the host are not ours: an API server may hold 10.0.0.1:6443 while Fairlead holds
 * 127.0.0.1:6443. `localAddresses` is asked only for a listener on every address.
 */
export function ownListenerCheck(
  listeners: readonly HostPort[],
  localAddresses: () => readonly string[] = interfaceAddresses,
): (endpoint: Pick<Endpoint, 'host' | 'port'>) => boolean {
  const own = listeners.map(({ host, port }) => ({ host: plain(host), port }));
  return (endpoint) => {
    const host = plain(endpoint.host);
    return own.some((listener) => {
      if (listener.port !== endpoint.port) return false;
      if (listener.host === host || isUnspecified(host)) return true;
      if (isLocalhost(listener.host) && isLocalhost(host)) return true;
      if (!isUnspecified(listener.host)) return false;
      if (listener.host === '0.0.0.0' && isIPv6(host)) return host === '::1';
      return isLoopback(host) || localAddresses().some((address) => plain(address) === host);
    });
  };
}

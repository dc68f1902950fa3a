// Which addresses stay on this host, and which endpoints would be our own listener: relaying to
// ourselves is a loop that ends with every file descriptor used up.
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import type { HostPort } from '../model/endpoint.ts';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** True for 127.0.0.0/8, ::1, their IPv4-mapped forms and the name `localhost`. */
export function isLoopback(host: string): boolean {
  if (isIPv4(host)) return loopback.check(host, 'ipv4');
  // A BlockList looks through IPv4-mapped IPv6 addresses by itself.
  if (isIPv6(host)) return loopback.check(host, 'ipv6');
  return host === 'localhost' || host.endsWith('.localhost');
}

/** True for the addresses that mean "every address of this host". */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/**
 * True when a connection to `address` would arrive at `listener`. Other addresses of this host cannot
 * be told from here when the listener is a wildcard; the agent compares them with its interfaces.
 */
export function reaches(address: HostPort, listener: HostPort): boolean {
  if (address.port !== listener.port || listener.port === 0) return false;
  if (address.host === listener.host) return true;
  if (isWildcard(address.host)) return isLoopback(listener.host) || isWildcard(listener.host);
  if (!isLoopback(address.host)) return false;
  // `localhost` may resolve to either family.
  return (
    isWildcard(listener.host) || (!isIPv4(address.host) && !isIPv6(address.host) && isLoopback(listener.host))
  );
}

// Which addresses stay on this host, and which mean all of it.
import { BlockList, isIPv4, isIPv6 } from 'node:net';

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

// What an address or a name of a host means: whether it stays on this host, means all of it, or is a name at all. In the
// model, because endpoints and listeners are compared by it; the text of an address is in endpoint.ts.
import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';
import { canonicalHost } from './endpoint.ts';

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

/** True for the name `localhost` and what it may resolve to: one listener on it stands for both. */
export function isLocalhost(host: string): boolean {
  return host === '127.0.0.1' || host === '::1' || host === 'localhost';
}

/** True for the addresses that mean "every address of this host". */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** Where a listener on `host` is reached from this host: a loopback address for one on every address. */
export function reachableAt(host: string): string {
  if (!isWildcard(host)) return host;
  return host === '::' ? '::1' : '127.0.0.1';
}

/** Without a zone and without IPv6 clothes: an IPv4 address written as IPv6 reaches the same socket. */
export function plainAddress(host: string): string {
  const canonical = canonicalHost(host.split('%')[0] ?? '');
  const mapped = canonical.startsWith('::ffff:') ? canonical.slice('::ffff:'.length) : '';
  return isIPv4(mapped) ? mapped : canonical;
}

/** `[fd00::5]` of a URL as `fd00::5`. */
export function withoutBrackets(host: string): string {
  return host.replace(/^\[|\]$/g, '');
}

/** True for a name that may stand in /etc/hosts or a certificate (RFC 1123), not for an address. */
export function isHostName(text: string): boolean {
  const hostName = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i;
  return isIP(text) === 0 && hostName.test(text);
}

// Endpoints: the address and port of one kube-apiserver. Immutable data, no I/O.
import { isIP, isIPv6, SocketAddress } from 'node:net';

/** `host:port`, IPv6 in brackets: the identity of an endpoint everywhere (logs, metrics, cache). */
export type EndpointId = string;

/** What proposes endpoints; `memory`: they were verified and ready once, and nothing else proposes them now. */
export type SourceName = 'static' | 'cache' | 'watch' | 'dns' | 'kubeconfig' | 'memory';

/** The address of one kube-apiserver. `host` is always an IP literal in canonical form. */
export interface Endpoint {
  readonly id: EndpointId;
  readonly host: string;
  readonly port: number;
  /** The DNS name that resolved to `host`, when a name was configured. */
  readonly name?: string;
  /** Topology zone, when discovery knows it. */
  readonly zone?: string;
}

/** A `HOST:PORT` as configured: `host` is an IP literal or a DNS name, never with brackets. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string };

/** Canonical text of an IP literal (IPv6 compressed, lower case, IPv4-mapped kept); other text unchanged. */
export function canonicalHost(host: string): string {
  if (!isIPv6(host)) return host.toLowerCase();
  return new SocketAddress({ address: host, family: 'ipv6' }).address;
}

/** `host:port` with IPv6 in brackets. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Builds an endpoint from an IP literal and a port; the caller has checked both. */
export function makeEndpoint(
  host: string,
  port: number,
  extra: { name?: string; zone?: string } = {},
): Endpoint {
  const canonical = canonicalHost(host);
  return { id: formatHostPort({ host: canonical, port }), host: canonical, port, ...extra };
}

const dnsName =
  /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*\.?$/i;

/** True for a name that can be resolved, with or without the dot at its end; for an IPv4 address too. */
export function isDnsName(text: string): boolean {
  return dnsName.test(text);
}

/**
 * Parses `HOST:PORT` or, with a default port, `HOST`. IPv6 needs brackets when a port follows; a bare
 * IPv6 literal is taken with the default port. Port 0 is refused unless `allowPortZero` (tests bind it).
 */
export function parseHostPort(
  text: string,
  { defaultPort, allowPortZero = false }: { defaultPort?: number; allowPortZero?: boolean } = {},
): Parsed<HostPort> {
  const trimmed = text.trim();
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(trimmed);
  let host: string;
  let portText: string | undefined;
  if (bracketed) {
    host = bracketed[1] ?? '';
    portText = bracketed[2];
    if (!isIPv6(host)) return { ok: false, problem: `"${host}" in brackets is not an IPv6 address` };
  } else if (isIPv6(trimmed)) {
    host = trimmed;
  } else {
    const colon = trimmed.indexOf(':');
    if (colon !== trimmed.lastIndexOf(':')) {
      return {
        ok: false,
        problem: `"${trimmed}" is not HOST:PORT; IPv6 needs brackets, as in [fd00::5]:6443`,
      };
    }
    host = colon < 0 ? trimmed : trimmed.slice(0, colon);
    portText = colon < 0 ? undefined : trimmed.slice(colon + 1);
  }
  const looksNumeric = /^[\d.]+$/.test(host);
  if (isIP(host) === 0 && (looksNumeric || !isDnsName(host))) {
    return { ok: false, problem: `"${host}" is neither an IP address nor a DNS name` };
  }
  if (portText === undefined) {
    if (defaultPort === undefined) return { ok: false, problem: `"${trimmed}" has no port; write HOST:PORT` };
    return { ok: true, value: { host: canonicalHost(host), port: defaultPort } };
  }
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : Number.NaN;
  if (!(port <= 65535) || (port === 0 && !allowPortZero)) {
    return { ok: false, problem: `port "${portText}" is not a number from 1 to 65535` };
  }
  return { ok: true, value: { host: canonicalHost(host), port } };
}

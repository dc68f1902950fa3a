// The PROXY protocol, version 2 (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt): a header in front of
// a connection's bytes that says whose connection it really is. Built and parsed here; pure.
import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import type { HostPort } from './endpoint.ts';
import { plainAddress } from './host.ts';

/** Both ends of the connection that is passed on. */
export interface ProxiedConnection {
  readonly source: HostPort;
  readonly destination: HostPort;
}

export type ParsedProxyHeader =
  /** So far it can become a header. */
  | { readonly kind: 'partial' }
  | {
      readonly kind: 'complete';
      readonly byteCount: number;
      /** Undefined: the sender speaks for itself (a health check), or for something that is not TCP. */
      readonly connection: ProxiedConnection | undefined;
    }
  | { readonly kind: 'bad'; readonly why: string };

const signature = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const fixedBytes = 16;
const local = 0x20;
const proxy = 0x21;
const tcp4 = 0x11;
const tcp6 = 0x21;
const [addressBytes4, addressBytes6] = [12, 36];

/** Longest header that is read: addresses and what senders add (names, TLS details). The format allows 64 KiB. */
export const maxProxyHeaderBytes = 4_096;

function head(command: number, family: number, length: number): Buffer {
  const bytes = Buffer.alloc(fixedBytes + length);
  signature.copy(bytes);
  bytes.writeUInt8(command, 12);
  bytes.writeUInt8(family, 13);
  bytes.writeUInt16BE(length, 14);
  return bytes;
}

/** For connections of our own, such as health checks. */
export const localProxyHeader: Buffer = head(local, 0, 0);

function writeIPv4(bytes: Buffer, host: string, offset: number): void {
  for (const [index, part] of host.split('.').entries()) bytes.writeUInt8(Number(part), offset + index);
}

function writeIPv6(bytes: Buffer, host: string, offset: number): void {
  const ipv4 = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(host);
  const text = ipv4
    ? `${ipv4[1]}${((Number(ipv4[2]) << 8) | Number(ipv4[3])).toString(16)}:${((Number(ipv4[4]) << 8) | Number(ipv4[5])).toString(16)}`
    : host;
  const [left = '', right] = text.split('::');
  const groups = (part: string | undefined) => (part ? part.split(':') : []);
  const [first, last] = [groups(left), groups(right)];
  const zeros = right === undefined ? 0 : 8 - first.length - last.length;
  const all = [...first, ...Array.from({ length: zeros }, () => '0'), ...last];
  for (const [index, group] of all.entries())
    bytes.writeUInt16BE(Number.parseInt(group, 16), offset + 2 * index);
}

/** The header for a connection; addresses that are of no use (unknown, two families) give one without addresses. */
export function proxyHeader({ source, destination }: ProxiedConnection): Buffer {
  const [from, to] = [plainAddress(source.host), plainAddress(destination.host)];
  if (isIPv4(from) && isIPv4(to)) return withAddresses(tcp4, [from, to], writeIPv4);
  return isIPv6(from) && isIPv6(to) ? withAddresses(tcp6, [from, to], writeIPv6) : localProxyHeader;

  function withAddresses(family: number, hosts: readonly string[], write: typeof writeIPv4): Buffer {
    const length = family === tcp4 ? addressBytes4 : addressBytes6;
    const bytes = head(proxy, family, length);
    const hostBytes = (length - 4) / 2;
    for (const [index, host] of hosts.entries()) write(bytes, host, fixedBytes + index * hostBytes);
    bytes.writeUInt16BE(source.port, fixedBytes + 2 * hostBytes);
    bytes.writeUInt16BE(destination.port, fixedBytes + 2 * hostBytes + 2);
    return bytes;
  }
}

function readIPv4(bytes: Buffer, offset: number): string {
  return bytes.subarray(offset, offset + 4).join('.');
}

function readIPv6(bytes: Buffer, offset: number): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(offset + 2 * index).toString(16));
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}

/** Reads the header that `bytes` begin with; what follows it is the client's. */
export function parseProxyHeader(bytes: Buffer): ParsedProxyHeader {
  const seen = Math.min(bytes.length, signature.length);
  if (bytes.compare(signature, 0, seen, 0, seen) !== 0)
    return { kind: 'bad', why: 'no PROXY header version 2' };
  if (bytes.length < fixedBytes) return { kind: 'partial' };
  const command = bytes.readUInt8(12);
  if (command !== local && command !== proxy) return { kind: 'bad', why: 'an unknown version or command' };
  const family = bytes.readUInt8(13);
  const length = bytes.readUInt16BE(14);
  const byteCount = fixedBytes + length;
  if (byteCount > maxProxyHeaderBytes)
    return { kind: 'bad', why: `a PROXY header larger than ${maxProxyHeaderBytes} bytes` };
  const wanted = family === tcp4 ? addressBytes4 : family === tcp6 ? addressBytes6 : 0;
  if (command === proxy && length < wanted)
    return { kind: 'bad', why: 'a PROXY header without its addresses' };
  if (bytes.length < byteCount) return { kind: 'partial' };
  return {
    kind: 'complete',
    byteCount,
    connection: command === proxy ? addresses(bytes, family) : undefined,
  };
}

function addresses(bytes: Buffer, family: number): ProxiedConnection | undefined {
  if (family === tcp4) {
    return {
      source: { host: readIPv4(bytes, 16), port: bytes.readUInt16BE(24) },
      destination: { host: readIPv4(bytes, 20), port: bytes.readUInt16BE(26) },
    };
  }
  if (family !== tcp6) return undefined;
  return {
    source: { host: readIPv6(bytes, 16), port: bytes.readUInt16BE(48) },
    destination: { host: readIPv6(bytes, 32), port: bytes.readUInt16BE(50) },
  };
}

// Networks of clients, `10.0.0.0/8` or a single address, and whether an address belongs to one of them.
import { BlockList, isIP } from 'node:net';
import { canonicalHost, type Parsed } from './endpoint.ts';
import { plainAddress } from './host.ts';

const right = 'a network such as 10.0.0.0/8 or fd00::/8, or an IP address';

/** Canonical text of a network; a single address is written without a prefix length. */
export function parseNetwork(text: string): Parsed<string> {
  const [host = '', prefix, ...more] = text.trim().split('/');
  const family = isIP(host);
  if (family === 0 || more.length > 0) return { ok: false, problem: right };
  const most = family === 4 ? 32 : 128;
  const bits = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (!(bits <= most))
    return { ok: false, problem: `${right}; the prefix length is a number from 0 to ${most}` };
  const address = canonicalHost(host);
  return { ok: true, value: bits === most ? address : `${address}/${bits}` };
}

/** Says of an address whether one of `networks` (as `parseNetwork` gives them) has it. */
export function networkCheck(networks: readonly string[]): (address: string) => boolean {
  // A list for each family: a BlockList finds every IPv4 address in ::/0, where IPv4-mapped addresses are.
  const [four, six] = [new BlockList(), new BlockList()];
  for (const network of networks) {
    const [host = '', prefix] = network.split('/');
    const family = isIP(host) === 4 ? 'ipv4' : 'ipv6';
    const isMapped = host.startsWith('::ffff:') && Number(prefix ?? 128) >= 96;
    const list = family === 'ipv4' || isMapped ? four : six;
    if (prefix === undefined) list.addAddress(host, family);
    else list.addSubnet(host, Number(prefix), family);
  }
  return (address) => {
    if (isIP(address.split('%')[0] ?? '') === 0) return false;
    // An IPv4 client of an IPv6 listener is shown as ::ffff:a.b.c.d.
    const plain = plainAddress(address);
    return isIP(plain) === 4 ? four.check(plain, 'ipv4') : six.check(plain, 'ipv6');
  };
}

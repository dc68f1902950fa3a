// Sets of client addresses, for rules of other proxies that allow and deny in order, where Fairlead has one list of
// networks (`allowFrom`). Ranges of numbers, by family. Pure.
import { isIP, isIPv4 } from 'node:net';
import { parseNetwork } from '../model/network.ts';

interface Range {
  readonly from: bigint;
  readonly to: bigint;
}

type Ranges = readonly Range[];

export interface AddressSet {
  readonly v4: Ranges;
  readonly v6: Ranges;
}

const lastOf = { v4: (1n << 32n) - 1n, v6: (1n << 128n) - 1n } as const;
const bitsOf = { v4: 32, v6: 128 } as const;

export const noAddress: AddressSet = { v4: [], v6: [] };
export const everyAddress: AddressSet = {
  v4: [{ from: 0n, to: lastOf.v4 }],
  v6: [{ from: 0n, to: lastOf.v6 }],
};

/** Sorted, without overlaps and without neighbours that touch. */
function merged(ranges: Ranges): Ranges {
  const found: { from: bigint; to: bigint }[] = [];
  for (const { from, to } of [...ranges].sort((a, b) => (a.from < b.from ? -1 : 1))) {
    const last = found.at(-1);
    if (!last || from > last.to + 1n) found.push({ from, to });
    else if (to > last.to) last.to = to;
  }
  return found;
}

function inverted(ranges: Ranges, last: bigint): Ranges {
  const found: Range[] = [];
  let next = 0n;
  for (const { from, to } of ranges) {
    if (from > next) found.push({ from: next, to: from - 1n });
    next = to + 1n;
  }
  if (next <= last) found.push({ from: next, to: last });
  return found;
}

export const union = (a: AddressSet, b: AddressSet): AddressSet => ({
  v4: merged([...a.v4, ...b.v4]),
  v6: merged([...a.v6, ...b.v6]),
});

export const complement = ({ v4, v6 }: AddressSet): AddressSet => ({
  v4: inverted(v4, lastOf.v4),
  v6: inverted(v6, lastOf.v6),
});

export const intersection = (a: AddressSet, b: AddressSet) => complement(union(complement(a), complement(b)));

/** An IPv6 address without a dotted end; `::` once at most. */
function numberOf6(address: string): bigint {
  const [head = '', tail] = address.split('::').map((half) => half.split(':').filter((part) => part !== ''));
  const [front, back] = [Array.isArray(head) ? head : [], tail ?? []];
  const parts = [...front, ...new Array<string>(8 - front.length - back.length).fill('0'), ...back];
  return parts.reduce((sum, part) => (sum << 16n) | BigInt(`0x${part}`), 0n);
}

const numberOf4 = (address: string) =>
  address.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);

/** The addresses of `10.0.0.0/8`, `fd00::/8` or one address; undefined for anything else. */
export function networkSet(text: string): AddressSet | undefined {
  const parsed = parseNetwork(text);
  if (!parsed.ok) return undefined;
  const [host = '', prefix] = parsed.value.split('/');
  if (isIP(host) === 6 && host.includes('.')) return undefined;
  const family = isIPv4(host) ? 'v4' : 'v6';
  const hostBits = BigInt(bitsOf[family] - Number(prefix ?? bitsOf[family]));
  const from = ((family === 'v4' ? numberOf4(host) : numberOf6(host)) >> hostBits) << hostBits;
  return { ...noAddress, [family]: [{ from, to: from + (1n << hostBits) - 1n }] };
}

function textOf(number: bigint, family: 'v4' | 'v6'): string {
  const [count, bits] = family === 'v4' ? [4, 8n] : [8, 16n];
  const parts = Array.from(
    { length: count },
    (_, index) => (number >> (bits * BigInt(count - 1 - index))) & ((1n << bits) - 1n),
  );
  return family === 'v4' ? parts.join('.') : parts.map((part) => part.toString(16)).join(':');
}

function networksOf(ranges: Ranges, family: 'v4' | 'v6'): string[] {
  const found: string[] = [];
  for (const { from, to } of ranges) {
    for (let start = from; start <= to; ) {
      let hostBits = 0n;
      // The largest network that begins at `start` and ends within the range.
      while (hostBits < BigInt(bitsOf[family])) {
        const size = 1n << (hostBits + 1n);
        if (start % size !== 0n || start + size - 1n > to) break;
        hostBits += 1n;
      }
      const network = parseNetwork(`${textOf(start, family)}/${bitsOf[family] - Number(hostBits)}`);
      if (network.ok) found.push(network.value);
      start += 1n << hostBits;
    }
  }
  return found;
}

/** The fewest networks that are this set. */
export const networkTexts = ({ v4, v6 }: AddressSet): string[] => [
  ...networksOf(v4, 'v4'),
  ...networksOf(v6, 'v6'),
];

export const isEvery = (set: AddressSet) => {
  const { v4, v6 } = complement(set);
  return v4.length === 0 && v6.length === 0;
};

/** What ordered rules allow: the first rule that matches an address decides, and without one it is allowed. */
export function allowedBy(
  rules: readonly { readonly allows: boolean; readonly set: AddressSet }[],
): AddressSet {
  let undecided = everyAddress;
  let allowed = noAddress;
  for (const { allows, set } of rules) {
    if (allows) allowed = union(allowed, intersection(undecided, set));
    undecided = intersection(undecided, complement(set));
  }
  return union(allowed, undecided);
}

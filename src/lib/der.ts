// As much of ASN.1's distinguished encoding (X.690) as a certificate needs. Pure.

/** A value with its tag; constructed ones get their parts in a row. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  const hex = length.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.of(tag, 0x80 | bytes.length), bytes, content]);
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
export const octets = (bytes: Uint8Array): Buffer => der(0x04, bytes);
export const isTrue = der(0x01, Buffer.of(0xff));
export const nothing = der(0x05);

/** Big-endian and positive: a leading zero where the first bit is set. */
export function integer(bytes: Uint8Array): Buffer {
  return der(0x02, (bytes[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes);
}

/** `unused`: how many bits at the end do not count. */
export function bits(bytes: Uint8Array, unused = 0): Buffer {
  return der(0x03, Buffer.of(unused), bytes);
}

export function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [40 * first + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return der(0x06, Buffer.from(bytes));
}

/** RFC 5280 4.1.2.5: two digits for the year up to 2049. */
export function time(date: Date): Buffer {
  const text = date.toISOString().replace(/[-:T]|\.\d+/g, '');
  const isLate = date.getUTCFullYear() >= 2050;
  return der(isLate ? 0x18 : 0x17, Buffer.from(isLate ? text : text.slice(2)));
}

export interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** With tag and length. */
  readonly whole: Buffer;
}

/** The elements that stand in a row in `bytes`, which OpenSSL has parsed before. */
export function elements(bytes: Buffer): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at + 1] ?? 0;
    const longer = first < 0x80 ? 0 : first & 0x7f;
    const length = longer === 0 ? first : bytes.readUIntBE(at + 2, longer);
    const begin = at + 2 + longer;
    const end = begin + length;
    found.push({ tag: bytes[at] ?? 0, content: bytes.subarray(begin, end), whole: bytes.subarray(at, end) });
    at = end;
  }
  return found;
}

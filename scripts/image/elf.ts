// What has to be known of an ELF file (64 bit, little endian, as amd64 and arm64 have it): which libraries it
// needs, and how to leave its debug information out without tools for each architecture. Pure.

const programHeader = { size: 56, load: 1, dynamic: 2, interpreter: 3 } as const;
const tag = { needed: 1n, stringTable: 5n } as const;
export const machines = { amd64: 62, arm64: 183 } as const;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: bigint;
  readonly fileSize: number;
}

export interface Elf {
  readonly machine: number;
  /** The dynamic loader; undefined for a library. */
  readonly interpreter?: string;
  /** Names of the libraries that it wants loaded. */
  readonly needed: readonly string[];
}

const isElf64 = (file: Buffer) => file.length >= 64 && file.readUInt32BE(0) === 0x7f454c46 && file[4] === 2;

function segments(file: Buffer): Segment[] {
  if (!isElf64(file)) throw new Error('not a 64-bit ELF file');
  const start = Number(file.readBigUInt64LE(32));
  return Array.from({ length: file.readUInt16LE(56) }, (_, index) => {
    const at = start + index * programHeader.size;
    return {
      type: file.readUInt32LE(at),
      offset: Number(file.readBigUInt64LE(at + 8)),
      address: file.readBigUInt64LE(at + 16),
      fileSize: Number(file.readBigUInt64LE(at + 32)),
    };
  });
}

function textAt(file: Buffer, offset: number): string {
  return file.toString('latin1', offset, file.indexOf(0, offset));
}

/** Throws for what is not ELF. */
export function readElf(file: Buffer): Elf {
  const all = segments(file);
  const interpreter = all.find(({ type }) => type === programHeader.interpreter);
  const dynamic = all.find(({ type }) => type === programHeader.dynamic);
  const entries: [bigint, bigint][] = [];
  for (let at = dynamic?.offset ?? 0; dynamic && at < dynamic.offset + dynamic.fileSize; at += 16) {
    entries.push([file.readBigUInt64LE(at), file.readBigUInt64LE(at + 8)]);
  }
  const table = entries.find(([name]) => name === tag.stringTable)?.[1] ?? 0n;
  const holder = all.find(
    ({ type, address, fileSize }) =>
      type === programHeader.load && table >= address && table < address + BigInt(fileSize),
  );
  const strings = holder ? holder.offset + Number(table - holder.address) : 0;
  return {
    machine: file.readUInt16LE(18),
    ...(interpreter && { interpreter: textAt(file, interpreter.offset) }),
    needed: entries
      .filter(([name]) => name === tag.needed)
      .map(([, offset]) => textAt(file, strings + Number(offset))),
  };
}

/**
 * The file without sections: no symbols, no debug information. What runs a program goes by segments only. Unlike
 * `strip` this knows every architecture, and gives the same bytes whatever is installed.
 */
export function withoutSections(file: Buffer): Buffer {
  const headers = Number(file.readBigUInt64LE(32)) + file.readUInt16LE(56) * programHeader.size;
  const ends = segments(file).map(({ offset, fileSize }) => offset + fileSize);
  const kept = Buffer.from(file.subarray(0, Math.max(headers, ...ends)));
  kept.writeBigUInt64LE(0n, 40);
  kept.fill(0, 58, 64);
  return kept;
}

// What the data path of a process holds for its clients, in bytes of the buffers themselves, by kind. A client can make the
// agent hold a first flight, a PROXY header, and what its other side does not read. Each kind has a limit of its own, so that
// whoever fills one leaves the others alone, and all limits together are the bound of the whole; what to go without at a limit
// is decided by who meets it (docs/data-path.md#limits). Plain additions: it is on the hot path.

const mebibyte = 1024 * 1024;

export type HeldKind = 'firstFlights' | 'proxyHeaders' | 'readBuffers';
export type HeldBytes = Record<HeldKind, number>;

/** 500 ordinary tunnels hold less than 1 MiB. */
export const heldLimits: Readonly<HeldBytes> = {
  /** One is mostly 0.3 to 2 KiB, and 16 KiB at most. */
  firstFlights: 32 * mebibyte,
  proxyHeaders: 4 * mebibyte,
  /** 1,024 connections that wait for a slow reader. */
  readBuffers: 64 * mebibyte,
};

export class MemoryLedger {
  readonly limits: Readonly<HeldBytes>;
  readonly bytes: HeldBytes = { firstFlights: 0, proxyHeaders: 0, readBuffers: 0 };

  constructor(limits: Readonly<HeldBytes> = heldLimits) {
    this.limits = limits;
  }

  /** For whoever shows it. */
  entries(): { readonly kind: HeldKind; readonly bytes: number; readonly maxBytes: number }[] {
    return (Object.keys(this.bytes) as HeldKind[]).map((kind) => ({
      kind,
      bytes: this.bytes[kind],
      maxBytes: this.limits[kind],
    }));
  }

  get totalBytes(): number {
    const { firstFlights, proxyHeaders, readBuffers } = this.bytes;
    return firstFlights + proxyHeaders + readBuffers;
  }

  get maxBytes(): number {
    const { firstFlights, proxyHeaders, readBuffers } = this.limits;
    return firstFlights + proxyHeaders + readBuffers;
  }

  /** Bytes that exist are always charged. */
  hold(kind: HeldKind, byteCount: number): void {
    this.bytes[kind] += byteCount;
  }

  release(kind: HeldKind, byteCount: number): void {
    this.bytes[kind] -= byteCount;
  }

  isOver(kind: HeldKind): boolean {
    return this.bytes[kind] > this.limits[kind];
  }

  /**
   * Flights are kept for a second endpoint up to half of their limit. The other half is for those that no endpoint is there to
   * take yet: without it, clients that never finish their flights could keep new ones from being connected.
   */
  get mayKeepFlights(): boolean {
    return this.bytes.firstFlights <= this.limits.firstFlights / 2;
  }

  /** Buffers that only make a transfer faster are kept up to a quarter. */
  get mayKeepBuffers(): boolean {
    return this.bytes.readBuffers <= this.limits.readBuffers / 4;
  }
}

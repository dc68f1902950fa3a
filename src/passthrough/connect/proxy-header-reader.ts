// A client that has to begin with a PROXY protocol header: reads it, within a bound and a deadline, before any
// endpoint is dialled. It owns the client's connection for that time; what follows the header is passed to the connector.
import { type Clock, judgeAfter, type Timer } from '../../model/clock.ts';
import { maxProxyHeaderBytes, parseProxyHeader, type ProxiedConnection } from '../../model/proxy-header.ts';
import type { MemoryLedger } from '../socket/memory-ledger.ts';
import type { Connection, ConnectionOwner } from '../socket/connection.ts';
import type { TunnelConnector } from '../tunnel/tunnel.ts';

/** A sender writes the header before anything else, in one piece. */
export const proxyHeaderTimeoutMs = 3_000;

export interface ProxyHeaderOwner {
  /** The header is complete; `rest` came behind it. Returns false to pause reading. */
  proxyHeaderRead(connection: ProxiedConnection | undefined, rest: Buffer): boolean;
  /** No header, or a bad one. */
  proxyHeaderFailed(why: string): void;
  /** The client has gone. */
  proxyHeaderLost(): void;
}

export class ProxyHeaderReader implements ConnectionOwner, TunnelConnector {
  readonly #owner: ProxyHeaderOwner;
  readonly #memory: MemoryLedger;
  #bytes: Buffer = Buffer.alloc(0);
  #timer: Timer | undefined;
  #isDone = false;

  constructor(clock: Clock, owner: ProxyHeaderOwner, memory: MemoryLedger) {
    this.#owner = owner;
    this.#memory = memory;
    this.#arm(clock);
  }

  #arm(clock: Clock): void {
    this.#timer = judgeAfter(clock, proxyHeaderTimeoutMs, {
      onExpired: () => this.#fail('no PROXY header in time'),
      onVoid: () => this.#arm(clock),
    });
  }

  #end(): boolean {
    if (this.#isDone) return false;
    this.#isDone = true;
    this.#timer?.cancel();
    this.#memory.release('proxyHeaders', this.#bytes.length);
    return true;
  }

  #fail(why: string): void {
    if (this.#end()) this.#owner.proxyHeaderFailed(why);
  }

  connectionRead(_connection: Connection, buffer: Buffer, byteCount: number): boolean {
    if (this.#isDone) return true;
    const kept = this.#bytes.length;
    // Not from Node's pool: a piece of one byte would keep 64 KiB of it.
    const bytes = Buffer.allocUnsafeSlow(kept + byteCount);
    this.#bytes.copy(bytes);
    buffer.copy(bytes, kept, 0, byteCount);
    this.#bytes = bytes;
    this.#memory.hold('proxyHeaders', byteCount);
    if (this.#memory.isOver('proxyHeaders')) {
      this.#fail('too many PROXY headers at once');
      return true;
    }
    const parsed = parseProxyHeader(this.#bytes);
    if (parsed.kind === 'complete') {
      this.#end();
      return this.#owner.proxyHeaderRead(parsed.connection, this.#bytes.subarray(parsed.byteCount));
    }
    if (parsed.kind === 'bad') this.#fail(parsed.why);
    else if (this.#bytes.length > maxProxyHeaderBytes) this.#fail('a PROXY header without an end');
    return true;
  }

  connectionEnded(): void {
    this.#fail('the client ended before its PROXY header');
  }

  connectionFailed(): void {
    if (this.#end()) this.#owner.proxyHeaderLost();
  }

  connectionClosed(): void {
    if (this.#end()) this.#owner.proxyHeaderLost();
  }

  connectionOpened(): void {}
  connectionDrained(): void {}

  // As the first step of connecting a tunnel:

  abort(): void {
    this.#end();
  }

  uses(): boolean {
    return false;
  }

  leaveEndpoint(): boolean {
    return false;
  }

  startKeepAlive(): void {}
}

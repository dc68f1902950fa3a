// A client that has to begin with a PROXY protocol header: reads it, within a bound and a deadline, before any
// endpoint is dialled. It owns the client's leg for that time; what follows the header goes on to the opening.
import { type Clock, judgeAfter, type Timer } from '../../model/clock.ts';
import { maxProxyHeaderBytes, parseProxyHeader, type ProxiedConnection } from '../../model/proxy-header.ts';
import type { Leg, LegOwner } from '../socket/connection.ts';
import type { TunnelOpening } from '../tunnel/tunnel.ts';

/** A sender writes the header before anything else, in one piece. */
export const proxyHeaderTimeoutMs = 3_000;

export interface ProxyIntroOwner {
  /** The header is complete; `rest` came behind it. Returns false to pause reading. */
  introduced(connection: ProxiedConnection | undefined, rest: Buffer): boolean;
  /** No header, or a bad one. */
  introFailed(why: string): void;
  /** The client has gone. */
  introLost(): void;
}

export class ProxyIntro implements LegOwner, TunnelOpening {
  readonly #owner: ProxyIntroOwner;
  #bytes: Buffer = Buffer.alloc(0);
  #timer: Timer | undefined;
  #isDone = false;

  constructor(clock: Clock, owner: ProxyIntroOwner) {
    this.#owner = owner;
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
    return true;
  }

  #fail(why: string): void {
    if (this.#end()) this.#owner.introFailed(why);
  }

  legRead(_leg: Leg, buffer: Buffer, byteCount: number): boolean {
    if (this.#isDone) return true;
    this.#bytes = Buffer.concat([this.#bytes, buffer.subarray(0, byteCount)]);
    const parsed = parseProxyHeader(this.#bytes);
    if (parsed.kind === 'complete') {
      this.#end();
      return this.#owner.introduced(parsed.connection, this.#bytes.subarray(parsed.byteCount));
    }
    if (parsed.kind === 'bad') this.#fail(parsed.why);
    else if (this.#bytes.length > maxProxyHeaderBytes) this.#fail('a PROXY header without an end');
    return true;
  }

  legEnded(): void {
    this.#fail('the client ended before its PROXY header');
  }

  legFailed(): void {
    if (this.#end()) this.#owner.introLost();
  }

  legClosed(): void {
    if (this.#end()) this.#owner.introLost();
  }

  legConnected(): void {}
  legDrained(): void {}

  // As the first part of a tunnel's opening:

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

// A client and, once the opening has found one, its endpoint: relays both ways, passes FIN on as FIN and RST as
// RST, and keeps the numbers that health, draining and status need. The tunnel owns both legs from `join` on;
// before that its opening owns them (opening.ts).
import { formatHostPort } from '../../model/endpoint.ts';
import type { ProxiedConnection } from '../../model/proxy-header.ts';
import type { ClientTls } from '../tls/client-tls.ts';
import type { CloseReason } from './counters.ts';
import type { EndpointRecord } from './endpoint-record.ts';
import type { Gate } from './accept-policy.ts';
import type { Leg, LegOwner } from '../socket/connection.ts';
import type { ReadBuffers } from '../socket/read-buffers.ts';
import { relay } from './relay.ts';
import type { Waiter } from './response-watchdog.ts';

export type TunnelRecord = EndpointRecord<Tunnel>;

/** What a tunnel needs of the connection table. */
export interface TunnelHome {
  readonly buffers: ReadBuffers;
  nowMs(): number;
  /** The client has sent bytes that the endpoint has not answered yet. */
  startWaiting(tunnel: Tunnel, nowMs: number): void;
  stopWaiting(tunnel: Tunnel): void;
  halfClosed(tunnel: Tunnel): void;
  keepAlive(leg: Leg): void;
  /** Both legs are gone. */
  finished(tunnel: Tunnel): void;
  count(reason: CloseReason): void;
}

/** The part of a tunnel's life before its endpoint is certain. */
export interface TunnelOpening {
  /** Ends the dials and attempts; the client is left to the caller. */
  abort(): void;
  /** An attempt of it goes to this endpoint. */
  uses(record: TunnelRecord): boolean;
  /** Leaves an endpoint whose first byte has not come, if there is another to try. */
  leaveEndpoint(record: TunnelRecord): boolean;
  /** The tunnel has lived long enough for keepalive; see `isKeptAlive`. */
  startKeepAlive(): void;
}

export class Tunnel implements LegOwner, Waiter {
  readonly client: Leg;
  readonly startedMs: number;
  /** Present until an endpoint has been settled on. */
  opening: TunnelOpening | undefined = undefined;
  upstream: Leg | undefined = undefined;
  bytesUp = 0;
  bytesDown = 0;
  /** The last byte either way. */
  lastByteMs: number;
  /** The client's last bytes, and its first that the endpoint has said nothing after. */
  lastUpMs = Number.NEGATIVE_INFINITY;
  unansweredSinceMs = Number.POSITIVE_INFINITY;
  /** Set while the endpoint drains: from when on a quiet moment is used, and the end of patience. */
  drainFromMs = Number.POSITIVE_INFINITY;
  drainAtMs = Number.POSITIVE_INFINITY;

  record: TunnelRecord | undefined = undefined;
  /** Present from the endpoint's first bytes until it is clear how the client met its certificate. */
  clientTls: ClientTls | undefined = undefined;
  /** The listener's count that this client is a part of. */
  gate: Gate | undefined = undefined;
  /** What a PROXY header said of the client. */
  introduced: ProxiedConnection | undefined = undefined;
  /** The client's address, kept for the log where somebody reads it. */
  shownClient: string | undefined = undefined;
  /** Why it was closed, when it was not by FINs. */
  closedBy: CloseReason | undefined = undefined;
  waitingSinceMs = 0;
  isListed = false;
  previousWaiter: Waiter | undefined = undefined;
  nextWaiter: Waiter | undefined = undefined;

  /** Keepalive is set a while after the start, so that short connections do not pay for it. */
  isKeptAlive = false;
  isClosing = false;
  isClientEnded = false;
  isUpstreamEnded = false;
  readonly #home: TunnelHome;
  #isFinished = false;

  constructor(home: TunnelHome, client: Leg) {
    this.#home = home;
    this.client = client;
    this.startedMs = home.nowMs();
    this.lastByteMs = this.startedMs;
  }

  /** No request is likely to be in progress. TLS hides the truth; a drain's end does not wait for it. */
  isQuiet(nowMs: number, quietMs: number): boolean {
    return nowMs - this.lastByteMs >= quietMs && this.unansweredSinceMs === Number.POSITIVE_INFINITY;
  }

  /** Both ends of the client's connection: of the one to us, or of that which a PROXY header told of. */
  get proxied(): ProxiedConnection {
    if (this.introduced) return this.introduced;
    const { remoteAddress, remotePort, localAddress, localPort } = this.client;
    return {
      source: { host: remoteAddress ?? '', port: remotePort ?? 0 },
      destination: { host: localAddress ?? '', port: localPort ?? 0 },
    };
  }

  /** `HOST:PORT` of the client; `?` when it is not known any more. */
  get clientText(): string {
    const { source } = this.proxied;
    return source.host === '' ? '?' : formatHostPort(source);
  }

  /** The endpoint is settled: `upstream` belongs to the tunnel now. */
  join(upstream: Leg): void {
    this.opening = undefined;
    this.upstream = upstream;
    upstream.owner = this;
    this.client.owner = this;
  }

  /** Called once, some time after the start. */
  startKeepAlive(): void {
    this.isKeptAlive = true;
    this.#home.keepAlive(this.client);
    if (this.upstream) this.#home.keepAlive(this.upstream);
    this.opening?.startKeepAlive();
  }

  /** The client has sent bytes to the endpoint of `record`, during the opening or after it. */
  noteUp(byteCount: number): void {
    const nowMs = this.#home.nowMs();
    this.bytesUp += byteCount;
    if (this.record) this.record.bytesUp += byteCount;
    this.lastByteMs = nowMs;
    this.lastUpMs = nowMs;
    if (this.unansweredSinceMs === Number.POSITIVE_INFINITY) this.unansweredSinceMs = nowMs;
    // Once reported the tunnel is off the list, and waits anew with the client's next bytes.
    if (!this.isListed) this.#home.startWaiting(this, nowMs);
  }

  legRead(leg: Leg, buffer: Buffer, byteCount: number): boolean {
    const { upstream, client } = this;
    if (this.isClosing || upstream === undefined) return true;
    // The bytes first, the bookkeeping when they are on their way.
    if (leg === client) {
      const goesOn = relay(client, upstream, buffer, byteCount, this.#home.buffers);
      if (this.clientTls?.read(buffer, byteCount)) this.clientTls = undefined;
      this.noteUp(byteCount);
      return goesOn;
    }
    const goesOn = relay(upstream, client, buffer, byteCount, this.#home.buffers);
    this.bytesDown += byteCount;
    if (this.record) this.record.bytesDown += byteCount;
    this.lastByteMs = this.#home.nowMs();
    this.unansweredSinceMs = Number.POSITIVE_INFINITY;
    if (this.isListed) this.#home.stopWaiting(this);
    return goesOn;
  }

  legDrained(leg: Leg): void {
    // A call asked for by the opening may come while the tunnel's own write waits: its buffer is still in use.
    if (leg.writableLength > 0) return;
    const source = leg === this.client ? this.upstream : this.client;
    if (!this.isClosing && source && !source.destroyed) source.resume();
  }

  legEnded(leg: Leg): void {
    if (this.isClosing || this.upstream === undefined) return;
    const other = leg === this.client ? this.upstream : this.client;
    this.#concludeTls(leg);
    if (leg === this.client) this.isClientEnded = true;
    else this.isUpstreamEnded = true;
    if (this.isClientEnded !== this.isUpstreamEnded) {
      other.end();
      this.#home.halfClosed(this);
    } else {
      closeAfterWrites(other);
    }
  }

  legFailed(leg: Leg, error: NodeJS.ErrnoException): void {
    // A client that has vanished has not said anything.
    if (leg !== this.client || error.code !== 'ETIMEDOUT') this.#concludeTls(leg);
    this.reset(leg === this.client ? 'client' : 'endpoint');
  }

  legClosed(): void {
    if (this.client.destroyed && (this.upstream === undefined || this.upstream.destroyed)) this.#finish();
    // A leg never closes alone without a reason: both FINs have passed, and the other one is still sending.
  }

  /** Both sides get a RST, at once. */
  reset(reason: CloseReason): void {
    if (!this.#beginClosing(reason)) return;
    this.#endOpening();
    if (!this.client.destroyed) this.client.resetAndDestroy();
    if (this.upstream && !this.upstream.destroyed) this.upstream.resetAndDestroy();
  }

  /** Both sides get a FIN after what has been written. */
  close(reason: CloseReason): void {
    if (!this.#beginClosing(reason)) return;
    this.#endOpening();
    closeAfterWrites(this.client);
    if (this.upstream) closeAfterWrites(this.upstream);
    // A reader that never takes the rest meets the limit of half-closed tunnels.
    this.#home.halfClosed(this);
  }

  /** The second step of a `close` that has not come to its end. */
  abandon(): void {
    if (!this.client.destroyed) this.client.resetAndDestroy();
    if (this.upstream && !this.upstream.destroyed) this.upstream.resetAndDestroy();
  }

  /** `leg` has closed first. */
  #concludeTls(leg: Leg): void {
    const { clientTls } = this;
    this.clientTls = undefined;
    if (leg !== this.client) clientTls?.endpointClosed();
    else clientTls?.clientClosed(this.unansweredSinceMs === Number.POSITIVE_INFINITY);
  }

  #endOpening(): void {
    if (this.opening === undefined) return;
    this.opening.abort();
    this.opening = undefined;
    this.client.owner = this;
  }

  #beginClosing(reason: CloseReason): boolean {
    if (this.isClosing || this.#isFinished) return false;
    this.isClosing = true;
    this.closedBy = reason;
    this.clientTls = undefined;
    this.#home.count(reason);
    this.#home.stopWaiting(this);
    return true;
  }

  #finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.isClosing = true;
    this.#home.stopWaiting(this);
    // Not before both sockets are gone: what one leg has read may still be on its way out of the other.
    this.#releaseBuffer(this.client);
    if (this.upstream) this.#releaseBuffer(this.upstream);
    this.#home.finished(this);
  }

  #releaseBuffer(leg: Leg): void {
    if (leg.ownBuffer) this.#home.buffers.release(leg.ownBuffer);
    leg.ownBuffer = undefined;
  }

  legConnected(): void {}
}

/** Once the kernel has everything, closing sends the FIN; without a shutdown of its own. */
function closeAfterWrites(leg: Leg): void {
  if (leg.writableLength === 0) leg.destroy();
  else leg.destroySoon();
}

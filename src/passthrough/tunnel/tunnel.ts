// A client and, once the connector has found one, its endpoint: relays both ways, passes FIN on as FIN and RST as
// RST, and keeps the numbers that health, draining and status need. The tunnel owns both connections from `join` on;
// before that its connector owns them (connector.ts).
import { type EndpointId, formatHostPort } from '../../model/endpoint.ts';
import type { ProxiedConnection } from '../../model/proxy-header.ts';
import type { ClientTls } from '../tls/client-tls.ts';
import type { CloseReason } from './counters.ts';
import type { EndpointRecord } from './endpoint-record.ts';
import type { AcceptPolicy } from './accept-policy.ts';
import type { Connection, ConnectionOwner } from '../socket/connection.ts';
import { type Evictable, EvictionPlace } from './eviction-queue.ts';
import type { ReadBuffers } from '../socket/read-buffers.ts';
import { relay } from './relay.ts';
import type { Waiter } from './response-watchdog.ts';

export type TunnelRecord = EndpointRecord<Tunnel>;

/** What the tunnels of a table share. The table makes it and owns it. */
export interface TunnelContext {
  readonly buffers: ReadBuffers;
  nowMs(): number;
  /** The client has sent bytes that the endpoint has not answered yet. */
  startWaiting(tunnel: Tunnel, nowMs: number): void;
  stopWaiting(tunnel: Tunnel): void;
  halfClosed(tunnel: Tunnel): void;
  /** One side does not take what the other has sent. */
  stalled(tunnel: Tunnel): void;
  keepAlive(connection: Connection): void;
  /** Both connections are gone. */
  finished(tunnel: Tunnel): void;
  count(reason: CloseReason): void;
}

/** Whatever owns a tunnel's client until its endpoint is settled: a reader of its PROXY header, then a connector. */
export interface TunnelConnector {
  /** Ends the dials and attempts; the client is left to the caller. */
  abort(): void;
  /** An attempt of it goes to this endpoint. */
  uses(record: TunnelRecord): boolean;
  /** Leaves an endpoint whose first byte has not come, if there is another to try. */
  leaveEndpoint(record: TunnelRecord): boolean;
  /** The tunnel has lived long enough for keepalive; see `isKeptAlive`. */
  startKeepAlive(): void;
}

export class Tunnel implements ConnectionOwner, Waiter, Evictable {
  readonly client: Connection;
  readonly startedMs: number;
  /** Present until an endpoint has been settled on. */
  connector: TunnelConnector | undefined = undefined;
  upstream: Connection | undefined = undefined;
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
  policy: AcceptPolicy | undefined = undefined;
  /** The connection that a PROXY header names. */
  announced: ProxiedConnection | undefined = undefined;
  /** The client's address, kept for the log at level debug. */
  shownClient: string | undefined = undefined;
  /** Why it was closed, when it was not by FINs. */
  closedBy: CloseReason | undefined = undefined;
  waitingSinceMs = 0;
  isListed = false;
  previous: Waiter | undefined = undefined;
  next: Waiter | undefined = undefined;
  /** It is a part of the counts of the process and of its listener. */
  isCounted = false;
  readonly place: EvictionPlace;

  /** Keepalive is set a while after the start, so that short connections do not pay for it. */
  isKeptAlive = false;
  isClosing = false;
  isClientEnded = false;
  isUpstreamEnded = false;
  readonly #context: TunnelContext;
  #isFinished = false;

  constructor(context: TunnelContext, client: Connection) {
    this.#context = context;
    this.client = client;
    this.startedMs = context.nowMs();
    this.lastByteMs = this.startedMs;
    this.place = new EvictionPlace(this, this.startedMs);
  }

  /** No request is likely to be in progress. TLS hides the truth; a drain's end does not wait for it. */
  isQuiet(nowMs: number, quietMs: number): boolean {
    return nowMs - this.lastByteMs >= quietMs && this.unansweredSinceMs === Number.POSITIVE_INFINITY;
  }

  /** One side waits until the other has taken everything. */
  get isStalled(): boolean {
    return (
      !this.isClosing &&
      this.upstream !== undefined &&
      this.client.writableLength + this.upstream.writableLength > 0
    );
  }

  /** Both ends of the client's connection: of the one to us, or of the one that a PROXY header names. */
  get proxied(): ProxiedConnection {
    if (this.announced) return this.announced;
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
  join(upstream: Connection): void {
    this.connector = undefined;
    this.upstream = upstream;
    upstream.owner = this;
    this.client.owner = this;
  }

  /** Called once, some time after the start. */
  startKeepAlive(): void {
    this.isKeptAlive = true;
    this.#context.keepAlive(this.client);
    if (this.upstream) this.#context.keepAlive(this.upstream);
    this.connector?.startKeepAlive();
  }

  /** The client has sent bytes to the endpoint of `record`, while it connects or afterwards. */
  noteUp(byteCount: number): void {
    const nowMs = this.#context.nowMs();
    this.bytesUp += byteCount;
    if (this.record) this.record.bytesUp += byteCount;
    this.lastByteMs = nowMs;
    this.lastUpMs = nowMs;
    if (this.unansweredSinceMs === Number.POSITIVE_INFINITY) this.#startsToWait(nowMs);
    // Once reported the tunnel is off the list, and waits anew with the client's next bytes.
    if (!this.isListed) this.#context.startWaiting(this, nowMs);
  }

  #startsToWait(nowMs: number): void {
    this.unansweredSinceMs = nowMs;
    this.clientSpoke();
  }

  /** The client has sent a byte; a PROXY header in front is not the client's. */
  clientSpoke(): void {
    this.place.queue?.spoke(this.place);
  }

  connectionRead(connection: Connection, buffer: Buffer, byteCount: number): boolean {
    const { upstream, client } = this;
    if (this.isClosing || upstream === undefined) return true;
    // The bytes first, the bookkeeping when they are on their way.
    if (connection === client) {
      const goesOn = relay(client, upstream, buffer, byteCount, this.#context.buffers);
      if (this.clientTls?.read(buffer, byteCount)) this.clientTls = undefined;
      this.noteUp(byteCount);
      if (!goesOn) this.#context.stalled(this);
      return goesOn;
    }
    const goesOn = relay(upstream, client, buffer, byteCount, this.#context.buffers);
    this.bytesDown += byteCount;
    if (this.record) this.record.bytesDown += byteCount;
    this.lastByteMs = this.#context.nowMs();
    this.unansweredSinceMs = Number.POSITIVE_INFINITY;
    if (this.isListed) this.#context.stopWaiting(this);
    if (this.place.queue) this.place.queue.remove(this.place);
    if (!goesOn) this.#context.stalled(this);
    return goesOn;
  }

  connectionDrained(connection: Connection): void {
    // A call asked for by the connector may come while the tunnel's own write waits: its buffer is still in use.
    if (connection.writableLength > 0) return;
    const source = connection === this.client ? this.upstream : this.client;
    if (source?.isStaged) this.#releaseStaging(source);
    if (!this.isClosing && source && !source.destroyed) source.resume();
  }

  connectionEnded(connection: Connection): void {
    if (this.isClosing || this.upstream === undefined) return;
    const other = connection === this.client ? this.upstream : this.client;
    this.#concludeTls(connection);
    if (connection === this.client) this.isClientEnded = true;
    else this.isUpstreamEnded = true;
    if (this.isClientEnded !== this.isUpstreamEnded) {
      other.end();
      this.#context.halfClosed(this);
    } else {
      closeAfterWrites(other);
    }
  }

  connectionFailed(connection: Connection, error: NodeJS.ErrnoException): void {
    // A client that has vanished has not said anything.
    if (connection !== this.client || error.code !== 'ETIMEDOUT') this.#concludeTls(connection);
    this.reset(connection === this.client ? 'client' : 'endpoint');
  }

  connectionClosed(): void {
    if (this.client.destroyed && (this.upstream === undefined || this.upstream.destroyed)) this.#finish();
    // A connection never closes alone without a reason: both FINs have passed, and the other one is still sending.
  }

  /** Both sides get a RST, at once. */
  reset(reason: CloseReason): void {
    if (!this.#beginClosing(reason)) return;
    this.#endConnector();
    if (!this.client.destroyed) this.client.resetAndDestroy();
    if (this.upstream && !this.upstream.destroyed) this.upstream.resetAndDestroy();
  }

  /** Others need the room. */
  evict(): void {
    if (this.isClosing) this.abandon();
    else this.reset('evicted');
  }

  /** Both sides get a FIN after what has been written. */
  close(reason: CloseReason): void {
    if (!this.#beginClosing(reason)) return;
    this.#endConnector();
    closeAfterWrites(this.client);
    if (this.upstream) closeAfterWrites(this.upstream);
    // A reader that never takes the rest meets the limit of half-closed tunnels.
    this.#context.halfClosed(this);
  }

  /** The second step of a `close` that has not come to its end. */
  abandon(): void {
    if (!this.client.destroyed) this.client.resetAndDestroy();
    if (this.upstream && !this.upstream.destroyed) this.upstream.resetAndDestroy();
  }

  /** `connection` has closed first. */
  #concludeTls(connection: Connection): void {
    const { clientTls } = this;
    this.clientTls = undefined;
    if (connection !== this.client) clientTls?.endpointClosed();
    else clientTls?.clientClosed(this.unansweredSinceMs === Number.POSITIVE_INFINITY);
  }

  #endConnector(): void {
    if (this.connector === undefined) return;
    this.connector.abort();
    this.connector = undefined;
    this.client.owner = this;
  }

  #beginClosing(reason: CloseReason): boolean {
    if (this.isClosing || this.#isFinished) return false;
    this.isClosing = true;
    this.closedBy = reason;
    this.clientTls = undefined;
    this.#context.count(reason);
    this.#context.stopWaiting(this);
    return true;
  }

  #finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.isClosing = true;
    this.#context.stopWaiting(this);
    // Not before both sockets are gone: what one connection has read may still be on its way out of the other.
    this.#releaseBuffer(this.client);
    if (this.upstream) this.#releaseBuffer(this.upstream);
    this.#context.finished(this);
  }

  #releaseStaging(connection: Connection): void {
    connection.isStaged = false;
    this.#context.buffers.releaseStaging();
  }

  #releaseBuffer(connection: Connection): void {
    if (connection.isStaged) this.#releaseStaging(connection);
    if (connection.ownBuffer) this.#context.buffers.release(connection.ownBuffer);
    connection.ownBuffer = undefined;
  }

  connectionOpened(): void {}
}

/** Once the kernel has everything, closing sends the FIN; without a shutdown of its own. */
function closeAfterWrites(connection: Connection): void {
  if (connection.writableLength === 0) connection.destroy();
  else connection.destroySoon();
}

/** One tunnel for status output. */
export interface TunnelView {
  readonly client: string;
  /** Undefined until a connection to an endpoint exists. */
  readonly endpoint: EndpointId | undefined;
  /** `connecting`: the endpoint has not said anything yet. */
  readonly phase: 'connecting' | 'open' | 'half-closed' | 'closing';
  readonly isDraining: boolean;
  readonly ageMs: number;
  readonly idleMs: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

export function viewOf(tunnel: Tunnel, nowMs: number): TunnelView {
  return {
    client: tunnel.clientText,
    endpoint: tunnel.record?.id,
    phase: phaseOf(tunnel),
    isDraining: tunnel.drainAtMs !== Number.POSITIVE_INFINITY,
    ageMs: nowMs - tunnel.startedMs,
    idleMs: nowMs - tunnel.lastByteMs,
    bytesUp: tunnel.bytesUp,
    bytesDown: tunnel.bytesDown,
  };
}

function phaseOf(tunnel: Tunnel): TunnelView['phase'] {
  if (tunnel.isClosing) return 'closing';
  if (tunnel.connector) return 'connecting';
  return tunnel.isClientEnded || tunnel.isUpstreamEnded ? 'half-closed' : 'open';
}

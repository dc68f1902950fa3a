// A connection on one of Node's bare TCP handles: what net.Socket does without its two stream states, its events and its
// ticks, which were the larger part of our own time in a short connection (docs/performance.md). Callbacks are functions
// shared by all connections; the connection hangs on its handle. Everything that net.Socket does about half-closing, resets and
// writes that wait is done here as well; every suite of the data path runs over both kinds.
import { getSystemErrorName } from 'node:util';
import type { Endpoint } from '../../model/endpoint.ts';
import { type Connection, type ConnectionOwner, noOwner } from './connection.ts';
import {
  type ClientHandle,
  endOfStream,
  type HandleRequest,
  type NodeHandles,
  type SocketName,
  socketType,
  type TcpHandle,
  type WriteRequest,
} from './node-handles.ts';
import type { ReadBuffers } from './read-buffers.ts';

/** What the connections of one factory share. */
export interface TcpHandleContext {
  readonly node: NodeHandles;
  readonly buffers: ReadBuffers;
  /** A connection's descriptor is closed. */
  forget(): void;
}

/** The kernel has closed the connection meanwhile: nothing is left to end. */
const notConnected = 'ENOTCONN';

const unknownName: SocketName = {};

export class TcpHandleConnection implements Connection {
  owner: ConnectionOwner;
  ownBuffer: Buffer | undefined = undefined;
  isStaged = false;
  /** Bytes that libuv holds because the kernel has not taken them. */
  writableLength = 0;
  destroyed = false;
  readonly #context: TcpHandleContext;
  readonly #handle: TcpHandle;
  /** Where the handle reads into; held here, because libuv only has the address. */
  #target: Buffer;
  #isReading = false;
  #hasEnded = false;
  /** `end` has been called, and the FIN is out. */
  #isEnding = false;
  #isShutDown = false;
  #notifiesDrained = false;
  #closesWhenDrained = false;
  #resetsWhenShutDown = false;
  #local: SocketName | undefined = undefined;
  #remote: SocketName | undefined = undefined;

  private constructor(context: TcpHandleContext, handle: TcpHandle, owner: ConnectionOwner, target: Buffer) {
    this.owner = owner;
    this.#context = context;
    this.#handle = handle;
    this.#target = target;
    handle.connection = this;
    handle.onread = onRead;
    handle.useUserBuffer(this.#target);
  }

  static connect(
    context: TcpHandleContext,
    { host, port }: Endpoint,
    owner: ConnectionOwner,
  ): TcpHandleConnection {
    const { TcpHandle, ConnectRequest } = context.node;
    const handle = new TcpHandle(socketType);
    const connection = new TcpHandleConnection(context, handle, owner, context.buffers.shared);
    const request = new ConnectRequest();
    request.connection = connection;
    request.oncomplete = onConnected;
    const status = host.includes(':')
      ? handle.connect6(request, host, port)
      : handle.connect(request, host, port);
    if (status !== 0) connection.#fail(status, 'connect');
    return connection;
  }

  static accept(
    context: TcpHandleContext,
    client: ClientHandle,
    owner: ConnectionOwner,
  ): TcpHandleConnection {
    const { firstRead } = context.buffers;
    const connection = new TcpHandleConnection(context, client as TcpHandle, owner, firstRead);
    connection.#handle.setNoDelay(true);
    connection.resume();
    return connection;
  }

  get localAddress(): string | undefined {
    return this.#localName().address;
  }
  get localPort(): number | undefined {
    return this.#localName().port;
  }
  get remoteAddress(): string | undefined {
    return this.#remoteName().address;
  }
  get remotePort(): number | undefined {
    return this.#remoteName().port;
  }

  setKeepAlive(enable: boolean, delayMs: number, intervalMs: number, count: number): void {
    if (this.destroyed) return;
    const seconds = (ms: number): number => Math.max(1, Math.trunc(ms / 1000));
    this.#handle.setKeepAlive(enable, seconds(delayMs), seconds(intervalMs), count);
  }

  hasPeer(): boolean {
    return this.destroyed || this.#handle.getpeername({}) === 0;
  }

  write(bytes: Uint8Array): boolean {
    // A write after `end` has no way to tell its failure; the owner never does that.
    if (this.destroyed || this.#isEnding || bytes.length === 0) return true;
    const result = this.#handle.writeBuffer(null, bytes);
    if (typeof result === 'number') {
      if (result !== 0) this.#fail(result, 'write');
      return true;
    }
    this.writableLength += bytes.length;
    result.connection = this;
    result.bytes = bytes;
    result.oncomplete = onWritten;
    const { writeStatus } = result;
    if (writeStatus !== null) {
      result.writeStatus = null;
      result.oncomplete(writeStatus);
    }
    return this.writableLength === 0;
  }

  notifyWhenDrained(): void {
    this.#notifiesDrained = true;
    if (this.writableLength === 0) process.nextTick(drained, this);
  }

  resume(): void {
    if (this.destroyed || this.#isReading || this.#hasEnded) return;
    this.#isReading = true;
    const status = this.#handle.readStart();
    if (status !== 0) this.#fail(status, 'read');
  }

  end(): void {
    if (this.destroyed || this.#isEnding) return;
    this.#isEnding = true;
    const request = new this.#context.node.ShutdownRequest();
    request.connection = this;
    request.oncomplete = onShutDown;
    const status = this.#handle.shutdown(request);
    // The owner may not hear of anything from within its own call.
    if (status === 1 || (status < 0 && getSystemErrorName(status) === notConnected)) {
      process.nextTick(shutDown, this);
    } else if (status !== 0) this.#fail(status, 'shutdown');
  }

  destroySoon(): void {
    if (this.writableLength === 0) this.destroy();
    else this.#closesWhenDrained = true;
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#handle.close();
    process.nextTick(closed, this);
  }

  resetAndDestroy(): void {
    if (this.destroyed) return;
    // libuv refuses a RST while the FIN has been asked for and is not out. Without bytes that wait it goes out within
    // this turn of the loop; with them it may never.
    if (this.#isEnding && !this.#isShutDown) {
      if (this.writableLength > 0) this.destroy();
      else this.#resetsWhenShutDown = true;
      return;
    }
    this.destroyed = true;
    if (this.#handle.reset() !== 0) this.#handle.close();
    process.nextTick(closed, this);
  }

  // --- called by the shared callbacks below ---------------------------------------------------------------

  connected(status: number): void {
    if (this.destroyed) return;
    if (status !== 0) {
      this.#fail(status, 'connect');
      return;
    }
    this.#handle.setNoDelay(true);
    this.resume();
    if (!this.destroyed) this.owner.connectionOpened(this);
  }

  /** Returns where the handle reads next, or undefined for the same buffer. */
  read(): Buffer | undefined {
    const { node, buffers } = this.#context;
    const result = node.readOutcome.takeResult();
    if (this.destroyed || result === 0) return undefined;
    if (result > 0) return this.#bytesCame(result, buffers);
    this.#isReading = false;
    if (result === endOfStream) {
      this.#hasEnded = true;
      this.owner.connectionEnded(this);
      this.#closeIfEnded();
    } else {
      this.#fail(result, 'read');
    }
    return undefined;
  }

  #bytesCame(byteCount: number, buffers: ReadBuffers): Buffer | undefined {
    const goesOn = this.owner.connectionRead(this, this.#target, byteCount);
    const next = buffers.next() as Buffer | undefined;
    if (next !== undefined) this.#target = next;
    if (!goesOn && !this.destroyed) {
      this.#isReading = false;
      this.#handle.readStop();
    }
    return next;
  }

  written(status: number, byteCount: number): void {
    this.writableLength -= byteCount;
    if (this.destroyed) return;
    if (status < 0) this.#fail(status, 'write');
    else if (this.writableLength === 0) this.drained();
  }

  drained(): void {
    if (this.destroyed || this.writableLength > 0) return;
    if (this.#closesWhenDrained) {
      this.destroy();
    } else if (this.#notifiesDrained) {
      this.#notifiesDrained = false;
      this.owner.connectionDrained(this);
    }
  }

  shutDown(): void {
    this.#isShutDown = true;
    if (this.#resetsWhenShutDown) this.resetAndDestroy();
    else this.#closeIfEnded();
  }

  closed(): void {
    const { owner } = this;
    this.owner = noOwner;
    this.#context.forget();
    owner.connectionClosed(this);
  }

  // --- the end --------------------------------------------------------------------------------------------

  #closeIfEnded(): void {
    if (this.#hasEnded && this.#isShutDown) this.destroy();
  }

  /** Closes at once; the owner hears of it when the present call is over, as net.Socket has it. */
  #fail(status: number, call: string): void {
    if (this.destroyed) return;
    // Queued before the end, because no owner hears of anything after that.
    process.nextTick(failed, this, status, call);
    this.destroy();
  }

  /** Each is asked for once: it costs a system call, and a closed socket has no name. */
  #localName(): SocketName {
    if (this.#local === undefined && !this.destroyed) {
      const name: SocketName = {};
      if (this.#handle.getsockname(name) === 0) this.#local = name;
    }
    return this.#local ?? unknownName;
  }

  #remoteName(): SocketName {
    if (this.#remote === undefined && !this.destroyed) {
      const name: SocketName = {};
      if (this.#handle.getpeername(name) === 0) this.#remote = name;
    }
    return this.#remote ?? unknownName;
  }
}

function onRead(this: TcpHandle): Buffer | undefined {
  return (this.connection as TcpHandleConnection).read();
}

function onConnected(this: HandleRequest, status: number): void {
  (this.connection as TcpHandleConnection).connected(status);
}

function onWritten(this: HandleRequest, status: number): void {
  const request = this as WriteRequest;
  const { bytes } = request;
  request.bytes = undefined;
  (request.connection as TcpHandleConnection).written(status, bytes?.length ?? 0);
}

function onShutDown(this: HandleRequest): void {
  (this.connection as TcpHandleConnection).shutDown();
}

function drained(connection: TcpHandleConnection): void {
  connection.drained();
}

function shutDown(connection: TcpHandleConnection): void {
  connection.shutDown();
}

/**
 * The descriptor is closed when `close` returns. Node's own callback for that would come at the end of the turn, at the cost
 * of a read for each connection.
 */
function closed(connection: TcpHandleConnection): void {
  connection.closed();
}

function failed(connection: TcpHandleConnection, status: number, call: string): void {
  const code = getSystemErrorName(status);
  const error: NodeJS.ErrnoException = new Error(`${call} ${code}`);
  error.code = code;
  error.errno = status;
  error.syscall = call;
  connection.owner.connectionFailed(connection, error);
}

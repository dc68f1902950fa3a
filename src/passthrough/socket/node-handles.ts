// Node's own TCP handles, which net.Socket is built on, reached without `process.binding`: their classes are those of
// handles and requests that net itself makes. They have no public description and have changed before (Node 26
// writes without a request object, Node 24 with one), so nothing here is used before handle-check.ts has seen it work.
import { createServer, Socket } from 'node:net';

/** A TCP handle of Node as net.Socket uses it. Numbers returned are 0 or libuv's negative error. */
export interface TcpHandle {
  /** Called with the handle as `this`; returns where the next read goes, or undefined for the same buffer. */
  onread: ((this: TcpHandle) => Uint8Array | undefined) | undefined;
  /** Ours: whom the handle belongs to. */
  connection?: unknown;
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  /** 0 when the kernel has taken everything; a request when some of it waits. */
  writeBuffer(request: null, bytes: Uint8Array): number | WriteRequest;
  /** 1 when it is done already. */
  shutdown(request: HandleRequest): number;
  connect(request: HandleRequest, address: string, port: number): number;
  connect6(request: HandleRequest, address: string, port: number): number;
  unref(): void;
  setNoDelay(enable: boolean): number;
  setKeepAlive(enable: boolean, delaySeconds: number, intervalSeconds: number, count: number): number;
  getsockname(out: SocketName): number;
  getpeername(out: SocketName): number;
  /** The descriptor is closed when it returns. */
  close(): void;
  /** The same with a RST. Refused while the FIN has been asked for and is not out. */
  reset(): number;
}

export interface SocketName {
  address?: string;
  port?: number;
}

/** Something asked of a handle, with the connection that asked. */
export interface HandleRequest {
  oncomplete: ((this: HandleRequest, status: number) => void) | undefined;
  connection?: unknown;
}

export interface WriteRequest extends HandleRequest {
  /** Ours: what is being written, so that it is not collected. */
  bytes?: Uint8Array | undefined;
  /** Set when the write ended before `oncomplete` was there. */
  writeStatus: number | null;
}

/** A raw connection as Node's TCP server handle passes it on. */
export type ClientHandle = object;

export interface NodeHandles {
  readonly TcpHandle: new (type: number) => TcpHandle;
  readonly ConnectRequest: new () => HandleRequest;
  readonly ShutdownRequest: new () => HandleRequest;
  readonly readOutcome: ReadOutcome;
}

const methods = [
  'useUserBuffer',
  'readStart',
  'readStop',
  'writeBuffer',
  'shutdown',
  'connect',
  'connect6',
  'unref',
  'setNoDelay',
  'setKeepAlive',
  'getsockname',
  'getpeername',
  'close',
  'reset',
] as const;

/** TCPConstants.SOCKET: the handle of a connection, not of a server. */
export const socketType = 0;

/** `ReadOutcome.takeResult` for the other side's FIN. */
export const endOfStream = -4095;

/**
 * Releases of Node whose handles the tests have run on. Of another one even trying could end the process, because a
 * native method that is called in another way than it expects aborts.
 */
const testedMajors: readonly number[] = [26];

type OnRead = (this: object, arrayBuffer: undefined) => unknown;

/**
 * How many bytes a handle has just read. That number is in an array inside Node; the function that net.Socket hangs
 * into its handles reads it and tells its socket. This is a socket for it to tell, whose handle is never opened.
 */
export class ReadOutcome extends Socket {
  readonly #handle: TcpHandle;
  readonly #onRead: OnRead;
  #result = 0;

  constructor(handle: TcpHandle) {
    const buffer = Buffer.alloc(1);
    const callback = (byteCount: number): boolean => {
      this.#result = byteCount;
      return true;
    };
    const options = { handle, manualStart: true, allowHalfOpen: true, onread: { buffer, callback } };
    // `handle` is what net.Server itself passes; @types/node declares only its other use.
    super(options as object);
    handle.unref();
    this.#handle = handle;
    this.#onRead = handle.onread as OnRead;
  }

  /** To be called first in a read callback: bytes, 0 for nothing, or libuv's negative error (`endOfStream`). */
  takeResult(): number {
    this.#result = 0;
    this.#onRead.call(this.#handle, undefined);
    return this.#result;
  }

  override push(): boolean {
    this.#result = endOfStream;
    return false;
  }

  override read(): null {
    return null;
  }

  override destroy(error?: NodeJS.ErrnoException): this {
    this.#result = error?.errno ?? endOfStream;
    return this;
  }
}

/** What went wrong is the reason why net.Socket is used. */
export type FoundHandles =
  | { readonly ok: true; readonly value: NodeHandles }
  | {
      readonly ok: false;
      readonly problem: string;
      /** Of the system error, where it was one: the same check may pass later. */
      readonly code?: string;
    };

/**
 * Finds the classes. A server on a free loopback port gives the handle's; the requests' are taken from a net.Socket
 * that believes it connects, writes and ends: its handle has these methods replaced, so that nothing is sent.
 */
export async function findNodeHandles(version = process.versions.node): Promise<FoundHandles> {
  if (!testedMajors.includes(Number.parseInt(version, 10))) {
    return { ok: false, problem: `not tested with Node ${version}` };
  }
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: '127.0.0.1', port: 0 }, resolve);
    });
    const { _handle: serverHandle } = server as unknown as { _handle?: object };
    const TcpHandle = serverHandle?.constructor as NodeHandles['TcpHandle'] | undefined;
    if (TcpHandle === undefined) return { ok: false, problem: 'a server has no handle' };
    const missing = methods.find((name) => typeof TcpHandle.prototype[name] !== 'function');
    if (missing) return { ok: false, problem: `a handle has no ${missing}` };
    const { connect, shutdown, writes } = await requestsOf(new TcpHandle(socketType));
    if (!connect || !shutdown) return { ok: false, problem: 'a socket does not make requests' };
    if (!writes) return { ok: false, problem: 'this Node version writes in another way' };
    const readOutcome = new ReadOutcome(new TcpHandle(socketType));
    return {
      ok: true,
      value: { TcpHandle, ConnectRequest: connect, ShutdownRequest: shutdown, readOutcome },
    };
  } catch (error) {
    return { ok: false, problem: error instanceof Error ? error.message : String(error) };
  } finally {
    server.close();
  }
}

type RequestClass = new () => HandleRequest;

interface Requests {
  connect?: RequestClass;
  shutdown?: RequestClass;
  /** Writing takes no request object. */
  writes?: boolean;
}

async function requestsOf(handle: TcpHandle): Promise<Requests> {
  const found: Requests = {};
  const { promise, resolve } = Promise.withResolvers<Requests>();
  const socket = new Socket({ handle, manualStart: true, allowHalfOpen: true } as object);
  const fake = {
    connect(request: HandleRequest) {
      found.connect = request.constructor as RequestClass;
      const connected = request.oncomplete as unknown as (...args: unknown[]) => void;
      process.nextTick(() => connected.call(request, 0, handle, request, true, true));
      return 0;
    },
    writeBuffer(request: unknown) {
      found.writes = request === null;
      return 0;
    },
    shutdown(request: HandleRequest) {
      found.shutdown = request.constructor as RequestClass;
      return 1;
    },
    readStart: () => 0,
  };
  Object.assign(handle, fake);
  socket.on('error', () => {});
  socket.once('close', () => resolve(found));
  socket.once('connect', () => {
    socket.write(Buffer.alloc(1));
    socket.end();
    setImmediate(() => socket.destroy());
  });
  socket.connect({ host: '127.0.0.1', port: 1 });
  return promise;
}

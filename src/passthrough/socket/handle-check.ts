// Whether connections on bare handles work with this Node: before any client's bytes go that way, one connection over loopback
// has gone through everything that a connection does: dial, bytes, a writer whose reader is slow, both FINs, RST, refusal.
import { createServer } from 'node:net';
import { makeEndpoint } from '../../model/endpoint.ts';
import { codeOf } from '../../model/error-text.ts';
import { TcpHandleConnection, type TcpHandleContext } from './tcp-handle-connection.ts';
import type { Connection, ConnectionOwner } from './connection.ts';
import { type ClientHandle, findNodeHandles, type FoundHandles, type NodeHandles } from './node-handles.ts';
import { ReadBuffers } from './read-buffers.ts';

/** An idle machine needs some milliseconds. */
const checkWithinMs = 10_000;

const blockBytes = 64 * 1024;

/** Loopback takes a few MiB before a writer has to wait; far above that something is wrong. */
const maxBlocks = 1024;

export interface HandleCheckSteps {
  readonly find: () => Promise<FoundHandles>;
  readonly withinMs: number;
}

/** Never fails: what does not work is a problem named for the log. */
export async function checkNodeHandles({
  find = findNodeHandles,
  withinMs = checkWithinMs,
}: Partial<HandleCheckSteps> = {}): Promise<FoundHandles> {
  const undo: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<FoundHandles>((resolve) => {
    const problem = 'the check did not end in time';
    timer = setTimeout(resolve, withinMs, { ok: false, problem, code: 'ETIMEDOUT' });
    timer.unref();
  });
  try {
    return await Promise.race([check(find, undo), late]);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    const code = codeOf(error);
    return { ok: false, problem, ...(code !== undefined && { code }) };
  } finally {
    clearTimeout(timer);
    for (const step of undo) step();
  }
}

async function check(find: HandleCheckSteps['find'], undo: (() => void)[]): Promise<FoundHandles> {
  const found = await find();
  if (!found.ok) return found;
  await new SelfTest(found.value, undo).run();
  return found;
}

/** What a connection has told its owner, and whoever waits for more. */
class RecordingOwner implements ConnectionOwner {
  isConnected = false;
  received = 0;
  isIntact = true;
  isDrained = false;
  hasEnded = false;
  isClosed = false;
  errorCode: string | undefined;
  isReading = true;
  /** The connection's failure is what is waited for. */
  mayFail = false;
  readonly #block: Buffer;
  #onChange: (() => void) | undefined;

  /** `block` is what the other side sends, again and again. */
  constructor(block: Buffer) {
    this.#block = block;
  }

  connectionOpened(): void {
    this.isConnected = true;
    this.#onChange?.();
  }
  connectionRead(_connection: Connection, buffer: Buffer, byteCount: number): boolean {
    const block = this.#block;
    for (let index = 0; index < byteCount; ) {
      const from = (this.received + index) % block.length;
      const length = Math.min(block.length - from, byteCount - index);
      if (buffer.compare(block, from, from + length, index, index + length) !== 0) this.isIntact = false;
      index += length;
    }
    this.received += byteCount;
    this.#onChange?.();
    return this.isReading;
  }
  connectionDrained(): void {
    this.isDrained = true;
    this.#onChange?.();
  }
  connectionEnded(): void {
    this.hasEnded = true;
    this.#onChange?.();
  }
  connectionFailed(_connection: Connection, error: NodeJS.ErrnoException): void {
    this.errorCode = error.code ?? error.message;
    this.#onChange?.();
  }
  connectionClosed(): void {
    this.isClosed = true;
    this.#onChange?.();
  }

  /** Fails when the connection fails without being expected to. */
  until(what: string, isSo: (owner: RecordingOwner) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#onChange = () => {
        if (isSo(this)) resolve();
        else if (this.errorCode !== undefined && !this.mayFail)
          reject(Object.assign(new Error(`${what}: ${this.errorCode}`), { code: this.errorCode }));
        else return;
        this.#onChange = undefined;
      };
      this.#onChange();
    });
  }
}

function must(isSo: boolean, what: string): void {
  if (!isSo) throw new Error(what);
}

class SelfTest {
  readonly #context: TcpHandleContext;
  /** What is left open when the check ends early. */
  readonly #undo: (() => void)[];
  readonly #server = createServer();
  readonly #block = Buffer.alloc(blockBytes);
  #onClient: ((handle: ClientHandle) => void) | undefined;
  #port = 0;
  #open = 0;

  constructor(node: NodeHandles, undo: (() => void)[]) {
    this.#undo = undo;
    undo.push(() => this.#server.close());
    for (let index = 0; index < blockBytes; index += 1) this.#block[index] = index % 251;
    this.#context = { node, buffers: new ReadBuffers(), forget: () => (this.#open -= 1) };
  }

  async run(): Promise<void> {
    await this.#listen();
    await this.#bytesAndFins();
    await this.#reset();
    this.#server.close();
    await this.#refusal();
    must(this.#open === 0, 'a closed connection was not counted');
  }

  async #listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: '127.0.0.1', port: 0 }, resolve);
    });
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a server has no address');
    this.#port = address.port;
    const { _handle: handle } = this.#server as unknown as { _handle: { onconnection?: unknown } };
    handle.onconnection = (status: number, client: ClientHandle) => {
      if (status === 0) this.#onClient?.(client);
    };
  }

  #connect(owner: ConnectionOwner): Connection {
    this.#open += 1;
    const connection = TcpHandleConnection.connect(
      this.#context,
      makeEndpoint('127.0.0.1', this.#port),
      owner,
    );
    this.#undo.push(() => connection.destroy());
    return connection;
  }

  async #pair(): Promise<{
    near: Connection;
    far: Connection;
    nearOwner: RecordingOwner;
    farOwner: RecordingOwner;
  }> {
    const nearOwner = new RecordingOwner(this.#block);
    const farOwner = new RecordingOwner(this.#block);
    const accepted = new Promise<Connection>((resolve) => {
      this.#onClient = (handle) => {
        this.#open += 1;
        const connection = TcpHandleConnection.accept(this.#context, handle, farOwner);
        this.#undo.push(() => connection.destroy());
        resolve(connection);
      };
    });
    const near = this.#connect(nearOwner);
    await nearOwner.until('connecting', ({ isConnected }) => isConnected);
    return { near, far: await accepted, nearOwner, farOwner };
  }

  async #bytesAndFins(): Promise<void> {
    const { near, far, nearOwner, farOwner } = await this.#pair();
    must(near.remotePort === this.#port && far.localPort === this.#port, 'wrong addresses');
    far.write(this.#block.subarray(0, 1000));
    await nearOwner.until('reading', ({ received }) => received === 1000);
    // A reader that has paused, and a writer that therefore has to wait.
    farOwner.isReading = false;
    let sent = 0;
    for (; near.writableLength === 0 && sent < maxBlocks; sent += 1) near.write(this.#block);
    must(near.writableLength > 0, 'a writer never had to wait');
    near.notifyWhenDrained();
    await farOwner.until('reading', ({ received }) => received > 0);
    farOwner.isReading = true;
    far.resume();
    await nearOwner.until('draining', ({ isDrained }) => isDrained);
    must(near.writableLength === 0, 'a drained writer still had bytes');
    near.end();
    await farOwner.until('the first FIN', ({ hasEnded }) => hasEnded);
    must(farOwner.received === sent * blockBytes, 'bytes were lost');
    far.end();
    await Promise.all([
      nearOwner.until('the second FIN', ({ hasEnded, isClosed }) => hasEnded && isClosed),
      farOwner.until('closing', ({ isClosed }) => isClosed),
    ]);
    must(nearOwner.isIntact && farOwner.isIntact, 'bytes were changed');
  }

  async #reset(): Promise<void> {
    const { near, nearOwner, farOwner } = await this.#pair();
    farOwner.mayFail = true;
    near.resetAndDestroy();
    await farOwner.until('a RST', ({ isClosed }) => isClosed);
    must(farOwner.errorCode === 'ECONNRESET', 'a RST was not seen');
    await nearOwner.until('closing', ({ isClosed }) => isClosed);
  }

  /** The server is gone. */
  async #refusal(): Promise<void> {
    const owner = new RecordingOwner(this.#block);
    owner.mayFail = true;
    this.#connect(owner);
    await owner.until('a refusal', ({ isClosed }) => isClosed);
    must(owner.errorCode === 'ECONNREFUSED', 'a refusal was not seen');
  }
}

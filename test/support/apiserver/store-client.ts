// A store in another process. While that process is stopped or gone, operations hang, as reads of an API
// server without etcd do; connections are made again, and watches go on where they were.
import { connect, type Socket } from 'node:net';
import { parseSocketAddress } from './socket-address.ts';
import type {
  ListResult,
  PutOptions,
  StoreApi,
  StoredValue,
  StoreWatcher,
  WatchResult,
  WriteResult,
} from './store.ts';
import { type FromStore, onMessage, type Operation, send, type ToStore } from './store-wire.ts';
import { Timers } from './timers.ts';
import type { KubeObject } from './objects.ts';

const reconnectMs = 50;
const reads: readonly Operation[] = ['get', 'list', 'revision'];

interface Pending {
  readonly message: ToStore;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  isSent: boolean;
}

interface OpenWatch {
  readonly prefix: string;
  readonly watcher: StoreWatcher;
  afterRevision: number;
}

export class StoreClient implements StoreApi {
  readonly #address: string;
  readonly #timers = new Timers();
  readonly #pending = new Map<number, Pending>();
  readonly #watches = new Map<number, OpenWatch>();
  #socket: Socket | undefined;
  #isConnected = false;
  #isClosed = false;
  #lastId = 0;

  /** Connects when it can; operations wait for that. */
  constructor(address: string) {
    this.#address = address;
    this.#connect();
  }

  get(key: string): Promise<StoredValue | undefined> {
    return this.#call('get', key) as Promise<StoredValue | undefined>;
  }

  list(prefix: string, atRevision?: number): Promise<ListResult> {
    return this.#call('list', prefix, atRevision) as Promise<ListResult>;
  }

  put(key: string, value: KubeObject, options: PutOptions = {}): Promise<WriteResult> {
    return this.#call('put', key, value, options) as Promise<WriteResult>;
  }

  delete(key: string, options: { expect?: number } = {}): Promise<WriteResult> {
    return this.#call('delete', key, options) as Promise<WriteResult>;
  }

  async compact(): Promise<void> {
    await this.#call('compact');
  }

  revision(): Promise<number> {
    return this.#call('revision') as Promise<number>;
  }

  async watch(prefix: string, afterRevision: number, watcher: StoreWatcher): Promise<WatchResult> {
    this.#lastId += 1;
    const id = this.#lastId;
    this.#watches.set(id, { prefix, afterRevision, watcher });
    const message: ToStore = { id, op: 'watch', prefix, afterRevision };
    const result = (await this.#ask(message)) as WatchResult;
    if (!result.ok) this.#watches.delete(id);
    if (!result.ok) return result;
    const cancel = () => {
      if (this.#watches.delete(id) && this.#socket && this.#isConnected) {
        send(this.#socket, { id, op: 'cancel' });
      }
    };
    return { ok: true, watch: { cancel } };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timers.stop();
    this.#watches.clear();
    this.#socket?.destroy();
    this.#failPending(() => true, 'the store client is closed');
  }

  #call(op: Operation, ...args: readonly unknown[]): Promise<unknown> {
    this.#lastId += 1;
    return this.#ask({ id: this.#lastId, op, args });
  }

  #ask(message: ToStore): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const pending: Pending = { message, resolve, reject, isSent: false };
    this.#pending.set(message.id, pending);
    if (this.#isConnected) this.#send(pending);
    return promise;
  }

  #send(pending: Pending): void {
    if (!this.#socket) return;
    pending.isSent = true;
    send(this.#socket, pending.message);
  }

  #connect(): void {
    const socket = connect(parseSocketAddress(this.#address));
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('connect', () => {
      this.#isConnected = true;
      for (const [id, { prefix, afterRevision }] of this.#watches) {
        if (!this.#pending.has(id)) send(socket, { id, op: 'watch', prefix, afterRevision });
      }
      for (const pending of this.#pending.values()) this.#send(pending);
    });
    socket.on('close', () => {
      this.#isConnected = false;
      // A write that was on its way may have been done or not: only its caller can know what to do.
      const isUnsure = ({ message, isSent }: Pending) =>
        isSent && message.op !== 'watch' && !reads.some((op) => op === message.op);
      this.#failPending(isUnsure, 'etcdserver: request timed out, possibly due to connection lost');
      if (!this.#isClosed) this.#timers.after(reconnectMs, () => this.#connect());
    });
    onMessage<FromStore>(socket, (message) => this.#received(message));
  }

  #received(message: FromStore): void {
    const watch = this.#watches.get(message.id);
    if ('event' in message) {
      if (!watch) return;
      watch.afterRevision = message.event.revision;
      watch.watcher.onEvent(message.event);
      return;
    }
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (pending) {
      pending.resolve(message.result);
    } else if (watch && !(message.result as WatchResult).ok) {
      this.#watches.delete(message.id);
      watch.watcher.onLost?.();
    }
  }

  #failPending(isMeant: (pending: Pending) => boolean, text: string): void {
    for (const [id, pending] of this.#pending) {
      if (!isMeant(pending)) continue;
      this.#pending.delete(id);
      pending.reject(new Error(text));
    }
  }
}

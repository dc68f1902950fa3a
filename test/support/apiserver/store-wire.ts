// The store's operations as lines of JSON over a socket, for API servers in processes of their own.
import { createInterface } from 'node:readline';
import type { Socket } from 'node:net';
import type { StoreApi, StoreEvent } from './store.ts';

/** Operations that are called by name; `watch` and `cancel` are messages of their own. */
export type Operation = 'get' | 'list' | 'put' | 'delete' | 'compact' | 'revision';

export type ToStore =
  | { readonly id: number; readonly op: Operation; readonly args: readonly unknown[] }
  | { readonly id: number; readonly op: 'watch'; readonly prefix: string; readonly afterRevision: number }
  | { readonly id: number; readonly op: 'cancel' };

export type FromStore =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly event: StoreEvent };

export function send(socket: Socket, message: ToStore | FromStore): void {
  if (!socket.destroyed) socket.write(`${JSON.stringify(message)}\n`);
}

export function onMessage<T extends ToStore | FromStore>(
  socket: Socket,
  handler: (message: T) => void,
): void {
  const lines = createInterface({ input: socket });
  lines.on('line', (line) => handler(JSON.parse(line) as T));
  // It repeats the socket's errors, which the owner of the socket deals with.
  lines.on('error', () => {});
}

/** Calls an operation of the store by its name. */
export function call(store: StoreApi, op: Operation, args: readonly unknown[]): Promise<unknown> {
  // The names are those of the interface, and the arguments come from its other end.
  const operations = store as unknown as Record<Operation, (...args: unknown[]) => Promise<unknown>>;
  return operations[op](...args);
}

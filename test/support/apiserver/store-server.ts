// Serves a store on a socket. Run as a process it stands for etcd; killing or stopping it loses etcd:
//
//   node test/support/apiserver/store-server.ts --listen unix:/tmp/store.sock --data /tmp/store.jsonl
//
// One JSON line says when it is ready. With --data, what it held is there again after a restart.
// With --exit-with-stdin it ends when its parent does.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { listenOn } from './socket-address.ts';
import { type JournalEntry, Store, type StoreApi, type StoreWatch } from './store.ts';
import { call, onMessage, send, type ToStore } from './store-wire.ts';

export interface StoreServer {
  /** Where it listens, with the real port. */
  readonly address: string;
  /** Closes the listener and every connection; the store stays. */
  close(): Promise<void>;
}

export async function serveStore(store: StoreApi, listen: string): Promise<StoreServer> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    const release = serveClient(store, socket);
    socket.on('close', () => {
      sockets.delete(socket);
      release();
    });
  });
  const address = await listenOn(server, listen);
  return {
    address,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function serveClient(store: StoreApi, socket: Socket): () => void {
  const watches = new Map<number, StoreWatch>();
  onMessage<ToStore>(socket, (message) => {
    const { id } = message;
    if (message.op === 'cancel') {
      watches.get(id)?.cancel();
      watches.delete(id);
    } else if (message.op === 'watch') {
      const onEvent = (event: Parameters<Parameters<StoreApi['watch']>[2]['onEvent']>[0]) =>
        send(socket, { id, event });
      void store.watch(message.prefix, message.afterRevision, { onEvent }).then((result) => {
        if (result.ok && socket.destroyed) result.watch.cancel();
        else if (result.ok) watches.set(id, result.watch);
        send(socket, { id, result: result.ok ? { ok: true } : result });
      });
    } else {
      void call(store, message.op, message.args).then((result) => send(socket, { id, result }));
    }
  });
  return () => {
    for (const watch of watches.values()) watch.cancel();
  };
}

/** A store that writes what it does to a file, and begins with what is there. */
export function openStore(file: string | undefined): Store {
  if (!file) return new Store();
  const store = new Store({ journal: (entry) => appendFileSync(file, `${JSON.stringify(entry)}\n`) });
  if (existsSync(file)) {
    const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
    store.replay(lines.map((line) => JSON.parse(line) as JournalEntry));
  }
  return store;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      listen: { type: 'string', default: '127.0.0.1:0' },
      data: { type: 'string' },
      'exit-with-stdin': { type: 'boolean', default: false },
    },
  });
  const server = await serveStore(openStore(values.data), values.listen);
  if (values['exit-with-stdin']) process.stdin.on('end', () => process.exit(0)).resume();
  console.log(JSON.stringify({ ready: true, address: server.address, pid: process.pid }));
}

if (import.meta.main) await main();

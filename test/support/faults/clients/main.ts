// The clients of a fault test, in a process of their own, because they live on the node's network.
// One JSON command a line on stdin, one JSON answer a line on stdout; the end of stdin ends it.
import { get } from 'node:http';
import { createInterface } from 'node:readline';
import { burst, Crowd } from './crowd.ts';
import { Established } from './established.ts';
import { NewConnections } from './new-connections.ts';
import { monotonicMs } from './monotonic.ts';
import type { Target } from './target.ts';
import { Watches } from './watches.ts';
import type { Answers, Command } from './wire.ts';

let target: Target | undefined;
let nextHandle = 1;
const newConnections = new Map<number, NewConnections>();
const established = new Map<number, Established>();
const watches = new Map<number, Watches>();
const crowds = new Map<number, Crowd>();

function theTarget(): Target {
  if (!target) throw new Error('no target yet');
  return target;
}

function find<T>(map: Map<number, T>, handle: number): T {
  const found = map.get(handle);
  if (!found) throw new Error(`no client ${handle}`);
  return found;
}

function add<T>(map: Map<number, T>, client: T): number {
  const handle = nextHandle;
  nextHandle += 1;
  map.set(handle, client);
  return handle;
}

async function carryOut(command: Command): Promise<Answers[Command['op']]> {
  switch (command.op) {
    case 'target':
      target = command.target;
      return null;
    case 'start-new':
      return add(newConnections, new NewConnections(theTarget(), command.options));
    case 'stop-new':
      return find(newConnections, command.handle).stop();
    case 'peek-new':
      return find(newConnections, command.handle).calls.slice(-command.last);
    case 'start-established':
      return add(established, new Established(theTarget(), command.options));
    case 'peek-established':
      return find(established, command.handle).calls.slice(-command.last);
    case 'stop-established':
      return find(established, command.handle).stop();
    case 'start-watches':
      return add(watches, new Watches(theTarget(), command.count));
    case 'open-watches':
      return find(watches, command.handle).open;
    case 'stop-watches':
      return find(watches, command.handle).stop();
    case 'start-crowd':
      return add(crowds, new Crowd(theTarget()));
    case 'grow-crowd':
      return find(crowds, command.handle).grow(command.count);
    case 'crowd-open':
      return find(crowds, command.handle).open;
    case 'stop-crowd':
      find(crowds, command.handle).stop();
      return null;
    case 'burst':
      return burst(theTarget(), command.count, command.path, command.timeoutMs);
    case 'fetch':
      return fetchText(command.url);
  }
}

function fetchText(url: string): Promise<{ status: number; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
  get(url, { agent: false }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('end', () =>
      resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
    );
  }).on('error', reject);
  return promise;
}

const lines = createInterface({ input: process.stdin });
lines.on('close', () => process.exit(0));
lines.on('line', (line) => {
  const { id, command } = JSON.parse(line) as { id: number; command: Command };
  carryOut(command).then(
    (result) => console.log(JSON.stringify({ id, result })),
    (error: unknown) => console.log(JSON.stringify({ id, error: String(error) })),
  );
});
console.log(JSON.stringify({ ready: true, pid: process.pid, nowMs: monotonicMs() }));

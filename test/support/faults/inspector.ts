// Loaded into an agent before its own code (--import, with --expose-gc): on SIGUSR2 it prints, as one JSON line,
// what is alive in the process after a full collection. What memory statistics only suggest can be counted so.
import { Socket } from 'node:net';
import { queryObjects } from 'node:v8';

export interface Inspection {
  readonly liveHeapMb: number;
  readonly timers: number;
  readonly sockets: number;
}

const timeout = setTimeout(() => {}, 0);
const Timeout = timeout.constructor as new () => unknown;
clearTimeout(timeout);

process.on('SIGUSR2', () => {
  globalThis.gc?.();
  const inspection: Inspection = {
    liveHeapMb: process.memoryUsage().heapUsed / 2 ** 20,
    timers: queryObjects(Timeout, { format: 'count' }),
    sockets: queryObjects(Socket, { format: 'count' }),
  };
  console.log(JSON.stringify({ inspection }));
});

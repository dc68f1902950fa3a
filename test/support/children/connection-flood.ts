// A neighbour that means harm to a port of the loopback: holds connections, opens again those that were closed, and opens
// new ones at a steady rate. Prints as JSON what came of it when it is told to end (SIGTERM).
// Usage: node connection-flood.ts PORT HELD PER_SECOND silent|PATH
// With a PATH every connection asks for it; with `silent` none sends a byte.
import { connect, type Socket } from 'node:net';

const [port, held, perSecond, what = 'silent'] = process.argv.slice(2);
const target = { host: '127.0.0.1', port: Number(port) };
const request = `GET ${what} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
/** Its own limit: what the server under attack leaves open stays open here as well. */
const most = 1_500;
const young = new Set<Socket>();
const counts = { opened: 0, connected: 0, failed: 0 };

function open(onClose: () => void): Socket {
  counts.opened += 1;
  const socket = connect(target, () => {
    counts.connected += 1;
    if (what !== 'silent') socket.write(request);
  });
  socket.on('data', () => {});
  socket.on('error', () => {
    counts.failed += 1;
  });
  socket.on('close', onClose);
  return socket;
}

function hold(): void {
  open(() => setTimeout(hold, 50));
}

for (let index = 0; index < Number(held); index += 1) hold();

const startedMs = performance.now();
let made = 0;
setInterval(() => {
  const due = Math.floor(((performance.now() - startedMs) / 1000) * Number(perSecond));
  // What a busy moment left out is not made up for all at once.
  made = Math.max(made, due - 200);
  for (; made < due; made += 1) {
    const socket = open(() => young.delete(socket));
    young.add(socket);
    if (young.size > most) for (const oldest of young) return void oldest.destroy();
  }
}, 5);

process.on('SIGTERM', () => {
  process.stdout.write(`${JSON.stringify(counts)}\n`, () => process.exit(0));
});
process.stdout.write('ready\n');

// Distance: a TCP relay, as a process on the API server's host, that passes every byte on after a while. The kernels
// that tests run on often have no netem. Connecting is not delayed, which is harder on those who scale
// with the round trip of a connect.
import { connect, createServer, type Socket } from 'node:net';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    to: { type: 'string', default: '0' },
    'delay-ms': { type: 'string', default: '0' },
    'exit-with-stdin': { type: 'boolean', default: false },
  },
});
const delayMs = Number(values['delay-ms']);

/** Timers of equal length fire in order, so the bytes stay in theirs. */
function pass(from: Socket, to: Socket): void {
  from.on('data', (chunk) => setTimeout(() => to.write(chunk), delayMs));
  from.on('end', () => setTimeout(() => to.end(), delayMs));
  from.on('error', () => setTimeout(() => to.resetAndDestroy(), delayMs));
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const far = connect({ host: values.host, port: Number(values.to), allowHalfOpen: true, noDelay: true });
  pass(near, far);
  pass(far, near);
});
server.listen(Number(values.port), values.host, () => {
  console.log(JSON.stringify({ ready: true, pid: process.pid }));
});
if (values['exit-with-stdin']) process.stdin.on('end', () => process.exit(0)).resume();

// A data path in a process of its own, for tests that take its descriptors away: prints its port, and its numbers
// when its input ends. Arguments: the endpoint's port, the kind of connections.
import { systemClock } from '../../../src/model/clock.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { TunnelTable } from '../../../src/passthrough/tunnel-table.ts';
import { checkNodeHandles } from '../../../src/passthrough/socket/handle-check.ts';
import { defaultPassthroughOptions } from './default-options.ts';
import { startPassthroughListener } from '../../../src/passthrough/listener.ts';

const endpoint = makeEndpoint('127.0.0.1', Number(process.argv[2]));
let blamed = 0;
const outcomes = {
  dialed(_id: string, result: string) {
    if (result !== 'connected' && result !== 'exhausted') blamed += 1;
  },
  firstFlightUnanswered() {
    blamed += 1;
  },
  tunnelSilent() {},
  clientTls() {},
};
const log = { debug() {}, info() {}, warn() {}, error() {} };
const options = defaultPassthroughOptions();
const table = new TunnelTable({ clock: systemClock, random: Math.random, log, outcomes, options });
if (process.argv[3] === 'handles') {
  const found = await checkNodeHandles();
  if (found.ok) table.useHandles(found.value);
}
const listener = await startPassthroughListener({
  listen: { host: '127.0.0.1', port: 0 },
  picker: () => ({ candidates: [endpoint], usableCount: 1 }),
  table,
});
console.log(listener?.address.port);
process.stdin.resume();
process.stdin.on('end', async () => {
  await listener?.stopAccepting();
  await table.closeAll(0);
  console.log(JSON.stringify({ blamed, openSockets: table.openSockets }));
});

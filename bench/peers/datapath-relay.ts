// Fairlead's data path alone, as a yardstick for what the rest of the agent costs: listener, tunnel table and
// a fixed list of endpoints in the order given. No health, no discovery, no admin server.
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/model/clock.ts';
import { makeEndpoint, parseHostPort } from '../../src/model/endpoint.ts';
import { TunnelTable } from '../../src/passthrough/tunnel-table.ts';
import { checkNodeHandles } from '../../src/passthrough/socket/handle-check.ts';
import type { PassthroughOptions } from '../../src/passthrough/tunnel/options.ts';
import { startPassthroughListener } from '../../src/passthrough/listener.ts';

const { values } = parseArgs({
  options: {
    listen: { type: 'string', default: '' },
    endpoints: { type: 'string', default: '' },
    // The product's defaults as JSON: the table of settings is not part of what is measured here.
    options: { type: 'string', default: '' },
  },
});
const options: PassthroughOptions = JSON.parse(values.options);

function must(text: string) {
  const parsed = parseHostPort(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.value;
}

const candidates = values.endpoints.split(',').map((text) => {
  const { host, port } = must(text);
  return makeEndpoint(host, port);
});
const log = { debug() {}, info() {}, warn: console.error, error: console.error };
const outcomes = { dialed() {}, firstFlightUnanswered() {}, tunnelSilent() {}, clientTls() {} };
const table = new TunnelTable({ clock: systemClock, random: Math.random, log, outcomes, options });
const found = await checkNodeHandles();
if (found.ok) table.useHandles(found.value);
await startPassthroughListener({
  listen: must(values.listen),
  picker: () => ({ candidates, usableCount: candidates.length }),
  table,
});

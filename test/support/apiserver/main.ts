// One stand-in API server as a process of its own:
//
//   node test/support/apiserver/main.ts --name cp-1 --listen 127.0.0.11 --port 6443 \
//     --store unix:DIR/store.sock --pki DIR --control unix:DIR/cp-1.control --timings realistic
//
// DIR is written by writePki() (pki-files.ts). The store is a store-server.ts process; without --store this
// process has one of its own, and with --serve-store ADDRESS it serves that to others. One JSON line says when
// TCP is accepted; GET /ready on the control port answers when start-up is over. SIGTERM stops it as
// kube-apiserver stops (--shutdown-delay, --shutdown-send-retry-after), a second one at once. The switches
// are on the control port (control-server.ts). With --exit-with-stdin it ends when its parent does.
import { parseArgs } from 'node:util';
import type { AnonymousMode } from './access.ts';
import { ApiServer } from './api-server.ts';
import { serveControl } from './control-server.ts';
import { readServerPki, watchServerCertificate } from './pki-read.ts';
import { parseHostPort } from '../../../src/model/endpoint.ts';
import type { ShutdownOptions } from './stand-in.ts';
import { Store } from './store.ts';
import { StoreClient } from './store-client.ts';
import { serveStore } from './store-server.ts';
import { fastTimings, realisticTimings, type Timings } from './timings.ts';

const { values } = parseArgs({
  options: {
    name: { type: 'string', default: 'cp-1' },
    listen: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    advertise: { type: 'string' },
    store: { type: 'string' },
    'serve-store': { type: 'string' },
    pki: { type: 'string' },
    control: { type: 'string' },
    anonymous: { type: 'string', default: 'on' },
    /** `fast`, `realistic`, or JSON of some of the Timings on top of the fast ones. */
    timings: { type: 'string', default: 'fast' },
    'shutdown-delay': { type: 'string', default: '0' },
    'shutdown-send-retry-after': { type: 'boolean', default: false },
    'exit-with-stdin': { type: 'boolean', default: false },
  },
});

function usage(problem: string): never {
  console.error(`${problem}; see the head of ${import.meta.filename}`);
  process.exit(2);
}

function timings(text: string): Timings {
  if (text === 'fast') return fastTimings;
  if (text === 'realistic') return realisticTimings;
  return { ...fastTimings, ...(JSON.parse(text) as Partial<Timings>) };
}

const anonymous = (['on', 'off', 'forbidden', 'health-only'] as const).find(
  (mode) => mode === values.anonymous,
);
if (!anonymous) usage('--anonymous takes on, off, forbidden or health-only');
if (!values.pki) usage('--pki DIR is needed');
const advertised = values.advertise === undefined ? undefined : parseHostPort(values.advertise);
if (advertised && !advertised.ok) usage(`--advertise: ${advertised.problem}`);

const store = values.store ? new StoreClient(values.store) : new Store();
const storeServer = values['serve-store'] ? await serveStore(store, values['serve-store']) : undefined;
const server = new ApiServer({
  name: values.name,
  host: values.listen,
  port: Number(values.port),
  ...(advertised?.ok && { advertise: advertised.value }),
  store,
  ...(await readServerPki(values.pki, values.name)),
  anonymous: anonymous satisfies AnonymousMode,
  timings: timings(values.timings),
  shutdown: {
    delayMs: Number(values['shutdown-delay']),
    sendRetryAfter: values['shutdown-send-retry-after'],
  },
});
await server.start();
// New files are taken without a restart, as kube-apiserver does.
watchServerCertificate(values.pki, values.name, (pair) => void server.replaceCertificate(pair));

let isStopping = false;
function stop(options: Partial<ShutdownOptions> = {}): void {
  if (isStopping) process.exit(1);
  isStopping = true;
  void server.terminate(options).then(() => process.exit(0));
}
process.on('SIGTERM', () => stop());
process.on('SIGINT', () => stop());
const control = values.control ? await serveControl(server, values.control, stop) : undefined;
if (values['exit-with-stdin']) process.stdin.on('end', () => process.exit(0)).resume();

console.log(
  JSON.stringify({
    ready: true,
    name: server.name,
    address: server.address,
    pid: process.pid,
    ...(control && { control: control.address }),
    ...(storeServer && { store: storeServer.address }),
  }),
);

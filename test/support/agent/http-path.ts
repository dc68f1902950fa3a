// An http listener with everything behind it but discovery and health: what a test gives as endpoints is used.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ProxyCore } from '../../../src/http/proxy-core.ts';
import { type HttpListener, startHttpListener } from '../../../src/http/listener.ts';
import { defaultHttpOptions } from './default-options.ts';
import type { HttpOptions } from '../../../src/http/options.ts';
import type { FrontProxyHeaders } from '../../../src/http/client-identity.ts';
import type { FrontProxyPair, UpstreamTrust } from '../../../src/http/upstreams.ts';
import { systemClock } from '../../../src/model/clock.ts';
import { type Endpoint, makeEndpoint } from '../../../src/model/endpoint.ts';
import { RecordedOutcomes } from './data-path.ts';
import { type Leaf, makeCa, type TestCa } from '../credentials/pki.ts';
import { recordingLog } from '../fakes/recording-log.ts';

export interface HttpPath {
  readonly core: ProxyCore;
  readonly listener: HttpListener;
  readonly outcomes: RecordedOutcomes;
  readonly log: ReturnType<typeof recordingLog>;
  /** CA of the listener's own certificate. */
  readonly ca: TestCa;
  readonly certFile: string;
  readonly keyFile: string;
  /** Change these as health would. */
  endpoints: readonly Endpoint[];
  usableCount: number | undefined;
  trust: UpstreamTrust;
  readonly port: number;
  readonly url: string;
  /** Ends everything and checks that no socket is left. */
  stop(): Promise<void>;
}

export interface HttpPathOptions {
  readonly directory: string;
  readonly trust?: UpstreamTrust;
  readonly options?: Partial<HttpOptions>;
  readonly clientCa?: string;
  readonly frontProxy?: FrontProxyHeaders & FrontProxyPair;
  readonly passthroughAddresses?: readonly string[];
  readonly allowFrom?: readonly string[];
  readonly maxConnections?: number;
}

export function endpointOf({ host, port }: { host: string; port: number }): Endpoint {
  return makeEndpoint(host, port);
}

let count = 0;

export async function startHttpPath(
  endpoints: readonly Endpoint[],
  {
    directory,
    trust = {},
    options = {},
    clientCa,
    frontProxy,
    passthroughAddresses = ['127.0.0.1:6443'],
    allowFrom,
    maxConnections,
  }: HttpPathOptions,
): Promise<HttpPath> {
  count += 1;
  const ca = await makeCa('fairlead-local');
  const [certFile, keyFile, clientCaFile] = ['crt', 'key', 'ca'].map((end) =>
    join(directory, `serving-${count}.${end}`),
  ) as [string, string, string];
  const write = async ({ cert, key }: Leaf) => {
    await writeFile(certFile, cert);
    await writeFile(keyFile, key);
  };
  await write(await ca.issue({ commonName: 'fairlead', sans: ['localhost', '127.0.0.1'] }));
  if (clientCa) await writeFile(clientCaFile, clientCa);
  const outcomes = new RecordedOutcomes();
  const log = recordingLog();
  const core = new ProxyCore({
    clock: systemClock,
    random: Math.random,
    log,
    outcomes,
    options: defaultHttpOptions(options),
    picker: () => ({ candidates: path.endpoints, usableCount: path.usableCount ?? path.endpoints.length }),
    trust: () => path.trust,
    isUsable: (id) =>
      path.endpoints
        .slice(0, path.usableCount ?? path.endpoints.length)
        .some((endpoint) => endpoint.id === id),
  });
  if (frontProxy) core.upstreams.frontProxy = { cert: frontProxy.cert, key: frontProxy.key };
  const listener = await startHttpListener({
    listen: { host: '127.0.0.1', port: 0 },
    files: { certFile, keyFile, ...(clientCa && { clientCaFile }) },
    core,
    clock: systemClock,
    log,
    ...(frontProxy && { frontProxy }),
    ...(allowFrom && { allowFrom }),
    ...(maxConnections !== undefined && { maxConnections }),
    passthroughAddresses: () => passthroughAddresses,
  });
  if (!listener) throw new Error('the listener was left out');
  const path: HttpPath = {
    core,
    listener,
    outcomes,
    log,
    ca,
    certFile,
    keyFile,
    endpoints,
    usableCount: undefined,
    trust,
    port: listener.address.port,
    url: `https://127.0.0.1:${listener.address.port}`,
    async stop() {
      await listener.stopAccepting();
      core.stop();
      await listener.destroy();
      // Sockets tell of their end one turn later.
      const isLeft = () => core.upstreams.openSockets > 0 || core.counters.inFlight > 0;
      for (let turn = 0; isLeft() && turn < 1_000; turn += 1)
        await new Promise((resolve) => setImmediate(resolve));
      if (core.upstreams.openSockets > 0) throw new Error(`sockets left: ${core.upstreams.openSockets}`);
      if (core.counters.inFlight !== 0) throw new Error(`requests left: ${core.counters.inFlight}`);
      if (core.budget.usedBytes !== 0) throw new Error(`bodies left: ${core.budget.usedBytes} bytes`);
      for (const id of core.upstreams.ids()) {
        const { activeTunnels } = core.upstreams.traffic(id);
        if (activeTunnels !== 0) throw new Error(`requests left on ${id}: ${activeTunnels}`);
      }
    },
  };
  return path;
}

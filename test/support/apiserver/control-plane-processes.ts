// A stand-in control plane of processes: one for the store and one for each API server, so that killing and
// stopping them is real, also across network namespaces. Started as a program it runs three until it is
// interrupted, and says where they are:
//
//   node test/support/apiserver/control-plane-processes.ts
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { AnonymousMode } from './access.ts';
import { ApiServerProcess } from './api-server-process.ts';
import { NodeProcess } from './child-process.ts';
import { randomHosts } from './control-plane.ts';
import { ControlPlaneBase } from './control-plane-base.ts';
import { ControlPlaneFiles } from './control-plane-files.ts';
import { type ControlPlanePki, makePki, makeServerCertificates, writePki } from './pki-files.ts';
import type { ShutdownOptions } from './stand-in.ts';
import { StoreClient } from './store-client.ts';
import type { Timings } from './timings.ts';

export interface ProcessControlPlaneOptions {
  /** How many API servers; 3 by default. */
  readonly servers?: number;
  readonly hosts?: readonly string[];
  /** Port of all of them; by default one that is free on the first host. */
  readonly port?: number;
  /** How many of them are started; the others are down until `start()`. */
  readonly started?: number;
  readonly anonymous?: AnonymousMode;
  readonly timings?: 'fast' | 'realistic' | Partial<Timings>;
  readonly shutdown?: Partial<Omit<ShutdownOptions, 'retryAfterMs'>>;
  /** What goes before the command of a server, such as `['ip', 'netns', 'exec', 'ns1']`. */
  readonly prefix?: (index: number) => readonly string[];
}

const storeScript = new URL('store-server.ts', import.meta.url).pathname;

/** The store's process: SIGSTOP makes it hang, SIGKILL makes it go; it comes back with its data. */
export class StoreProcess extends NodeProcess {
  readonly address: string;

  constructor(dir: string) {
    const address = `unix:${join(dir, 'store.sock')}`;
    super(storeScript, ['--listen', address, '--data', join(dir, 'store.jsonl')]);
    this.address = address;
  }
}

export class ProcessControlPlane extends ControlPlaneBase<ApiServerProcess> {
  readonly storeProcess: StoreProcess;
  /** A client of the store, for tests that look or write past the API servers. */
  readonly store: StoreClient;

  constructor(
    servers: readonly ApiServerProcess[],
    storeProcess: StoreProcess,
    pki: ControlPlanePki,
    files: ControlPlaneFiles,
  ) {
    super(servers, pki, files);
    this.storeProcess = storeProcess;
    this.store = new StoreClient(storeProcess.address);
  }

  /** Kills every process and removes the files. Idempotent. */
  async stop(): Promise<void> {
    await Promise.all([...this.servers, this.storeProcess].map((process) => process.kill()));
    await this.store.close();
    await this.files.remove();
  }
}

/** Starts the processes; resolves when every started API server is ready and in the EndpointSlice. */
export async function startProcessControlPlane(
  options: ProcessControlPlaneOptions = {},
): Promise<ProcessControlPlane> {
  const { hosts = randomHosts(options.servers ?? 3), anonymous = 'on', timings = 'fast', shutdown } = options;
  const port = options.port ?? (await freePort(hosts[0] ?? '127.0.0.1'));
  const pki = await makePki();
  const files = new ControlPlaneFiles(pki);
  const dir = await files.directory();
  const names = hosts.map((_, index) => `cp-${index + 1}`);
  const certificates = hosts.map(async (host, index) => [
    names[index],
    await makeServerCertificates(pki, host),
  ]);
  await writePki(dir, pki, Object.fromEntries(await Promise.all(certificates)));
  const storeProcess = new StoreProcess(dir);
  const args = [
    ...['--store', storeProcess.address, '--anonymous', anonymous],
    ...['--timings', typeof timings === 'string' ? timings : JSON.stringify(timings)],
    ...['--shutdown-delay', String(shutdown?.delayMs ?? 0)],
    ...(shutdown?.sendRetryAfter ? ['--shutdown-send-retry-after'] : []),
  ];
  const servers = hosts.map((host, index) => {
    const name = names[index] ?? '';
    const controlPath = join(dir, `${name}.control`);
    const prefix = options.prefix?.(index) ?? [];
    return new ApiServerProcess({ name, host, port, controlPath, pkiDir: dir, args, prefix });
  });
  const plane = new ProcessControlPlane(servers, storeProcess, pki, files);
  try {
    await storeProcess.start();
    const running = servers.slice(0, options.started ?? servers.length);
    await Promise.all(running.map((server) => server.start()));
    await Promise.all(running.map((server) => server.ready()));
  } catch (error) {
    await plane.stop();
    throw error;
  }
  return plane;
}

async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

if (import.meta.main) {
  const plane = await startProcessControlPlane({ timings: 'realistic' });
  const kubeconfig = await plane.writeKubeconfig();
  const servers = plane.servers.map(({ name, address, pid }) => ({ name, address, pid }));
  console.log(JSON.stringify({ kubeconfig, directory: await plane.directory(), servers }, null, 2));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void plane.stop().then(() => process.exit(0)));
  }
}

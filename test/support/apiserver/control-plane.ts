// A whole stand-in control plane in this process: N API servers over one store, on loopback addresses of
// their own and one port, as the addresses of an EndpointSlice share their ports.
//
//   const plane = await startControlPlane({ servers: 3 });
//   const [one, two] = plane.servers;
//   await one.kill(); await one.start(); await one.ready();
//   await two.misbehave({ freeze: true });
//   const file = await plane.writeKubeconfig({ user: 'admin', server: 'https://127.0.0.1:6443' });
//   await plane.stop();
//
// control-plane-processes.ts does the same with a process for each.
import { randomInt } from 'node:crypto';
import { ApiServer, type ApiServerOptions } from './api-server.ts';
import { ControlPlaneBase } from './control-plane-base.ts';
import { type ControlPlanePki, makePki, makeServerCertificates } from './pki-files.ts';
import { Store } from './store.ts';

export { knownTokens } from './tokens.ts';

export interface ControlPlaneOptions
  extends Pick<ApiServerOptions, 'anonymous' | 'grants' | 'timings' | 'shutdown'> {
  /** How many API servers; 3 by default. */
  readonly servers?: number;
  /** Addresses to listen on; by default random ones of 127.0.0.0/8, so that suites do not meet. */
  readonly hosts?: readonly string[];
  /** Port of all of them; by default any that is free on all. */
  readonly port?: number;
  /** How many of them are started; the others are down until `start()`. */
  readonly started?: number;
}

export class ControlPlane extends ControlPlaneBase<ApiServer> {
  readonly store: Store;

  constructor(servers: readonly ApiServer[], store: Store, pki: ControlPlanePki) {
    super(servers, pki);
    this.store = store;
  }

  /** Ends everything at once and removes the files. Idempotent. */
  async stop(): Promise<void> {
    for (const server of this.servers) server.kill();
    this.store.recover();
    await this.files.remove();
  }
}

/** Starts a control plane; resolves when every started API server is ready and in the EndpointSlice. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const { servers: size = options.hosts?.length ?? 3, port = 0 } = options;
  const pki = await makePki();
  const store = new Store();
  for (let attempt = 1; ; attempt += 1) {
    const hosts = options.hosts ?? randomHosts(size);
    const servers = await bindAll(hosts, port, store, pki, options);
    if (servers) {
      const plane = new ControlPlane(servers, store, pki);
      try {
        const running = servers.slice(0, options.started ?? size);
        for (const server of running) await server.start();
        await Promise.all(running.map((server) => server.ready()));
      } catch (error) {
        await plane.stop();
        throw error;
      }
      return plane;
    }
    if (attempt === 20) throw new Error(`no port is free on all of ${hosts.join(', ')}`);
  }
}

/** Distinct addresses of 127.0.0.0/8; Linux answers on all of them. */
export function randomHosts(count: number): string[] {
  const [a, b] = [randomInt(1, 255), randomInt(0, 256)];
  return Array.from({ length: count }, (_, index) => `127.${a}.${b}.${index + 1}`);
}

/** Servers that share a port which is free on each host; undefined when the first one's port was not. */
async function bindAll(
  hosts: readonly string[],
  port: number,
  store: Store,
  pki: ControlPlanePki,
  { anonymous, grants, timings, shutdown }: ControlPlaneOptions,
): Promise<ApiServer[] | undefined> {
  const servers: ApiServer[] = [];
  try {
    for (const [index, host] of hosts.entries()) {
      const server = new ApiServer({
        name: `cp-${index + 1}`,
        host,
        port: servers[0]?.port ?? port,
        store,
        certificates: await makeServerCertificates(pki, host),
        clientCa: pki.ca.cert,
        ...(anonymous && { anonymous }),
        ...(grants && { grants }),
        ...(timings && { timings }),
        ...(shutdown && { shutdown }),
      });
      await server.bind();
      servers.push(server);
    }
    return servers;
  } catch (error) {
    if (port !== 0 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    return undefined;
  } finally {
    for (const server of servers) server.kill();
  }
}

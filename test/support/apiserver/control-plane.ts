// A whole stand-in control plane in this process: N API servers over one store, on loopback addresses of
// their own and one port, as the addresses of an EndpointSlice share their ports.
//
//   const plane = await startControlPlane({ servers: 3 });
//   plane.servers[0].kill();  await plane.servers[0].start();  await plane.servers[1].misbehave({ freeze: true });
//   const file = await plane.writeKubeconfig({ user: 'admin', server: 'https://127.0.0.1:6443' });
//   await plane.stop();
import { randomInt } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { User } from './access.ts';
import { ApiServer, type ApiServerOptions } from './api-server.ts';
import {
  type ControlPlanePki,
  kubeconfig,
  makePki,
  makeServerCertificates,
  type UserName,
} from './pki-files.ts';
import { Store } from './store.ts';

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

export interface WriteKubeconfigOptions {
  /** Whose client certificate; `token`: Fairlead's bearer token; `none`: no credentials. Default `admin`. */
  readonly user?: UserName | 'token' | 'none';
  /** `https://host:port`; by default the first API server. */
  readonly server?: string;
  readonly tlsServerName?: string;
}

/** Bearer tokens that every stand-in knows. */
export const knownTokens: Readonly<Record<'admin' | 'fairlead' | 'nobody', string>> = {
  admin: 'admin-token',
  fairlead: 'fairlead-token',
  nobody: 'nobody-token',
};

export const tokenUsers: ReadonlyMap<string, User> = new Map([
  [knownTokens.admin, { name: 'kubernetes-admin', groups: ['system:masters'] }],
  [
    knownTokens.fairlead,
    { name: 'system:serviceaccount:kube-system:fairlead', groups: ['system:serviceaccounts'] },
  ],
  [knownTokens.nobody, { name: 'nobody', groups: [] }],
]);

export class ControlPlane {
  readonly servers: readonly ApiServer[];
  readonly store: Store;
  readonly pki: ControlPlanePki;
  #dir: Promise<string> | undefined;
  #files = 0;

  constructor(servers: readonly ApiServer[], store: Store, pki: ControlPlanePki) {
    this.servers = servers;
    this.store = store;
    this.pki = pki;
  }

  /** `host:port` of every API server. */
  get endpoints(): string[] {
    return this.servers.map((server) => server.address);
  }

  /** A directory that `stop()` removes. */
  directory(): Promise<string> {
    this.#dir ??= mkdtemp(join(tmpdir(), 'stand-in-'));
    return this.#dir;
  }

  /** Writes a kubeconfig and returns its path. */
  async writeKubeconfig(options: WriteKubeconfigOptions = {}): Promise<string> {
    const { user = 'admin', server = this.servers[0]?.url ?? '', tlsServerName } = options;
    const client = user === 'token' || user === 'none' ? undefined : this.pki.clients[user];
    const text = kubeconfig({
      server,
      ca: this.pki.ca.cert,
      ...(client && { client }),
      ...(user === 'token' && { token: knownTokens.fairlead }),
      ...(tlsServerName && { tlsServerName }),
    });
    this.#files += 1;
    const file = join(await this.directory(), `${user}-${this.#files}.kubeconfig`);
    await writeFile(file, text, { mode: 0o600 });
    return file;
  }

  /** Ends everything at once and removes the files. Idempotent. */
  async stop(): Promise<void> {
    this.store.recover();
    for (const server of this.servers) server.kill();
    const dir = this.#dir;
    this.#dir = undefined;
    if (dir) await rm(await dir, { recursive: true, force: true });
  }
}

/** Starts a control plane; resolves when every started API server is ready and in the EndpointSlice. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const { servers: size = options.hosts?.length ?? 3, started = size, port = 0 } = options;
  const pki = await makePki();
  const store = new Store();
  for (let attempt = 1; ; attempt += 1) {
    const hosts = options.hosts ?? randomHosts(size);
    const servers = await bindAll(hosts, port, store, pki, options);
    if (servers) {
      const running = servers.slice(0, started);
      for (const server of running) await server.start();
      await Promise.all(running.map((server) => server.ready()));
      return new ControlPlane(servers, store, pki);
    }
    if (attempt === 20) throw new Error(`no port is free on all of ${hosts.join(', ')}`);
  }
}

/** Distinct addresses of 127.0.0.0/8; Linux answers on all of them. */
export function randomHosts(count: number): string[] {
  const [a, b] = [randomInt(1, 255), randomInt(0, 256)];
  return Array.from({ length: count }, (_, index) => `127.${a}.${b}.${index + 1}`);
}

/** Servers that share a port which is free on each host; undefined when the first port was not. */
async function bindAll(
  hosts: readonly string[],
  port: number,
  store: Store,
  pki: ControlPlanePki,
  { anonymous, grants, timings, shutdown }: ControlPlaneOptions,
): Promise<ApiServer[] | undefined> {
  const servers: ApiServer[] = [];
  for (const [index, host] of hosts.entries()) {
    const server = new ApiServer({
      name: `cp-${index + 1}`,
      host,
      port: servers[0]?.port ?? port,
      store,
      certificates: await makeServerCertificates(pki, host),
      clientCa: pki.ca.cert,
      tokens: tokenUsers,
      ...(anonymous && { anonymous }),
      ...(grants && { grants }),
      ...(timings && { timings }),
      ...(shutdown && { shutdown }),
    });
    try {
      await server.bind();
    } catch (error) {
      for (const bound of servers) bound.kill();
      if (port !== 0 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      return undefined;
    }
    servers.push(server);
  }
  for (const server of servers) server.kill();
  return servers;
}

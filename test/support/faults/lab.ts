// A node and a control plane of stand-in processes, each on a host of its own, and every fault that can happen
// to them. It owns the wire and the control plane; load balancers and clients come and go with each trial.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ApiServerProcess } from '../apiserver/api-server-process.ts';
import {
  type ProcessControlPlane,
  type ProcessControlPlaneOptions,
  startProcessControlPlane,
} from '../apiserver/control-plane-processes.ts';
import { NodeProcess } from '../apiserver/child-process.ts';
import { goodBehaviour } from '../apiserver/misbehaviour.ts';
import { realisticTimings, type Timings } from '../apiserver/timings.ts';
import { ClientProcess } from './clients/client-process.ts';
import type { Target } from './clients/target.ts';
import { removeLeftovers, Wire, type WireHost } from './netns.ts';
import type { SubjectPlace } from './subject.ts';

export interface LabOptions extends Pick<ProcessControlPlaneOptions, 'shutdown'> {
  readonly timings?: Partial<Timings>;
  readonly servers?: number;
  readonly family?: 4 | 6;
}

export const apiServerPort = 6443;
const relayPort = 7443;
const relayScript = new URL('delay-relay.ts', import.meta.url).pathname;

/** Of a real API server: the fast ones call etcd lost when the machine is busy for a moment. */
const { storeCheck } = realisticTimings;

export class Lab {
  readonly wire: Wire;
  readonly plane: ProcessControlPlane;
  readonly node: WireHost;
  readonly #family: 4 | 6;
  readonly #isDown = new Set<ApiServerProcess>();
  readonly #dropping = new Set<WireHost>();
  readonly #losing = new Set<WireHost>();
  readonly #relays: NodeProcess[] = [];

  private constructor(wire: Wire, plane: ProcessControlPlane, family: 4 | 6) {
    this.wire = wire;
    this.plane = plane;
    this.node = wire.host('node');
    this.#family = family;
  }

  static async start({ servers = 3, family = 4, timings = {}, ...options }: LabOptions = {}): Promise<Lab> {
    await removeLeftovers();
    const names = Array.from({ length: servers }, (_, index) => `cp${index + 1}`);
    const wire = await Wire.start(['node', ...names], { family });
    try {
      const hosts = names.map((name) => wire.host(name));
      const plane = await startProcessControlPlane({
        ...options,
        timings: { storeCheck: { ...storeCheck, recoveryMs: [0, 0] }, ...timings },
        hosts: hosts.map(({ address }) => address),
        port: apiServerPort,
        prefix: (index) => hosts[index]?.prefix ?? [],
      });
      return new Lab(wire, plane, family);
    } catch (error) {
      await wire.stop();
      throw error;
    }
  }

  get servers(): readonly ApiServerProcess[] {
    return this.plane.servers;
  }

  /** Loopback of the node, of the wire's address family. */
  get loopback(): string {
    return this.#family === 4 ? '127.0.0.1' : '::1';
  }

  server(name: string): ApiServerProcess {
    const server = this.servers.find((candidate) => candidate.name === name);
    if (!server) throw new Error(`no API server ${name}`);
    return server;
  }

  hostOf(server: ApiServerProcess): WireHost {
    const host = this.wire.hosts.find(({ address }) => address === server.host);
    if (!host) throw new Error(`no host for ${server.name}`);
    return host;
  }

  /** Processes that must get their CPU time if anything is to be measured. */
  pids(): number[] {
    return this.servers.flatMap((server) =>
      this.#isDown.has(server) || server.pid === undefined ? [] : [server.pid],
    );
  }

  target(port = apiServerPort): Target {
    const { ca, clients } = this.plane.pki;
    const { cert, key } = clients.admin;
    return { host: this.loopback, port, ca: ca.cert, cert, key };
  }

  startClients(): Promise<ClientProcess> {
    return ClientProcess.start(this.node.prefix);
  }

  /** A place for a load balancer, on that loopback address; `remove()` deletes its directory. */
  async place(
    clients: ClientProcess,
    { host = this.loopback }: { readonly host?: string } = {},
  ): Promise<SubjectPlace & { remove(): Promise<void> }> {
    const directory = await mkdtemp(join(tmpdir(), 'fairlead-fault-'));
    const listen = { host, port: apiServerPort };
    const shown = this.#family === 4 ? host : `[${host}]`;
    const { ca, clients: users } = this.plane.pki;
    const server = `https://${shown}:${listen.port}`;
    return {
      prefix: this.node.prefix,
      listen,
      endpoints: this.plane.endpoints,
      directory,
      kubeconfig: await this.plane.writeKubeconfig({ user: 'fairlead', server }),
      credentials: { ca: ca.cert, ...users.fairlead },
      fetch: (url) => clients.do({ op: 'fetch', url }),
      remove: () => rm(directory, { recursive: true, force: true }),
    };
  }

  async kill(server: ApiServerProcess): Promise<void> {
    this.#isDown.add(server);
    await server.kill();
  }

  /** Resolves when it accepts TCP. */
  async startServer(server: ApiServerProcess): Promise<void> {
    await server.start();
    this.#isDown.delete(server);
  }

  async terminate(server: ApiServerProcess, options?: { delayMs: number }): Promise<void> {
    await server.terminate(options);
    this.#isDown.add(server);
  }

  async dropReplies(server: ApiServerProcess): Promise<void> {
    const host = this.hostOf(server);
    this.#dropping.add(host);
    await this.wire.dropSent(host, this.node);
  }

  async sendRepliesAgain(server: ApiServerProcess): Promise<void> {
    const host = this.hostOf(server);
    if (this.#dropping.delete(host)) await this.wire.sendAgain(host, this.node);
  }

  async lose(server: ApiServerProcess, ratio: number): Promise<void> {
    const host = this.hostOf(server);
    this.#losing.add(host);
    await this.wire.lose(host, ratio);
  }

  /** Puts every API server that far away; returns the addresses at which they are. `heal()` brings them back. */
  async moveAway(roundTripMs: number): Promise<string[]> {
    for (const server of this.servers) {
      const relay = new NodeProcess(
        relayScript,
        [
          ...['--host', server.host, '--port', String(relayPort), '--to', String(server.port)],
          ...['--delay-ms', String(roundTripMs / 2)],
        ],
        this.hostOf(server).prefix,
      );
      await relay.start();
      this.#relays.push(relay);
    }
    return this.servers.map(({ port, address }) => address.replace(`:${port}`, `:${relayPort}`));
  }

  /** Makes everything as it was at the start. */
  async heal(): Promise<void> {
    this.plane.storeProcess.signal('SIGCONT');
    for (const host of this.wire.hosts) {
      await this.wire.linkUp(host);
      await this.wire.plug(host);
    }
    for (const host of this.#dropping) await this.wire.sendAgain(host, this.node);
    for (const host of this.#losing) await this.wire.loseNothing(host);
    await Promise.all(this.#relays.splice(0).map((relay) => relay.kill()));
    this.#dropping.clear();
    this.#losing.clear();
    await Promise.all(
      this.servers.map(async (server) => {
        await server.thaw();
        if (this.#isDown.has(server)) await this.startServer(server);
        else await server.misbehave(goodBehaviour);
        await server.ready();
      }),
    );
  }

  async stop(): Promise<void> {
    for (const server of this.servers) await server.thaw();
    await Promise.all(this.#relays.map((relay) => relay.kill()));
    await this.plane.stop();
    await this.wire.stop();
  }
}

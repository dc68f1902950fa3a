// Certificates that change as planned, under load: the renewal of serving certificates, and another CA for a cluster.
// Each case has a control plane of its own, and they run side by side.
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { AgentProcess } from '../../support/agent/agent-process.ts';
import { AgentScope } from '../../support/agent/agent-suite.ts';
import type { ApiServerProcess } from '../../support/apiserver/api-server-process.ts';
import type { ProcessControlPlane } from '../../support/apiserver/control-plane-processes.ts';
import { kubeconfig } from '../../support/apiserver/pki-files.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { monotonicMs } from '../../support/faults/clients/monotonic.ts';
import { findKubectl, Kubectl } from '../../support/clients/kubectl.ts';
import { watchForLeaks } from '../../support/jest/leaks.ts';
import {
  failed,
  kubectlClient,
  nodeClient,
  type OneShot,
  type Visit,
  visitors,
} from '../../support/clients/one-shot-clients.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import type { Leaf, TestCa } from '../../support/credentials/pki.ts';

const leftNothing = watchForLeaks();
const program = findKubectl();
if (program === undefined) skipLoudly('kubectl while certificates change', 'no kubectl on PATH');

function replaceFile(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

function issue(ca: TestCa, { host }: ApiServerProcess): Promise<Leaf> {
  const sans = ['localhost', '127.0.0.1', 'kubernetes.default.svc', host];
  return ca.issue({ commonName: 'kube-apiserver', sans });
}

/** New connections to the server get this certificate. */
async function renew(server: ApiServerProcess, leaf: Leaf): Promise<void> {
  await server.replaceCertificate(leaf);
  const wanted = new X509Certificate(leaf.cert).fingerprint256;
  await eventually(
    `${server.name} shows its new certificate`,
    async () => (await shownBy(server)) === wanted,
  );
}

async function shownBy({ host, port }: ApiServerProcess): Promise<string> {
  const socket = connect({ host, port, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

/** One agent before three API servers, and clients that come and go. */
class World {
  readonly plane: ProcessControlPlane;
  /** What clients trust. */
  trusted = '';
  readonly #scope: AgentScope;
  readonly #directory: string;
  readonly #agentFile: string;
  readonly #userFile: string;
  #agent: AgentProcess | undefined;
  #visiting: Promise<(readonly Visit[])[]> | undefined;
  /** When the last change was complete. */
  #changedMs = Number.POSITIVE_INFINITY;

  constructor(scope: AgentScope, plane: ProcessControlPlane, directory: string) {
    this.#scope = scope;
    this.plane = plane;
    this.#directory = directory;
    this.#agentFile = join(directory, 'agent.kubeconfig');
    this.#userFile = join(directory, 'user.kubeconfig');
  }

  async start(): Promise<void> {
    const { ca } = this.plane.pki;
    this.trust(ca);
    this.#agent = await this.#scope.startAgent({ kubeconfig: this.#agentFile });
    this.trust(ca);
    await this.#agent.untilReady(3);
  }

  /** What kubeconfigs trust; each file is replaced in one step, as kubelet and kubeadm do it. */
  trust(...cas: readonly TestCa[]): void {
    this.trusted = cas.map(({ cert }) => cert).join('\n');
    const { fairlead, admin } = this.plane.pki.clients;
    const [server] = this.plane.servers;
    const ca = this.trusted;
    replaceFile(this.#agentFile, kubeconfig({ server: server?.url ?? '', ca, client: fairlead }));
    if (this.#agent === undefined) return;
    replaceFile(this.#userFile, kubeconfig({ server: `https://${this.#agent.address}`, ca, client: admin }));
  }

  /** The agent looks at its files every ten seconds. */
  async agentHasRead(trusting: string, times: number): Promise<void> {
    await eventually(
      `the agent trusts ${trusting}`,
      () => (this.#agent?.log ?? []).filter(({ msg }) => msg === 'credentials loaded').length >= times,
      30_000,
    );
  }

  async allReady(): Promise<void> {
    await this.#agent?.untilReady(3);
  }

  /** Clients come and go until `expectNoFailure`, some of them when all has changed. */
  startVisitors(): void {
    const address = this.#agent?.address ?? '';
    const clients: [OneShot, everyMs: number][] = [
      [nodeClient(address, this.plane.pki, () => this.trusted), 50],
    ];
    if (program !== undefined) {
      const kubectl = new Kubectl({ program, kubeconfig: this.#userFile, home: this.#directory });
      clients.push([kubectlClient(kubectl), 500]);
    }
    const isEnough = (visits: readonly Visit[]) =>
      visits.filter(({ startedMs }) => startedMs > this.#changedMs).length >= 3;
    this.#visiting = Promise.all(
      clients.map(([client, everyMs]) => visitors(client, everyMs, (visits) => !isEnough(visits))),
    );
    this.#scope.onStop(() => {
      this.#changedMs = 0;
      return this.#visiting;
    });
  }

  async expectNoFailure(): Promise<void> {
    this.#changedMs = monotonicMs();
    const all = (await this.#visiting) ?? [];
    expect(all.length).toBeGreaterThan(0);
    for (const visits of all) expect(failed(visits)).toEqual([]);
    const faults = this.#agent?.log.filter(({ reason }) => /L6/.test(String(reason))) ?? [];
    expect(faults).toEqual([]);
  }
}

function rotation(name: string, run: (world: World) => Promise<void>): void {
  test.concurrent(name, async () => {
    const scope = new AgentScope();
    try {
      const plane = await scope.startProcessControlPlane({ servers: 3, anonymous: 'off' });
      const world = new World(scope, plane, await plane.directory());
      await world.start();
      world.startVisitors();
      await run(world);
    } finally {
      await scope.stop();
    }
  }, 180_000);
}

afterAll(() => leftNothing());

rotation('renewed serving certificates are taken from files, and no client notices', async (world) => {
  for (const server of world.plane.servers) await renew(server, await issue(world.plane.pki.ca, server));
  await world.expectNoFailure();
});

rotation('API servers that start again with their renewed certificates lose no client', async (world) => {
  for (const server of world.plane.servers) {
    await world.allReady();
    await server.replaceCertificate(await issue(world.plane.pki.ca, server));
    await server.terminate({ delayMs: 1_000 });
    await server.start();
    await server.ready();
  }
  await world.allReady();
  await world.expectNoFailure();
});

rotation(
  'another CA for the cluster: both are trusted, the servers change one by one, the old one goes',
  async (world) => {
    const { plane } = world;
    const { ca: oldCa, otherCa: newCa } = plane.pki;
    world.trust(oldCa, newCa);
    await world.agentHasRead('both', 2);
    for (const server of plane.servers) {
      await renew(server, await issue(newCa, server));
      await world.allReady();
    }
    world.trust(newCa);
    await world.agentHasRead('the new one only', 3);
    await world.allReady();
    await world.expectNoFailure();
    // The old one is out: a server that goes back to it is not used.
    const [first] = plane.servers;
    if (first === undefined) throw new Error('no API server');
    await renew(first, await issue(oldCa, first));
    await expect(nodeClient(first.address, plane.pki, () => world.trusted)()).rejects.toThrow();
  },
);

// Certificates that change as planned, under load: the renewal of serving certificates, and another CA for a cluster.
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { AgentProcess, buildAgent } from '../../support/agent-process.ts';
import type { ApiServerProcess } from '../../support/apiserver/api-server-process.ts';
import {
  type ProcessControlPlane,
  startProcessControlPlane,
} from '../../support/apiserver/control-plane-processes.ts';
import { kubeconfig } from '../../support/apiserver/pki-files.ts';
import { eventually } from '../../support/eventually.ts';
import { monotonicMs } from '../../support/faults/clients/monotonic.ts';
import { findKubectl, Kubectl } from '../../support/kubectl.ts';
import { watchForLeaks } from '../../support/leaks.ts';
import {
  failed,
  kubectlClient,
  nodeClient,
  type OneShot,
  type Visit,
  visitors,
} from '../../support/one-shot-clients.ts';
import { skipLoudly } from '../../support/skip-loudly.ts';
import { tempDir } from '../../support/temp-dir.ts';
import type { Leaf, TestCa } from '../../support/pki.ts';

const leftNothing = watchForLeaks();
const directory = tempDir();
const program = findKubectl();
if (program === undefined) skipLoudly('kubectl while certificates change', 'no kubectl on PATH');
const agentFile = join(directory, 'agent.kubeconfig');
const userFile = join(directory, 'user.kubeconfig');
let plane: ProcessControlPlane;
let agent: AgentProcess | undefined;
/** What clients trust. */
let trusted: string;
let visiting: Promise<(readonly Visit[])[]> | undefined;
/** When the last change was complete. */
let changedMs = Number.POSITIVE_INFINITY;

/** What kubeconfigs trust; each file is replaced in one step, as kubelet and kubeadm do it. */
function trust(...cas: readonly TestCa[]): void {
  trusted = cas.map(({ cert }) => cert).join('\n');
  const { fairlead, admin } = plane.pki.clients;
  replaceFile(agentFile, kubeconfig({ server: plane.servers[0]?.url ?? '', ca: trusted, client: fairlead }));
  if (agent === undefined) return;
  replaceFile(userFile, kubeconfig({ server: `https://${agent.address}`, ca: trusted, client: admin }));
}

/** The agent looks at its files every ten seconds. */
async function agentHasRead(trusting: string, times: number): Promise<void> {
  await eventually(
    `the agent trusts ${trusting}`,
    () => (agent?.log ?? []).filter(({ msg }) => msg === 'credentials loaded').length >= times,
    30_000,
  );
}

function replaceFile(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

function issue(ca: TestCa, { host }: ApiServerProcess): Promise<Leaf> {
  const sans = ['localhost', '127.0.0.1', 'kubernetes.default.svc', host];
  return ca.issue({ commonName: 'kube-apiserver', sans });
}

async function allReady(): Promise<void> {
  await eventually(
    'three endpoints are ready',
    async () => {
      const endpoints = (await agent?.status())?.endpoints ?? [];
      return endpoints.filter(({ verdict }) => verdict === 'ready').length === 3;
    },
    30_000,
  );
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

/** Clients come and go until `expectNoFailure`, some of them when all has changed. */
function startVisitors(): void {
  const running = agent as AgentProcess;
  const clients: [OneShot, everyMs: number][] = [[nodeClient(running.address, plane.pki, () => trusted), 50]];
  if (program !== undefined) {
    clients.push([kubectlClient(new Kubectl({ program, kubeconfig: userFile, home: directory })), 500]);
  }
  changedMs = Number.POSITIVE_INFINITY;
  const isEnough = (visits: readonly Visit[]) =>
    visits.filter(({ startedMs }) => startedMs > changedMs).length >= 3;
  visiting = Promise.all(
    clients.map(([client, everyMs]) => visitors(client, everyMs, (visits) => !isEnough(visits))),
  );
}

async function expectNoFailure(): Promise<void> {
  changedMs = monotonicMs();
  const all = (await visiting) ?? [];
  visiting = undefined;
  for (const visits of all) expect(failed(visits)).toEqual([]);
  const faults = agent?.log.filter(({ reason }) => /L6/.test(String(reason))) ?? [];
  expect(faults).toEqual([]);
}

beforeAll(async () => {
  buildAgent();
  plane = await startProcessControlPlane({ servers: 3, anonymous: 'off' });
  trust(plane.pki.ca);
  const args = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--kubeconfig', agentFile];
  agent = await AgentProcess.start(args);
  trust(plane.pki.ca);
  await allReady();
}, 60_000);

afterAll(async () => {
  changedMs = 0;
  await visiting;
  await agent?.kill();
  await plane?.stop();
  await leftNothing();
});

test('renewed serving certificates are taken from files, and no client notices', async () => {
  startVisitors();
  for (const server of plane.servers) await renew(server, await issue(plane.pki.ca, server));
  await expectNoFailure();
}, 60_000);

test('API servers that start again with their renewed certificates lose no client', async () => {
  startVisitors();
  for (const server of plane.servers) {
    await allReady();
    await server.replaceCertificate(await issue(plane.pki.ca, server));
    await server.terminate({ delayMs: 1_000 });
    await server.start();
    await server.ready();
  }
  await allReady();
  await expectNoFailure();
}, 90_000);

test('another CA for the cluster: both are trusted, the servers change one by one, the old one goes', async () => {
  const { ca: oldCa, otherCa: newCa } = plane.pki;
  startVisitors();
  trust(oldCa, newCa);
  await agentHasRead('both', 2);
  for (const server of plane.servers) {
    await renew(server, await issue(newCa, server));
    await allReady();
  }
  trust(newCa);
  await agentHasRead('the new one only', 3);
  await allReady();
  await expectNoFailure();
  // The old one is out: a server that goes back to it is not used.
  const [first] = plane.servers;
  if (first === undefined) throw new Error('no API server');
  await renew(first, await issue(oldCa, first));
  await expect(nodeClient(first.address, plane.pki, () => trusted)()).rejects.toThrow();
}, 90_000);

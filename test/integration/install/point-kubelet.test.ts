// Kubelets are pointed node by node, confirmed by their Leases, and put back at the first failure.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { reportsNamespace, KubeApi, leasePath } from '../../../src/kubernetes/kube-api.ts';
import { NodeFiles } from '../../../src/installer/node-files.ts';
import { pointingPath } from '../../../src/installer/installer-state.ts';
import { type PointKubeletDeps, pointKubelet } from '../../../src/installer/point-kubelet.ts';
import { rolloutName, RolloutSemaphore } from '../../../src/installer/rollout-semaphore.ts';
import { loadCredentials } from '../../../src/kubernetes/load-credentials.ts';
import { identityOptions } from '../../../src/kubernetes/server-identity.ts';
import type { AgentProcess } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const suite = agentSuite();
const scratch = tempDir();
let plane: ControlPlane;
let agent: AgentProcess;
let api: KubeApi;
const kubelets: LeaseRenewer[] = [];

beforeAll(async () => {
  plane = await suite.startControlPlane();
  const kubeconfig = await plane.writeKubeconfig({ user: 'admin' });
  agent = await suite.startAgent({ endpoints: plane.endpoints, kubeconfig });
  const { credentials, server } = await loadCredentials({ kubeconfig }, new Set());
  api = new KubeApi({ servers: server ? [server] : [], credentials, userAgent: 'test' });
  for (const name of [reportsNamespace, 'kube-node-lease']) {
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
    await api.ask({ method: 'POST', path: '/api/v1/namespaces', body });
  }
});

afterEach(async () => {
  for (const kubelet of kubelets.splice(0)) kubelet.stop();
  await api.ask({
    method: 'DELETE',
    path: `/api/v1/namespaces/${reportsNamespace}/configmaps/${rolloutName}`,
  });
});

/** As kubelet: reads its kubeconfig at start, then renews its Lease over one kept connection. */
class LeaseRenewer {
  readonly #conf: string;
  readonly #node: string;
  #run = 0;
  #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  starts = 0;

  constructor(node: string, conf: string) {
    this.#node = node;
    this.#conf = conf;
    kubelets.push(this);
  }

  start(isBroken = false): void {
    this.starts += 1;
    this.#run += 1;
    this.#agent.destroy();
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1 });
    if (!isBroken) void this.#renew(this.#run);
  }

  stop(): void {
    this.#run += 1;
    this.#agent.destroy();
  }

  async #renew(run: number): Promise<void> {
    const { credentials, server } = await loadCredentials({ kubeconfig: this.#conf }, new Set());
    while (run === this.#run && server) {
      const { ca, cert, key, serverName } = credentials;
      const path = leasePath('kube-node-lease', this.#node);
      const body = JSON.stringify({
        spec: { holderIdentity: this.#node, renewTime: new Date().toISOString() },
      });
      await new Promise<void>((resolve) => {
        const asking = request(
          {
            ...server,
            ...identityOptions(server, serverName ?? server.host),
            ...{ path, method: 'PATCH', agent: this.#agent, ca, cert, key },
            headers: { 'content-type': 'application/merge-patch+json' },
          },
          (response) => response.resume().on('end', resolve),
        );
        asking.on('error', () => resolve());
        asking.end(body);
      });
      await sleep(50);
    }
  }
}

interface TestNode {
  readonly conf: string;
  readonly original: string;
  readonly kubelet: LeaseRenewer;
  point(more?: Partial<PointKubeletDeps>, confirmWithinMs?: number): Promise<string>;
}

async function makeNode(name: string, { isBroken = false } = {}): Promise<TestNode> {
  const root = join(scratch, name);
  for (const path of ['/etc/kubernetes', '/var/lib/fairlead'])
    mkdirSync(join(root, path), { recursive: true });
  const conf = join(root, '/etc/kubernetes/kubelet.conf');
  const original = readFileSync(await plane.writeKubeconfig({ user: 'node' }), 'utf8');
  writeFileSync(conf, original);
  const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name }, spec: {} };
  await api.ask({ method: 'POST', path: leasePath('kube-node-lease'), body: lease });
  const kubelet = new LeaseRenewer(name, conf);
  kubelet.start();
  const [host = '', port] = agent.address.split(':');
  const isPointed = () => readFileSync(conf, 'utf8') !== original;
  return {
    conf,
    original,
    kubelet,
    point: (more = {}, confirmWithinMs = 8_000) =>
      pointKubelet(
        { node: name, count: 1, address: { host, port: Number(port) }, endpoints: [], confirmWithinMs },
        {
          files: new NodeFiles(root),
          api,
          semaphore: new RolloutSemaphore(api, name, () => Date.now()),
          restartKubelet: async () => kubelet.start(isBroken && isPointed()),
          tunnels: async () =>
            (await agent.status()).endpoints.reduce((sum, { totalTunnels }) => sum + totalTunnels, 0),
          seen: {},
          pause: (ms) => sleep(Math.min(ms, 50)),
          nowMs: () => Date.now(),
          log: { info() {}, warn() {} },
          ...more,
        },
      ),
  };
}

test('a kubelet is pointed, restarted and confirmed; the second time nothing is done', async () => {
  const node = await makeNode('node-1');
  expect(await node.point()).toBe('pointed');
  expect(readFileSync(node.conf, 'utf8')).toContain(`https://${agent.address}`);
  expect(await node.point()).toBe('pointed');
  expect(node.kubelet.starts).toBe(2);
});

test('one node at a time: who comes meanwhile waits for its turn', async () => {
  const [first, second] = [await makeNode('node-2'), await makeNode('node-3')];
  const inTurn: string[] = [];
  let count = 0;
  const result = await first.point({
    tunnels: async () => {
      if (inTurn.length === 0) inTurn.push(await second.point());
      count += 1;
      return count;
    },
  });
  expect([result, ...inTurn]).toEqual(['pointed', 'waiting for its turn']);
  expect(readFileSync(second.conf, 'utf8')).toBe(second.original);
  expect(await second.point()).toBe('pointed');
});

test('a turn that its holder has not given back is free after its time', async () => {
  const semaphore = (node: string, nowMs: number) => new RolloutSemaphore(api, node, () => nowMs, 600);
  const nowMs = Date.now();
  const taken = await semaphore('gone', nowMs).acquire(1);
  expect(taken).toBe('fairlead-turn-0');
  expect(await semaphore('next', nowMs + 599_000).acquire(1)).toBeUndefined();
  expect(await semaphore('next', nowMs).acquire(2)).toBe('fairlead-turn-1');
  expect(await semaphore('gone', nowMs).acquire(1)).toBe('fairlead-turn-0');
  expect(await semaphore('other', nowMs + 601_000).acquire(1)).toBe('fairlead-turn-0');
  await semaphore('other', nowMs).release('fairlead-turn-0');
  await semaphore('next', nowMs).release('fairlead-turn-1');
});

test('a kubelet that does not come back is put back, and nobody else is pointed until the halt is removed', async () => {
  const [bad, good] = [await makeNode('node-4', { isBroken: true }), await makeNode('node-5')];
  expect(await bad.point({}, 1_000)).toMatch(/^halted: node-4: .*Lease is not renewed/);
  expect(readFileSync(bad.conf, 'utf8')).toBe(bad.original);
  expect(existsSync(join(scratch, 'node-4', pointingPath))).toBe(false);
  // Pointed, and restarted twice: with the new address and with the old one again.
  expect(bad.kubelet.starts).toBe(3);
  expect(await good.point()).toMatch(/^halted: node-4/);
  expect(readFileSync(good.conf, 'utf8')).toBe(good.original);
  await api.ask({
    method: 'DELETE',
    path: `/api/v1/namespaces/${reportsNamespace}/configmaps/${rolloutName}`,
  });
  expect(await good.point()).toBe('pointed');
});

test('a Lease that is renewed past the agent is no success', async () => {
  const node = await makeNode('node-6');
  // Those of other clients, from before.
  expect(await node.point({ tunnels: async () => 7 }, 1_000)).toContain('no new connection');
  expect(readFileSync(node.conf, 'utf8')).toBe(node.original);
});

test('a node asks for its turn once in a while, and looks at certificates in its turn only', async () => {
  const node = await makeNode('node-9');
  let [nowMs, asked, chosen] = [0, 0, 0];
  const semaphore = {
    halted: async () => undefined,
    acquire: async () => {
      asked += 1;
      return undefined;
    },
  } as unknown as RolloutSemaphore;
  const chooseName = async () => {
    chosen += 1;
    return { ok: false, problem: 'not asked for' } as const;
  };
  const more = { semaphore, chooseName, seen: {}, nowMs: () => nowMs, random: () => 0.5 };
  for (nowMs = 0; nowMs < 90_000; nowMs += 10_000)
    expect(await node.point(more)).toBe('waiting for its turn');
  expect([asked, chosen]).toEqual([2, 0]);
});

test('one whose certificates are refused leaves the turn to others for a while', async () => {
  const node = await makeNode('node-11');
  let chosen = 0;
  const chooseName = async () => {
    chosen += 1;
    return { ok: false, problem: 'no name fits' } as const;
  };
  const more = { seen: {}, chooseName };
  await expect(node.point(more)).rejects.toMatchObject({ code: 'SERVER_UNVERIFIED' });
  expect(await node.point(more)).toContain('no name fits');
  expect(chosen).toBe(1);
});

test('one that is pointed asks the API and the listener nothing, until its file is another', async () => {
  const node = await makeNode('node-10');
  expect(await node.point()).toBe('pointed');
  const name = /tls-server-name": "([^"\s]+)/.exec(readFileSync(node.conf, 'utf8'))?.[1] ?? '127.0.0.1';
  let chosen = 0;
  const more = {
    seen: {},
    semaphore: {} as RolloutSemaphore,
    api: {} as KubeApi,
    chooseName: async () => {
      chosen += 1;
      return { ok: true, name, warnings: [] } as const;
    },
  };
  for (const count of [1, 1, 1]) {
    expect(await node.point(more)).toBe('pointed');
    expect(chosen).toBe(count);
  }
  writeFileSync(node.conf, `${readFileSync(node.conf, 'utf8')}\n`);
  expect(await node.point(more)).toBe('pointed');
  expect(chosen).toBe(2);
});

test('when kubelet cannot be restarted, its kubeconfig goes back', async () => {
  const node = await makeNode('node-7');
  const restartKubelet = async () => {
    throw new Error('no systemd');
  };
  expect(await node.point({ restartKubelet })).toMatch(/^halted: node-7: .*no systemd/);
  expect(readFileSync(node.conf, 'utf8')).toBe(node.original);
});

test('what a killed installer left half done is put back first, and tried again', async () => {
  const node = await makeNode('node-8');
  let isStopped = false;
  const result = await node.point({
    isStopped: () => isStopped,
    restartKubelet: async () => {
      isStopped = true;
    },
  });
  expect(result).toContain('the installer was stopped');
  expect(existsSync(join(scratch, 'node-8', pointingPath))).toBe(true);
  expect(await node.point()).toBe('pointed');
  // Back, and then there.
  expect(node.kubelet.starts).toBe(3);
  expect(existsSync(join(scratch, 'node-8', pointingPath))).toBe(false);
});

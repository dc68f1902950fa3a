// The whole thing: the built agent as a process in front of API servers as processes, and a real kubectl that
// reads, writes and watches through https://127.0.0.1:<port> while the API servers die, freeze and come back.
//
// FAIRLEAD_TEST_KUBECONFIG=FILE FAIRLEAD_TEST_ENDPOINTS=a,b,c points it at a real cluster, of which it
// kills nothing; FILE is an administrator's, its credentials are the agent's too.
//
// The tests are one story about one agent and one watch, in order: each goes on where the one before it ended.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AgentProcess, freePort } from '../support/agent/agent-process.ts';
import { agentSuite } from '../support/agent/agent-suite.ts';
import type { ApiServerProcess } from '../support/apiserver/api-server-process.ts';
import type { ProcessControlPlane } from '../support/apiserver/control-plane-processes.ts';
import { kubeconfig } from '../support/apiserver/pki-files.ts';
import { eventually } from '../support/jest/eventually.ts';
import { findKubectl, Kubectl, type KubectlWatch } from '../support/clients/kubectl.ts';
import { skipLoudly } from '../support/jest/skip-loudly.ts';
import { tempDir } from '../support/jest/temp-dir.ts';

const program = findKubectl();
const realKubeconfig = process.env.FAIRLEAD_TEST_KUBECONFIG;
const realEndpoints = process.env.FAIRLEAD_TEST_ENDPOINTS;
const isReal = realKubeconfig !== undefined && realEndpoints !== undefined;

const suite = agentSuite();
const home = tempDir();
const namespace = `fairlead-e2e-${process.pid}`;
let agent: AgentProcess;
let kubectl: Kubectl;

/** Works for a user: creates, applies, reads, lists and deletes a ConfigMap; every command must succeed. */
async function work(name: string): Promise<void> {
  const manifest = (value: string) =>
    `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${name}"},"data":{"value":"${value}"}}`;
  const value = () => kubectl.ok(`get configmap ${name} -n ${namespace} -o jsonpath={.data.value}`);
  expect(await kubectl.ok(`apply -n ${namespace} -f -`, manifest('1'))).toContain('created');
  expect(await value()).toBe('1');
  expect(await kubectl.ok(`apply -n ${namespace} -f -`, manifest('2'))).toContain('configured');
  expect(await value()).toBe('2');
  expect(await kubectl.ok(`get configmaps -n ${namespace} -o name`)).toContain(`configmap/${name}\n`);
  expect(await kubectl.ok(`delete configmap ${name} -n ${namespace}`)).toContain('deleted');
}

/** The watch shows an object that is created now. */
async function expectSeen(watch: KubectlWatch, name: string): Promise<void> {
  await kubectl.ok(`create configmap ${name} -n ${namespace} --from-literal=seen=yes`);
  await eventually(
    () => `the watch shows ${name}; its ends: ${watch.ends.join(' | ')}`,
    () => watch.has(`configmap/${name}`),
    30_000,
  );
}

if (program === undefined) {
  skipLoudly('kubectl through the agent', 'no kubectl on PATH');
} else if (isReal) {
  describe('a real cluster', () => {
    beforeAll(async () => {
      agent = await suite.startAgent({ kubeconfig: realKubeconfig, endpoints: realEndpoints.split(',') });
      // kubeadm's certificates are not valid for 127.0.0.1.
      const flags = [`--server=https://${agent.address}`, '--tls-server-name=kubernetes'];
      kubectl = new Kubectl({ program, kubeconfig: realKubeconfig, home, flags });
      await kubectl.ok(`create namespace ${namespace}`);
    });
    afterAll(async () => {
      await kubectl.ok(`delete namespace ${namespace} --wait=false`);
    });

    test('finds every API server and finds it ready', async () => {
      await eventually('all are ready', async () => {
        const { endpoints, discovery } = await agent.status();
        const ready = endpoints.filter(({ verdict }) => verdict === 'ready').map(({ id }) => id);
        return discovery.watch === 'synced' && realEndpoints.split(',').every((id) => ready.includes(id));
      });
    });

    test('sees the same user as without the agent', async () => {
      const direct = new Kubectl({ program, kubeconfig: realKubeconfig, home });
      const whoami = 'auth whoami -o jsonpath={.status.userInfo.username}';
      expect(await kubectl.ok(whoami)).toBe(await direct.ok(whoami));
    });

    test('reads, writes and watches', async () => {
      const watch = kubectl.watch(`get configmaps -n ${namespace} -w -o name`);
      try {
        await work('one');
        await expectSeen(watch, 'two');
        expect(watch.ends).toEqual([]);
      } finally {
        await watch.stop();
      }
    }, 60_000);

    skipLoudly('API servers that die, freeze and come back', 'a real cluster is left alone');
  });
} else {
  describe('kubectl through the agent', () => {
    let plane: ProcessControlPlane;
    let watch: KubectlWatch;
    const kubeconfigs = { admin: '', node: '', token: '', none: '' };

    /** The API server at the other end of the watch. */
    async function inUse(): Promise<ApiServerProcess> {
      return eventually('the watch is on one API server', async () => {
        const busy = (await agent.status()).endpoints.filter(({ tunnels }) => tunnels > 0);
        return plane.servers.find(({ address }) => busy.length === 1 && busy[0]?.id === address);
      });
    }

    async function expectVerdict(server: ApiServerProcess, verdict: string): Promise<void> {
      await eventually(
        `${server.name} is ${verdict}`,
        async () => (await agent.endpoint(server.address))?.verdict === verdict,
        30_000,
      );
    }

    /** It has been judged so; by now it may have left the EndpointSlice, and the status with it. */
    async function expectJudged(server: ApiServerProcess, verdict: string): Promise<void> {
      await eventually(
        `${server.name} has been judged ${verdict}`,
        () => agent.log.some((line) => line.endpoint === server.address && line.verdict === verdict),
        30_000,
      );
    }

    beforeAll(async () => {
      // Nobody may ask anything without credentials; entries of dead servers go after seconds.
      plane = await suite.startProcessControlPlane({
        servers: 4,
        started: 3,
        anonymous: 'off',
        timings: { leaseMs: 3_000, reconcileMs: 1_000 },
      });
      const listen = `127.0.0.1:${await freePort()}`;
      const server = `https://${listen}`;
      for (const user of ['admin', 'node', 'token', 'none'] as const) {
        kubeconfigs[user] = await plane.writeKubeconfig({ user, server });
      }
      // What moves working tunnels in its own time would end the watch at a moment of its own choice.
      const env = {
        FAIRLEAD_BALANCE_REBALANCE_ENABLED: 'false',
        FAIRLEAD_DRAIN_UNREADY_AFTER: '10m',
        FAIRLEAD_DRAIN_BETTER_READY_FOR: '10m',
      };
      // One endpoint is enough, and the kubeconfig names the agent's own address, as on a node.
      const endpoints = plane.endpoints.slice(0, 1);
      const own = await plane.writeKubeconfig({ user: 'fairlead', server });
      agent = await suite.startAgent({ listen, nodeName: 'node-1', endpoints, kubeconfig: own, env });
      kubectl = new Kubectl({ program, kubeconfig: kubeconfigs.admin, home });
      await kubectl.ok(`create namespace ${namespace}`);
    }, 60_000);

    afterAll(() => watch?.stop());

    test('the agent is told of one API server and finds the others', async () => {
      const expected = plane.endpoints.slice(0, 3).sort();
      await eventually('three are known and ready', async () => {
        const { endpoints, discovery } = await agent.status();
        const ready = endpoints.filter(({ verdict, reason }) => verdict === 'ready' && reason === 'L7OK/200');
        const ids = ready.map(({ id }) => id).sort();
        return discovery.watch === 'synced' && JSON.stringify(ids) === JSON.stringify(expected);
      });
      const { endpoints, credentials } = await agent.status();
      for (const { sources } of endpoints) expect(sources).toContain('watch');
      expect(credentials).toBe('client certificate');
      expect(agent.messages).toContain("ignoring an endpoint that is this agent's own listener");
    });

    test('TLS is verified end to end', async () => {
      const other = trustingOtherCa(plane, `https://${agent.address}`);
      const refused = await kubectl.as(other).run(['get', 'namespaces', '--request-timeout=10s']);
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toMatch(/x509|certificate signed by unknown authority/);
    });

    test('a client certificate passes through, a bearer token too, and nobody gets in without', async () => {
      const whoami = 'auth whoami -o jsonpath={.status.userInfo.username}';
      expect(await kubectl.ok(whoami)).toBe('kubernetes-admin');
      expect(await kubectl.as(kubeconfigs.node).ok(whoami)).toBe('system:node:node-1');
      expect(await kubectl.as(kubeconfigs.token).ok(whoami)).toBe(
        'system:serviceaccount:kube-system:fairlead',
      );
      // And that user has its own rights, not the agent's.
      const node = await kubectl.as(kubeconfigs.node).run(['get', 'configmaps', '-n', 'kube-system']);
      expect(node.stderr).toContain('User "system:node:node-1" cannot list resource "configmaps"');
      expect(await kubectl.as(kubeconfigs.token).ok('get endpointslices -o name')).toBe(
        'endpointslice.discovery.k8s.io/kubernetes\n',
      );
      // Without credentials kubectl is told 401, and asks for a user name on its standard input.
      const none = await kubectl.as(kubeconfigs.none).run(['get', '--raw', '/readyz']);
      expect(none.stdout).toContain('Please enter Username');
      const wrong = ['get', '--raw', '/readyz', '--token=wrong'];
      expect((await kubectl.as(kubeconfigs.none).run(wrong)).stderr).toContain('(Unauthorized)');
    });

    test('reads, writes and watches while all is well', async () => {
      watch = kubectl.watch(`get configmaps -n ${namespace} -w -o name`);
      await work('calm');
      await expectSeen(watch, 'calm-seen');
      expect(watch.ends).toEqual([]);
    }, 60_000);

    let killed: ApiServerProcess;
    let frozen: ApiServerProcess;

    test('the API server in use is killed: no command fails, the watch goes on', async () => {
      killed = await inUse();
      await killed.kill();
      await work('killed-1');
      await expectSeen(watch, 'killed-seen');
      await expectJudged(killed, 'unready');
      await work('killed-2');
      expect(await inUse()).not.toBe(killed);
      // The kernel of the dead process ended the connection; nothing else was cut.
      expect(watch.ends).toHaveLength(1);
    }, 90_000);

    test('the API server in use freezes: no command fails, the watch does not hang', async () => {
      frozen = await inUse();
      await frozen.freeze();
      await work('frozen-1');
      await expectJudged(frozen, 'dead');
      // Left alone, kubectl would have hung for 45 s until its own HTTP/2 ping gave up.
      await eventually('the watch has been reset', () => watch.ends.length === 2, 10_000);
      await expectSeen(watch, 'frozen-seen');
      await work('frozen-2');
      expect(await inUse()).not.toBe(frozen);
    }, 90_000);

    test('both are taken off the EndpointSlice and come back', async () => {
      // The seed stays known, the other one goes.
      const slice = () => kubectl.ok('get endpointslice kubernetes -o jsonpath={.endpoints[*].addresses[0]}');
      await eventually('the slice has one entry', async () => (await slice()).split(' ').length === 1);
      await work('alone');
      await frozen.thaw();
      await killed.start();
      await killed.ready();
      await work('back-1');
      await expectVerdict(killed, 'ready');
      await expectVerdict(frozen, 'ready');
      const { endpoints } = await agent.status();
      expect(endpoints.map(({ tier }) => tier)).toEqual(['discovered', 'discovered', 'discovered']);
      await work('back-2');
      // Nothing that was well has been closed for it.
      expect(watch.ends).toHaveLength(2);
    }, 90_000);

    test('one is stopped for an upgrade: no command fails, its watch is served on', async () => {
      const upgraded = await inUse();
      const ended = upgraded.terminate({ delayMs: 1_000 });
      for (let round = 1; (await agent.endpoint(upgraded.address))?.tier === 'discovered'; round += 1) {
        await work(`upgrade-${round}`);
      }
      await work('upgrade-done');
      await expectSeen(watch, 'upgrade-seen');
      expect(watch.ends).toHaveLength(2);
      await upgraded.kill();
      await ended;
      await expectSeen(watch, 'upgraded-seen');
      await upgraded.start();
      await upgraded.ready();
      await expectVerdict(upgraded, 'ready');
    }, 90_000);

    test('one leaves for good and a new one joins: the agent follows without a restart', async () => {
      const [, second, third, fourth] = plane.servers;
      if (!second || !third || !fourth) throw new Error('four API servers are needed');
      await fourth.start();
      await fourth.ready();
      await expectVerdict(fourth, 'ready');
      expect((await agent.endpoint(fourth.address))?.sources).toEqual(['watch']);
      // The new one has to do it all: the seed is killed, the others leave.
      const leaving = [second, third].map((server) => server.terminate());
      await eventually('the two have gone, but for tunnels that they still carry', async () => {
        const { endpoints } = await agent.status();
        const current = endpoints.filter(({ tier }) => tier !== 'removed' && tier !== 'remembered');
        const listed = current.map(({ id }) => id);
        return !listed.includes(second.address) && !listed.includes(third.address);
      });
      await Promise.all([plane.servers[0], second, third].map((server) => server?.kill()));
      await Promise.all(leaving);
      await work('new-one');
      await expectSeen(watch, 'new-one-seen');
      expect(await inUse()).toBe(fourth);
    }, 90_000);
  });
}

/** A kubeconfig that trusts another CA than the cluster's. */
function trustingOtherCa({ pki }: ProcessControlPlane, server: string): string {
  const file = join(home, 'other-ca.kubeconfig');
  const text = kubeconfig({ server, ca: pki.otherCa.cert, client: pki.clients.admin });
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

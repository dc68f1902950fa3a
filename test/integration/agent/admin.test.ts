// What a running agent shows: the admin server, and `fairlead status` that asks it.
import { request } from 'node:http';
import { type AgentProcess, freePort, runFairlead } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import type { H2Tunnel } from '../../support/clients/h2-tunnel.ts';

const suite = agentSuite();
let plane: ControlPlane;
let agent: AgentProcess;
let tunnel: H2Tunnel;

beforeAll(async () => {
  plane = await suite.startControlPlane({ servers: 2 });
  agent = await suite.startAgent({
    nodeName: 'node-1',
    endpoints: plane.endpoints,
    kubeconfig: await plane.writeKubeconfig({ user: 'fairlead' }),
  });
  tunnel = await suite.openTunnel(agent.address, plane);
  await tunnel.ask();
  await agent.untilReady(2);
});

/** The tunnel of this suite is the only one, whatever a test before has opened. */
beforeEach(async () => {
  await eventually('one tunnel', async () => (await agent.status()).tunnels.active === 1);
});

async function metric(name: string): Promise<number> {
  return (await agent.metrics())
    .split('\n')
    .filter((line) => line.startsWith(name) && /[ {]/.test(line[name.length] ?? ''))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

test('/livez and /readyz are 200 while an endpoint is usable', async () => {
  for (const path of ['/livez', '/readyz', '/healthz']) {
    const answer = await agent.get(path);
    expect([answer.status, await answer.text()]).toEqual([200, 'ok\n']);
  }
});

test('other paths are 404, other methods 405', async () => {
  expect((await agent.get('/')).status).toBe(404);
  const status = await new Promise((resolve, reject) => {
    const [host, port] = agent.admin.split(':');
    request({ host, port, path: '/status', method: 'POST' }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  expect(status).toBe(405);
});

test('/status tells which endpoint is used, and why not the others', async () => {
  const status = await agent.status();
  expect(status).toMatchObject({
    node: 'node-1',
    pid: agent.pid,
    isReady: true,
    policy: 'rendezvous',
    credentials: 'client certificate',
    listeners: [{ address: agent.address, type: 'passthrough' }],
    tunnels: { active: 1 },
  });
  expect(status.endpoints.map(({ rank, reason }) => [rank, reason])).toEqual([
    [1, 'L7OK/200'],
    [2, 'L7OK/200'],
  ]);
  const [first] = status.endpoints;
  expect(first).toMatchObject({ tunnels: 1, usable: true, tier: 'discovered' });
  expect(first?.bytesUp).toBeGreaterThan(0);
  expect(first?.bytesDown).toBeGreaterThan(0);
});

test('/metrics counts tunnels, bytes, dials and probes', async () => {
  await eventually('one', async () => (await metric('fairlead_tunnels')) === 1);
  const before = await metric('fairlead_tunnels_total');
  const other = await suite.openTunnel(agent.address, plane);
  await other.ask();
  await eventually('two', async () => (await metric('fairlead_tunnels')) === 2);
  await other.close();
  await eventually('one again', async () => (await metric('fairlead_tunnels')) === 1);
  // /metrics may be a second old.
  expect(await metric('fairlead_tunnels_total')).toBe(before + 1);
  expect(await metric('fairlead_dials_total')).toBeGreaterThanOrEqual(2);
  expect(await metric('fairlead_probe_duration_seconds_count')).toBeGreaterThanOrEqual(2);
});

describe('fairlead status', () => {
  test('prints a table, and ends with 0 when the agent is ready', async () => {
    const { code, stdout, stderr } = await runFairlead(['status', '--admin', agent.admin]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^node-1: ready, fairlead \d+\.\d+\.\d+, up \d+s$/m);
    expect(stdout).toContain(`listening on ${agent.address}\n`);
    expect(stdout).toMatch(/^ENDPOINT +VERDICT +REASON +SINCE +TUNNELS +TIER +SOURCES$/m);
    for (const id of plane.endpoints) {
      expect(stdout).toMatch(new RegExp(`^${id.replaceAll('.', '\\.')} +ready +L7OK/200 `, 'm'));
    }
  });

  test('--json prints what /status says', async () => {
    const { stdout } = await runFairlead(['status', '--admin', agent.admin, '--json']);
    const [printed, asked] = [JSON.parse(stdout), await agent.status()];
    expect(printed.endpoints.map(({ id }: { id: string }) => id)).toEqual(
      asked.endpoints.map(({ id }) => id),
    );
  });

  test('without an agent it ends with 4 and says where it looked', async () => {
    const nowhere = `127.0.0.1:${await freePort()}`;
    const { code, stderr } = await runFairlead(['status', '--admin', nowhere]);
    expect(code).toBe(4);
    expect(stderr).toContain('STATUS_UNREACHABLE');
    expect(stderr).toContain(nowhere);
  });
});

test('with no usable endpoint /readyz is 503, /livez stays 200, and fairlead status ends with 5', async () => {
  suite.onStop(async () => {
    for (const server of plane.servers) await server.behave();
    await agent.untilReady(2);
  });
  for (const server of plane.servers) await server.misbehave({ failReadyz: ['etcd'] });
  await eventually('not ready', async () => (await agent.get('/readyz')).status === 503, 30_000);
  expect((await agent.get('/livez')).status).toBe(200);
  const { code, stdout } = await runFairlead(['status', '--admin', agent.admin]);
  expect(code).toBe(5);
  expect(stdout).toContain('NOT READY');
  expect(stdout).toMatch(/unready \(used: nothing better\) +L7STS\/500 etcd failed/);
  // All are unready at once: nothing is closed, and new clients are served all the same.
  expect(await tunnel.ask()).toMatch(/^cp-/);
  const other = await suite.openTunnel(agent.address, plane);
  expect(await other.ask()).toMatch(/^cp-/);
}, 60_000);

// Pools of endpoints beside the API servers: their listeners, checks, status, metrics and reloads.
import { writeFileSync } from 'node:fs';
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { connect, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import type { Status } from '../../../src/model/status.ts';
import { type AgentProcess, type LogLine, runFairlead } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import { replaceConfig } from '../../support/agent/config-file.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import { TestEndpoint } from '../../support/agent/data-path.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { makeCa, type TestCa } from '../../support/credentials/pki.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const suite = agentSuite();
const directory = tempDir();
const file = join(directory, 'fairlead.yaml');
let plane: ControlPlane;
let etcdCa: TestCa;

beforeAll(async () => {
  plane = await suite.startControlPlane({ servers: 2 });
  writeFileSync(join(directory, 'ca.crt'), plane.pki.ca.cert);
  etcdCa = await makeCa('etcd-ca');
  const client = await etcdCa.issue({ commonName: 'fairlead' });
  for (const [name, text] of Object.entries({
    'etcd-ca.crt': etcdCa.cert,
    'etcd.crt': client.cert,
    'etcd.key': client.key,
  }))
    writeFileSync(join(directory, name), text);
});

interface FakeEtcd {
  readonly id: string;
  readonly port: number;
  /** What it answers on the health paths, and what it was asked. */
  answer: readonly [status: number, body: string];
  readonly asked: string[];
}

async function serve(server: Server & { closeAllConnections(): void }): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  suite.onStop(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** With `plain` on HTTP, as the metrics port; else only clients of its CA are heard. */
async function fakeEtcd({ plain = false, paths = ['/health'] } = {}): Promise<FakeEtcd> {
  const etcd = {
    id: '',
    port: 0,
    answer: [200, '{"health":"true"}'] as [number, string],
    asked: [] as string[],
  };
  const handle = ({ url = '', headers }: IncomingMessage, response: ServerResponse) => {
    etcd.asked.push(headers.authorization === undefined ? url : `${url} with a token`);
    const isKnown = paths.includes(url.split('?')[0] ?? '');
    response.writeHead(isKnown ? etcd.answer[0] : 404);
    response.end(isKnown ? etcd.answer[1] : '404 page not found\n');
  };
  const leaf = await etcdCa.issue({ commonName: 'etcd', sans: ['127.0.0.1'] });
  const tls = { ...leaf, ca: etcdCa.cert, requestCert: true, rejectUnauthorized: true };
  etcd.port = await serve(plain ? createHttp(handle) : createHttps(tls, handle));
  etcd.id = `127.0.0.1:${etcd.port}`;
  return etcd;
}

const credentials = {
  caFile: join(directory, 'etcd-ca.crt'),
  clientCertFile: join(directory, 'etcd.crt'),
  clientKeyFile: join(directory, 'etcd.key'),
};
const fast = { interval: '200ms', standbyInterval: '200ms', timeout: '200ms', fastInterval: '100ms' };

const write = (content: Record<string, unknown>) => replaceConfig(file, { admin: '127.0.0.1:0', ...content });

function start(content: Record<string, unknown>): Promise<AgentProcess> {
  write(content);
  return suite.startAgent({ config: file });
}

function etcdOnly(endpoints: readonly string[], more: Record<string, unknown> = {}) {
  return {
    listeners: [{ address: '127.0.0.1:0', pool: 'etcd' }],
    pools: { etcd: { type: 'etcd', endpoints, credentials, health: fast, ...more } },
  };
}

const etcdPool = ({ pools = [] }: Status) => pools.find(({ name }) => name === 'etcd');
const reasonOf = async (agent: AgentProcess, id: string) =>
  etcdPool(await agent.status())?.endpoints.find((endpoint) => endpoint.id === id)?.reason;

async function reason(agent: AgentProcess, { id }: FakeEtcd, wanted: string): Promise<void> {
  let last: string | undefined;
  await eventually(
    () => `${id} is ${wanted}, was ${last}`,
    async () => {
      last = await reasonOf(agent, id);
      return last === wanted;
    },
  );
}

describe('checks of etcd', () => {
  test('judge the body, not only the status, and show its reason', async () => {
    const etcd = await fakeEtcd();
    const agent = await start(etcdOnly([etcd.id]));
    await reason(agent, etcd, 'L7OK/200');
    expect(await agent.status()).toMatchObject({ isReady: true, endpoints: [] });
    etcd.answer = [200, '{"health":"false","reason":"RAFT NO LEADER"}'];
    await reason(agent, etcd, 'L7STS/200 RAFT NO LEADER');
    etcd.answer = [503, '{"health":"false","reason":"ALARM NOSPACE"}'];
    await reason(agent, etcd, 'L7STS/503 ALARM NOSPACE');
    etcd.answer = [200, 'welcome'];
    await reason(agent, etcd, 'L7STS/200 not an answer from etcd');
    expect((await agent.get('/readyz')).status).toBe(503);
    expect(new Set(etcd.asked)).toEqual(new Set(['/health']));
  });

  test('ask the metrics port over plain HTTP where they are told to, and the client port is what is dialled', async () => {
    const metrics = await fakeEtcd({ plain: true });
    const endpoint = await TestEndpoint.start((socket) => socket.end('etcd'));
    suite.onStop(() => endpoint.stop());
    const { id } = endpoint.endpoint;
    const health = { ...fast, check: 'http', port: metrics.port };
    const agent = await start(etcdOnly([id], { health }));
    await reason(agent, { ...metrics, id }, 'L7OK/200');
    expect(await say(agent.address)).toBe('etcd');
    metrics.answer = [503, '{"health":"false"}'];
    await reason(agent, { ...metrics, id }, 'L7STS/503 etcd reports that it is not healthy');
  });

  test('ask /readyz where that is configured, and /health of an etcd that is too old for it', async () => {
    const [young, old] = [await fakeEtcd({ paths: ['/readyz'] }), await fakeEtcd()];
    young.answer = [200, 'ok'];
    const agent = await start(etcdOnly([young.id, old.id], { health: { ...fast, path: '/readyz' } }));
    await reason(agent, young, 'L7OK/200');
    await reason(agent, old, 'L7OK/200');
    expect(new Set(young.asked)).toEqual(new Set(['/readyz']));
    // Asked once on a connection, and remembered.
    await eventually('it is asked again', () => old.asked.length >= 3);
    expect(old.asked.slice(0, 3)).toEqual(['/readyz', '/health', '/health']);
    young.answer = [503, '[-]data_corruption failed: alarm activated\n'];
    await reason(agent, young, 'L7STS/503 data_corruption failed');
    old.answer = [200, '{"health":"false"}'];
    await reason(agent, old, 'L7STS/200 etcd reports that it is not healthy');
  });
});

/** What an endpoint says to a client of `address`. */
function say(address: string): Promise<string> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), host);
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
  });
}

test('a pool that follows has the hosts of the API servers, also those that come later, on its own port', async () => {
  const hosts = plane.endpoints.map((id) => id.split(':')[0] ?? '');
  const servers: TestEndpoint[] = [];
  for (const host of hosts) {
    const port = servers[0]?.endpoint.port ?? 0;
    servers.push(await TestEndpoint.start((socket) => socket.end(host), { host, port }));
  }
  suite.onStop(() => Promise.all(servers.map((server) => server.stop())));
  const port = servers[0]?.endpoint.port ?? 0;
  const config = {
    listeners: ['127.0.0.1:0', { address: '127.0.0.1:0', pool: 'konnectivity' }],
    endpoints: plane.endpoints.slice(0, 1),
    credentials: { caFile: join(directory, 'ca.crt') },
    discovery: { watch: false },
    health: fast,
    pools: { konnectivity: { follow: 'apiservers', port } },
  };
  const agent = await start(config);
  const ids = async () => (await agent.status()).pools?.[0]?.endpoints.map(({ id }) => id);
  await eventually('the first one is ready', async () => (await agent.status()).isReady);
  expect(await ids()).toEqual([`${hosts[0]}:${port}`]);
  expect(await say(agent.addresses[1] ?? '')).toBe(hosts[0]);

  write({ ...config, endpoints: plane.endpoints });
  await eventually('the second one is followed', async () => (await ids())?.length === 2);
  await servers[0]?.stop();
  await eventually('the other one is used', async () => (await say(agent.addresses[1] ?? '')) === hosts[1]);
  const { endpoints } = await agent.status();
  expect(endpoints.map(({ id }) => id).sort()).toEqual([...plane.endpoints].sort());
});

test('status, metrics and log tell the pools apart, and leave the API servers as they were', async () => {
  const etcd = await fakeEtcd();
  const agent = await start({
    ...etcdOnly([etcd.id]),
    listeners: ['127.0.0.1:0', { address: '127.0.0.1:0', pool: 'etcd' }],
    endpoints: plane.endpoints,
    credentials: { caFile: join(directory, 'ca.crt') },
    discovery: { watch: false },
    health: { logChecks: true },
  });
  await reason(agent, etcd, 'L7OK/200');
  await eventually('all is ready', async () => (await agent.status()).isReady);
  const status = await agent.status();
  expect(status.listeners).toEqual([
    { address: agent.addresses[0], type: 'passthrough' },
    { address: agent.addresses[1], type: 'passthrough', pool: 'etcd' },
  ]);
  expect(etcdPool(status)).toMatchObject({ isReady: true, credentials: 'client certificate' });
  const metrics = await agent.metrics();
  expect(metrics).toContain(`fairlead_endpoint_verdict{endpoint="${etcd.id}",verdict="ready",pool="etcd"} 1`);
  expect(metrics).toContain(`fairlead_endpoint_verdict{endpoint="${plane.endpoints[0]}",verdict="ready"} 1`);
  expect(metrics).toMatch(/^fairlead_endpoints_usable 2$/m);
  const poolOf = (line: LogLine) => line.pool;
  expect(agent.log.filter(({ endpoint }) => endpoint === etcd.id).every((l) => poolOf(l) === 'etcd')).toBe(
    true,
  );
  expect(agent.log.filter(({ endpoint }) => endpoint === plane.endpoints[0]).map(poolOf)).not.toContain(
    'etcd',
  );
  expect(agent.log).toContainEqual(
    expect.objectContaining({ level: 'info', msg: 'health check', endpoint: etcd.id, result: 'L7OK/200' }),
  );
  const { stdout } = await runFairlead(['status', '--admin', agent.admin]);
  expect(stdout).toMatch(/\npool etcd: ready; .*\n\nENDPOINT/);
});

test('a reload changes a pool without a tunnel noticing', async () => {
  const etcds = [
    await TestEndpoint.start((s) => s.write('a')),
    await TestEndpoint.start((s) => s.write('b')),
  ];
  suite.onStop(() => Promise.all(etcds.map((etcd) => etcd.stop())));
  const ids = etcds.map(({ endpoint }) => endpoint.id);
  const config = (endpoints: readonly string[]) => ({
    listeners: [{ address: '127.0.0.1:0', pool: 'raw' }],
    drain: { unreadyAfter: '1h' },
    pools: { raw: { endpoints, health: fast } },
  });
  const agent = await start(config(ids.slice(0, 1)));
  const [host, port] = agent.address.split(':');
  const socket = connect(Number(port), host);
  suite.onStop(() => socket.destroy());
  await eventually('it is connected to the first', () => socket.bytesRead === 1);
  write(config(ids.slice(1)));
  await eventually('the second one is what is left', async () => {
    const listed = (await agent.status()).pools?.[0]?.endpoints.filter(({ tier }) => tier !== 'removed');
    return listed?.length === 1 && listed[0]?.id === ids[1];
  });
  expect(socket.closed).toBe(false);
  await eventually('the log says so', () => agent.log.some(({ msg }) => msg === 'configuration reloaded'));
  expect(agent.log).toContainEqual(
    expect.objectContaining({ msg: 'configuration reloaded', applied: ['pools'] }),
  );
});

test('an address that the host does not have yet is waited for, and the agent is ready meanwhile', async () => {
  const endpoint = await TestEndpoint.start(() => {});
  suite.onStop(() => endpoint.stop());
  const config = (waitForAddress: boolean) => ({
    listeners: [
      { address: '127.0.0.1:0', pool: 'raw' },
      { address: '192.0.2.10:8383', pool: 'raw', waitForAddress },
    ],
    allowNonLoopback: true,
    pools: { raw: { endpoints: [endpoint.endpoint.id], health: fast } },
  });
  const agent = await start(config(true));
  await eventually('it is ready', async () => (await agent.status()).isReady);
  expect(await agent.status()).toMatchObject({ absentAddresses: ['192.0.2.10:8383'] });
  expect((await agent.get('/readyz')).status).toBe(200);
  await expect(start(config(false))).rejects.toThrow('this host has no such address');
});

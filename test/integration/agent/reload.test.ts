// A running agent applies a changed configuration, without a tunnel noticing.
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentProcess } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import { replaceConfig } from '../../support/agent/config-file.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { H2Tunnel } from '../../support/clients/h2-tunnel.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const suite = agentSuite();
const directory = tempDir();
let plane: ControlPlane;
/** Its file, and the agent that runs with it. */
let file: string;
let agent: AgentProcess;

const write = (content: unknown) => replaceConfig(file, content);

function settings(more: Record<string, unknown> = {}) {
  return {
    listeners: ['127.0.0.1:0'],
    admin: '127.0.0.1:0',
    endpoints: plane.endpoints.slice(0, 1),
    credentials: {
      caFile: join(directory, 'ca.crt'),
      clientCertFile: join(directory, 'client.crt'),
      clientKeyFile: join(directory, 'client.key'),
    },
    discovery: { watch: false },
    ...more,
  };
}

const lines = (msg: string) => agent.log.filter((line) => line.msg === msg);
const reloads = () => lines('configuration reloaded');

beforeAll(async () => {
  plane = await suite.startControlPlane({ servers: 3 });
  const { ca, clients } = plane.pki;
  const { cert, key } = clients.fairlead;
  const files = { 'ca.crt': ca.cert, 'client.crt': cert, 'client.key': key };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
});

beforeEach(async () => {
  file = suite.writeConfig(settings());
  agent = await suite.startAgent({ config: file });
  const tunnel = await suite.openTunnel(agent.address, plane);
  expect(await tunnel.ask()).toBe('cp-1');
  // Whatever happens, the tunnel lives through it.
  suite.onStop(async () => expect(await tunnel.ask()).toBe('cp-1'));
});

test('SIGHUP loads the configuration again', async () => {
  agent.signal('SIGHUP');
  await eventually('it says so', () => reloads().length === 1);
  expect(reloads()[0]).toMatchObject({ trigger: 'SIGHUP', applied: [] });
});

test('a change of the file is applied: endpoints, policy, health', async () => {
  write(
    settings({
      endpoints: plane.endpoints,
      balance: { policy: 'round-robin' },
      health: { interval: '500ms', timeout: '500ms', path: '/livez' },
    }),
  );
  await eventually('it says so', () => reloads().length === 1);
  expect(reloads()[0]?.trigger).toBe('file changed');
  expect(reloads()[0]?.applied).toEqual(
    expect.arrayContaining(['endpoints', 'balance.policy', 'health.interval']),
  );
  expect((await agent.status()).policy).toBe('round-robin');
  await agent.untilReady(3);
  // New clients are spread over all of them, the old one stays where it is.
  const answers = await Promise.all([1, 2, 3].map(() => H2Tunnel.askOnce(agent.address, plane.pki)));
  expect(answers.sort()).toEqual(['cp-1', 'cp-2', 'cp-3']);
  // The health check asks as it is now told.
  const asked = () => plane.servers.map((server) => server.stats().requestsByPath['/livez'] ?? 0);
  await eventually('all are asked for /livez', () => asked().every((count) => count > 0));
});

test('endpoints that are taken away get no new clients', async () => {
  write(settings({ endpoints: plane.endpoints.slice(1) }));
  await eventually('it says so', () => reloads().length === 1);
  expect(await H2Tunnel.askOnce(agent.address, plane.pki)).not.toBe('cp-1');
});

test('a bad new configuration changes nothing, and every problem is logged', async () => {
  const before = await agent.status();
  write('endpoints: [127.0.0.1:notaport]\nbalance: { policy: random }\n');
  agent.signal('SIGHUP');
  const bad = 'the new configuration is invalid; the previous one stays in use';
  await eventually('it says so', () => lines(bad).length > 0);
  const problems = JSON.stringify(lines(bad)[0]?.problems);
  expect(lines(bad)[0]).toMatchObject({ level: 'error', code: 'CONFIG_INVALID' });
  expect(problems).toContain('endpoints');
  expect(problems).toContain('balance.policy');
  expect(reloads()).toEqual([]);
  const after = await agent.status();
  expect(after.policy).toBe(before.policy);
  expect(after.endpoints.map(({ id }) => id)).toEqual(before.endpoints.map(({ id }) => id));
  // And when it is fixed it is taken.
  write(settings({ balance: { policy: 'least-connections' } }));
  await eventually('the fixed one is taken', () => reloads().length > 0);
  expect((await agent.status()).policy).toBe('least-connections');
});

test('a file that is gone changes nothing', async () => {
  renameSync(file, `${file}.gone`);
  agent.signal('SIGHUP');
  await eventually('it is said', () => agent.log.some(({ code }) => code === 'CONFIG_UNREADABLE'));
  expect((await agent.status()).endpoints).toHaveLength(1);
});

test('what takes a restart is named and left as it is', async () => {
  const needed = () => lines('some changed settings take effect only after a restart');
  const later = { nodeName: 'another', log: { format: 'pretty' } };
  write(settings({ ...later, balance: { policy: 'round-robin' } }));
  await eventually('it says so', () => needed().length === 1);
  expect(needed()[0]).toMatchObject({ level: 'warn', needsRestart: ['nodeName', 'log.format'] });
  const { node, policy } = await agent.status();
  expect(node).not.toBe('another');
  expect(policy).toBe('round-robin');
  // As long as it has not been restarted, it says so each time, and leaves it.
  write(settings({ ...later, endpoints: plane.endpoints }));
  await eventually('it says so again', () => needed().length === 2);
  expect(needed()[1]).toMatchObject({ needsRestart: ['nodeName', 'log.format'] });
});

test('the log level can be changed', async () => {
  write(settings({ log: { level: 'error' }, balance: { policy: 'round-robin' } }));
  await eventually('it is applied', async () => (await agent.status()).policy === 'round-robin');
  // Not even that it was.
  expect(reloads()).toEqual([]);
  write(settings({ log: { level: 'info' } }));
  await eventually('it speaks again', () => reloads().length === 1);
});

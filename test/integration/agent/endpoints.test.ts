// Where a running agent gets its endpoints and credentials from, and how it spreads clients over them.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentProcess, freePort } from '../../support/agent/agent-process.ts';
import { type ControlPlane, startControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { H2Tunnel } from '../../support/clients/h2-tunnel.ts';
import { watchForLeaks } from '../../support/jest/leaks.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const leftNothing = watchForLeaks();
const directory = tempDir();
const agents: AgentProcess[] = [];
const tunnels: H2Tunnel[] = [];
let plane: ControlPlane;

async function start(args: readonly string[], env: Record<string, string> = {}): Promise<AgentProcess> {
  const agent = new AgentProcess(['--admin', '127.0.0.1:0', ...args], { env });
  agents.push(agent);
  await agent.listening();
  return agent;
}

async function ask(agent: AgentProcess): Promise<string> {
  const tunnel = await H2Tunnel.open(agent.address, plane.pki);
  tunnels.push(tunnel);
  return tunnel.ask();
}

async function allReady(agent: AgentProcess, count = 3): Promise<void> {
  await eventually(`${count} endpoints are ready`, async () => {
    const { endpoints } = await agent.status();
    return endpoints.filter(({ verdict }) => verdict === 'ready').length === count;
  });
}

beforeAll(async () => {
  plane = await startControlPlane({ servers: 3, anonymous: 'off' });
});

afterEach(async () => {
  for (const tunnel of tunnels.splice(0)) tunnel.destroy();
  await Promise.all(agents.splice(0).map((agent) => agent.kill()));
});

afterAll(async () => {
  await plane.stop();
  await leftNothing();
});

describe('the cache', () => {
  test('is enough to start with: every API server is known from the last run only', async () => {
    const cache = join(directory, 'cache', 'endpoints.json');
    const listen = `127.0.0.1:${await freePort()}`;
    // Its server is the agent itself: no address of an API server is in it.
    const kubeconfig = await plane.writeKubeconfig({ user: 'fairlead', server: `https://${listen}` });
    const always = ['--listen', listen, '--kubeconfig', kubeconfig, '--cache-file', cache];
    const first = await start([...always, '--endpoints', plane.endpoints[0] ?? '']);
    await allReady(first);
    await eventually('the cache holds all', () => {
      const text = existsSync(cache) ? readFileSync(cache, 'utf8') : '';
      return plane.endpoints.every((id) => text.includes(id.split(':')[0] ?? ''));
    });
    await first.kill();

    const second = await start(always);
    expect(await ask(second)).toMatch(/^cp-/);
    await allReady(second);
    const { endpoints } = await second.status();
    expect(endpoints.map(({ id }) => id).sort()).toEqual([...plane.endpoints].sort());
    for (const { sources } of endpoints) expect(sources).not.toContain('static');
  });

  test('that holds nothing useful is set aside, and says so', async () => {
    const cache = join(directory, 'broken.json');
    writeFileSync(cache, '{"not": "a cache"');
    const agent = await start([
      ...['--listen', '127.0.0.1:0', '--cache-file', cache, '--endpoints', plane.endpoints.join(',')],
    ]);
    expect(agent.log.map(({ msg }) => msg)).toContain('the endpoint cache is not used and set aside');
    expect(await ask(agent)).toMatch(/^cp-/);
  });
});

describe('our own listener', () => {
  test('as the server of the kubeconfig gives credentials, not an endpoint', async () => {
    const listen = `127.0.0.1:${await freePort()}`;
    const kubeconfig = await plane.writeKubeconfig({ user: 'fairlead', server: `https://${listen}` });
    const agent = await start([
      ...['--listen', listen, '--kubeconfig', kubeconfig, '--endpoints', plane.endpoints[1] ?? ''],
    ]);
    await allReady(agent);
    const { endpoints, credentials } = await agent.status();
    expect(endpoints.map(({ id }) => id)).not.toContain(listen);
    expect(credentials).toBe('client certificate');
    expect(await ask(agent)).toMatch(/^cp-/);
  });

  test('among the endpoints is refused: exit code 2', async () => {
    const listen = `127.0.0.1:${await freePort()}`;
    const agent = new AgentProcess(['--admin', '127.0.0.1:0', '--listen', listen, '--endpoints', listen]);
    agents.push(agent);
    expect((await agent.exited).code).toBe(2);
    expect(agent.errors).toContain('must be an API server, not Fairlead itself');
  });
});

describe('without credentials', () => {
  test('it works on the static list and says what it cannot see', async () => {
    const agent = await start(['--listen', '127.0.0.1:0', '--endpoints', plane.endpoints.join(',')], {
      FAIRLEAD_HEALTH_STARTUP_GRACE: '0s',
    });
    expect(await ask(agent)).toMatch(/^cp-/);
    await allReady(agent);
    const status = await agent.status();
    expect(status.credentials).toBe('none');
    expect(status.discovery.watch).not.toBe('synced');
    for (const { reason, hint } of status.endpoints) {
      expect(reason).toBe('L7OK/401 readiness not visible');
      expect(hint).toContain('--kubeconfig');
    }
    const warnings = agent.log.filter(({ level }) => level === 'warn').map(({ msg }) => msg);
    expect(warnings).toContain('no EndpointSlice watch without credentials');
  });
});

describe('clients are spread', () => {
  const spread = async (policy: string): Promise<Record<string, number>> => {
    const kubeconfig = await plane.writeKubeconfig({ user: 'fairlead' });
    const agent = await start(
      ['--listen', '127.0.0.1:0', '--endpoints', plane.endpoints.join(','), '--kubeconfig', kubeconfig],
      { FAIRLEAD_BALANCE_POLICY: policy },
    );
    await allReady(agent);
    const counts: Record<string, number> = {};
    for (let i = 0; i < 9; i += 1) {
      const server = await ask(agent);
      counts[server] = (counts[server] ?? 0) + 1;
    }
    const { endpoints } = await agent.status();
    // The status counts the same tunnels.
    expect(endpoints.map(({ tunnels: count }) => count).sort()).toEqual(
      [...Object.values(counts), 0, 0].slice(0, 3).sort(),
    );
    return counts;
  };

  test.each(['least-connections', 'round-robin'])('evenly by %s', async (policy) => {
    expect(await spread(policy)).toEqual({ 'cp-1': 3, 'cp-2': 3, 'cp-3': 3 });
  });

  test('not at all by rendezvous: a node has one favourite', async () => {
    expect(Object.values(await spread('rendezvous'))).toEqual([9]);
  });

  test('by least connections to where the fewest are, when some have gone', async () => {
    const kubeconfig = await plane.writeKubeconfig({ user: 'fairlead' });
    const agent = await start(
      ['--listen', '127.0.0.1:0', '--endpoints', plane.endpoints.join(','), '--kubeconfig', kubeconfig],
      { FAIRLEAD_BALANCE_POLICY: 'least-connections' },
    );
    await allReady(agent);
    const opened = new Map<string, H2Tunnel[]>();
    for (let i = 0; i < 6; i += 1) {
      const tunnel = await H2Tunnel.open(agent.address, plane.pki);
      tunnels.push(tunnel);
      const server = await tunnel.ask();
      opened.set(server, [...(opened.get(server) ?? []), tunnel]);
    }
    for (const tunnel of opened.get('cp-2') ?? []) await tunnel.close();
    const free = plane.servers.find(({ name }) => name === 'cp-2')?.address;
    await eventually('cp-2 is free', async () => {
      const { endpoints } = await agent.status();
      return endpoints.find(({ id }) => id === free)?.tunnels === 0;
    });
    expect(await ask(agent)).toBe('cp-2');
    expect(await ask(agent)).toBe('cp-2');
  });
});

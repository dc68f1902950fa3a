// Where a running agent gets its endpoints and credentials from, and how it spreads clients over them.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AgentProcess, freePort } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import type { H2Tunnel } from '../../support/clients/h2-tunnel.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const suite = agentSuite();
const directory = tempDir();
let plane: ControlPlane;

beforeAll(async () => {
  plane = await suite.startControlPlane({ servers: 3, anonymous: 'off' });
});

/** The API server that a new client meets; its connection stays open. */
async function ask({ address }: AgentProcess): Promise<string> {
  return (await suite.openTunnel(address, plane)).ask();
}

describe('the cache', () => {
  test('is enough to start with: every API server is known from the last run only', async () => {
    const cache = join(directory, 'cache', 'endpoints.json');
    const listen = `127.0.0.1:${await freePort()}`;
    // Its server is the agent itself: no address of an API server is in it.
    const kubeconfig = await plane.writeKubeconfig({ user: 'fairlead', server: `https://${listen}` });
    const always = { listen, kubeconfig, args: ['--cache-file', cache] };
    const first = await suite.startAgent({ ...always, endpoints: plane.endpoints.slice(0, 1) });
    await first.untilReady(3);
    await eventually('the cache holds all', () => {
      const text = existsSync(cache) ? readFileSync(cache, 'utf8') : '';
      return plane.endpoints.every((id) => text.includes(id.split(':')[0] ?? ''));
    });
    await first.kill();

    const second = await suite.startAgent(always);
    expect(await ask(second)).toMatch(/^cp-/);
    await second.untilReady(3);
    const { endpoints } = await second.status();
    expect(endpoints.map(({ id }) => id).sort()).toEqual([...plane.endpoints].sort());
    for (const { sources } of endpoints) expect(sources).not.toContain('static');
  });

  test('that holds nothing useful is set aside, and says so', async () => {
    const cache = join(directory, 'broken.json');
    writeFileSync(cache, '{"not": "a cache"');
    const agent = await suite.startAgent({ endpoints: plane.endpoints, args: ['--cache-file', cache] });
    expect(agent.messages).toContain('the endpoint cache is invalid: moved aside, not used');
    expect(await ask(agent)).toMatch(/^cp-/);
  });
});

describe('our own listener', () => {
  test('as the server of the kubeconfig gives credentials, not an endpoint', async () => {
    const listen = `127.0.0.1:${await freePort()}`;
    const kubeconfig = await plane.writeKubeconfig({ user: 'fairlead', server: `https://${listen}` });
    const agent = await suite.startAgent({ listen, kubeconfig, endpoints: plane.endpoints.slice(1, 2) });
    await agent.untilReady(3);
    const { endpoints, credentials } = await agent.status();
    expect(endpoints.map(({ id }) => id)).not.toContain(listen);
    expect(credentials).toBe('client certificate');
    expect(await ask(agent)).toMatch(/^cp-/);
  });

  test('among the endpoints is refused: exit code 2', async () => {
    const listen = `127.0.0.1:${await freePort()}`;
    const agent = suite.spawnAgent({ listen, endpoints: [listen] });
    expect((await agent.exited).code).toBe(2);
    expect(agent.errors).toContain('must be an API server, not Fairlead itself');
  });
});

describe('without credentials', () => {
  test('it works on the static list and says what it cannot see', async () => {
    const env = { FAIRLEAD_HEALTH_STARTUP_GRACE: '0s' };
    const agent = await suite.startAgent({ endpoints: plane.endpoints, env });
    expect(await ask(agent)).toMatch(/^cp-/);
    await agent.untilReady(3);
    const status = await agent.status();
    expect(status.credentials).toBe('none');
    expect(status.discovery.watch).not.toBe('synced');
    for (const { reason, hint } of status.endpoints) {
      expect(reason).toBe('L7OK/401 readiness not visible');
      expect(hint).toContain('--kubeconfig');
    }
    const warnings = agent.log.filter(({ level }) => level === 'warn').map(({ msg }) => msg);
    expect(warnings).toContain('no EndpointSlice watch: no usable credentials');
  });
});

describe('clients are spread', () => {
  async function startWith(policy: string): Promise<AgentProcess> {
    const agent = await suite.startAgent({
      endpoints: plane.endpoints,
      kubeconfig: await plane.writeKubeconfig({ user: 'fairlead' }),
      env: { FAIRLEAD_BALANCE_POLICY: policy },
    });
    await agent.untilReady(3);
    return agent;
  }

  const spread = async (policy: string): Promise<Record<string, number>> => {
    const agent = await startWith(policy);
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
    const agent = await startWith('least-connections');
    const opened = new Map<string, H2Tunnel[]>();
    for (let i = 0; i < 6; i += 1) {
      const tunnel = await suite.openTunnel(agent.address, plane);
      const server = await tunnel.ask();
      opened.set(server, [...(opened.get(server) ?? []), tunnel]);
    }
    for (const tunnel of opened.get('cp-2') ?? []) await tunnel.close();
    const { address: free } = plane.named('cp-2');
    await eventually('cp-2 is free', async () => (await agent.endpoint(free))?.tunnels === 0);
    expect(await ask(agent)).toBe('cp-2');
    expect(await ask(agent)).toBe('cp-2');
  });
});

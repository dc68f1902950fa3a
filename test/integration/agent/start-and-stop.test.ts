// `fairlead run` as a process: how it begins, what it says when it cannot, and how it ends.
import { connect, createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AgentProcess, runFairlead } from '../../support/agent/agent-process.ts';
import { type AgentOptions, agentSuite } from '../../support/agent/agent-suite.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import type { H2Tunnel } from '../../support/clients/h2-tunnel.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const suite = agentSuite();
const directory = tempDir();
let plane: ControlPlane;

beforeAll(async () => {
  plane = await suite.startControlPlane({ servers: 2 });
});

/** An agent for the API servers of this suite; does not wait until it listens. */
const spawn = (options: AgentOptions = {}) => suite.spawnAgent({ endpoints: plane.endpoints, ...options });

/** The same, when it listens. */
async function start(options?: AgentOptions): Promise<AgentProcess> {
  const agent = spawn(options);
  await agent.listening();
  return agent;
}

const grace = (duration: string) => ({ env: { FAIRLEAD_SHUTDOWN_GRACE: duration } });

const open = ({ address }: AgentProcess): Promise<H2Tunnel> => suite.openTunnel(address, plane);

function refuses(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const [host = '', port] = address.split(':');
    const socket = connect(Number(port), host);
    socket.on('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}

describe('starting', () => {
  test('clients are carried on bare handles as soon as these have passed their check', async () => {
    const agent = await start({ args: ['--log-level', 'debug'] });
    await eventually('the check has passed', () => agent.messages.includes('using bare TCP handles'));
    expect(await (await open(agent)).ask()).toMatch(/^cp-/);
  });

  test('with port 0 it takes free ports, and says which', async () => {
    const agent = await start({ listen: ['127.0.0.1:0', '[::1]:0'] });
    expect(agent.addresses).toHaveLength(2);
    expect(agent.addresses[0]).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
    expect(agent.addresses[1]).toMatch(/^\[::1\]:[1-9]\d*$/);
    expect((await agent.status()).listeners.map(({ address }) => address)).toEqual(agent.addresses);
    for (const address of agent.addresses) {
      expect(await (await suite.openTunnel(address, plane)).ask()).toMatch(/^cp-/);
    }
  });

  test('logs one JSON line an event, with time, level and node', async () => {
    const agent = await start({ nodeName: 'node-7' });
    for (const { level, node, time } of agent.log) {
      expect({ level, node }).toEqual({ level: expect.stringMatching(/^(info|warn)$/), node: 'node-7' });
      expect(Number.isNaN(Date.parse(String(time)))).toBe(false);
    }
  });

  describe('on a port in use', () => {
    let holder: Server;
    let taken: string;

    beforeAll(async () => {
      holder = createServer().listen(0, '127.0.0.1');
      await once(holder, 'listening');
      const { port } = holder.address() as { port: number };
      taken = `127.0.0.1:${port}`;
    });
    afterAll(() => holder.close());

    test.each([
      ['a listener', (listen: string) => ({ listen })],
      ['the admin server', (admin: string) => ({ admin })],
    ])('%s: exit code 3, and the message names the address and what to do', async (_name, at) => {
      const agent = spawn(at(taken));
      expect(await agent.exited).toEqual({ code: 3, signal: null });
      expect(agent.errors).toContain('LISTEN_IN_USE');
      expect(agent.errors).toContain(taken);
      expect(agent.errors).toContain('ss -ltnp');
      expect(agent.messages).not.toContain('fairlead is running');
    });
  });

  test('on an address that the host lacks: exit code 3', async () => {
    // An address of TEST-NET-1, which no host has.
    const absent = spawn({ listen: '192.0.2.1:0', env: { FAIRLEAD_ALLOW_NON_LOOPBACK: 'true' } });
    expect((await absent.exited).code).toBe(3);
    expect(absent.errors).toContain('this host has no such address');
  });

  test('outside loopback it needs to be told so: exit code 2', async () => {
    const agent = spawn({ listen: '0.0.0.0:0' });
    expect((await agent.exited).code).toBe(2);
    expect(agent.errors).toContain('allowNonLoopback');
  });

  test('a wrong configuration: exit code 2, and every problem', async () => {
    const file = join(directory, 'wrong.yaml');
    writeFileSync(file, 'endpoint: [10.0.0.1:6443]\nhealth: { interval: 2 }\n');
    const agent = spawn({ config: file });
    expect((await agent.exited).code).toBe(2);
    expect(agent.errors).toContain('CONFIG_INVALID');
    expect(agent.errors).toContain('endpoints');
    expect(agent.errors).toContain('health.interval');
  });
});

describe('stopping', () => {
  test('SIGTERM: no new clients, an open tunnel goes on, and the end comes with its own', async () => {
    const agent = await start(grace('10m'));
    const tunnel = await open(agent);
    await tunnel.ask();
    agent.signal('SIGTERM');
    await eventually('new clients are refused', () => refuses(agent.address));
    expect(await tunnel.ask()).toMatch(/^cp-/);
    expect(agent.hasExited).toBe(false);
    await tunnel.close();
    expect(await agent.exited).toEqual({ code: 0, signal: null });
    expect(agent.messages.at(-1)).toBe('stopped');
  });

  test('from SIGTERM on /readyz says 503 and the status says stopping, while a watch is open through it', async () => {
    const agent = await start(grace('10m'));
    const isWatching = await (await open(agent)).watch('/api/v1/namespaces/default/configmaps?watch=1');
    expect((await agent.get('/readyz')).status).toBe(200);
    const before = await agent.status();
    expect(before.stopping).toBeUndefined();
    agent.signal('SIGTERM');
    // Not a moment later than the listeners stop: whoever moves an address away has to learn of it.
    await eventually('new clients are refused', () => refuses(agent.address));
    const unready = await agent.get('/readyz');
    expect([unready.status, await unready.text()]).toEqual([503, expect.stringContaining('stopping')]);
    for (const path of ['/livez', '/healthz', '/metrics'])
      expect([path, (await agent.get(path)).status]).toEqual([path, 200]);
    const { isReady, stopping, listeners, endpoints } = await agent.status();
    expect({ isReady, listeners }).toEqual({ isReady: false, listeners: [] });
    const { since, until } = stopping ?? { since: '', until: '' };
    expect(Date.parse(until) - Date.parse(since)).toBe(600_000);
    // Its endpoints are well, and health goes on: only new clients are not taken.
    expect(endpoints.some(({ usable }) => usable)).toBe(true);
    const { code, stdout } = await runFairlead(['status', '--admin', agent.admin]);
    expect({ code, stdout }).toEqual({ code: 5, stdout: expect.stringContaining(': STOPPING (until ') });
    expect(isWatching()).toBe(true);
    agent.signal('SIGTERM');
    await agent.exited;
  });

  test('SIGTERM without tunnels: the end comes at once', async () => {
    const agent = await start(grace('10m'));
    agent.signal('SIGTERM');
    expect(await agent.exited).toEqual({ code: 0, signal: null });
  });

  test('when the grace time is over, a tunnel that is still open is reset', async () => {
    const agent = await start(grace('1s'));
    const tunnel = await open(agent);
    await tunnel.ask();
    agent.signal('SIGTERM');
    await eventually('new clients are refused', () => refuses(agent.address));
    // Nothing is in flight: the session sees the reset itself.
    expect(await tunnel.ended).toBe('ECONNRESET');
    expect(await agent.exited).toEqual({ code: 0, signal: null });
  });

  test('a second SIGTERM ends the grace time', async () => {
    const agent = await start(grace('10m'));
    const tunnel = await open(agent);
    await tunnel.ask();
    agent.signal('SIGTERM');
    await eventually('it is stopping', () => agent.messages.includes('stopping'));
    agent.signal('SIGTERM');
    expect(await tunnel.ended).toBe('ECONNRESET');
    expect(await agent.exited).toEqual({ code: 0, signal: null });
    expect(agent.messages).toContain('second signal: stopping immediately');
  });

  test('SIGINT does the same', async () => {
    const agent = await start();
    agent.signal('SIGINT');
    expect(await agent.exited).toEqual({ code: 0, signal: null });
  });
});

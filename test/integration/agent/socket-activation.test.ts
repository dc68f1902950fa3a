// Sockets that somebody else has bound: as systemd hands them over, by a stand-in for it and by its own tool.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { AgentProcess, buildAgent, freePort } from '../../support/agent/agent-process.ts';
import { type ControlPlane, startControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { H2Tunnel } from '../../support/clients/h2-tunnel.ts';
import { watchForLeaks } from '../../support/jest/leaks.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';

const leftNothing = watchForLeaks();
let plane: ControlPlane;
let socket: Server;
let agent: AgentProcess | undefined;

beforeAll(async () => {
  buildAgent();
  plane = await startControlPlane({ servers: 2 });
});

beforeEach(async () => {
  socket = createServer().listen(0, '127.0.0.1');
  await once(socket, 'listening');
});

afterEach(async () => {
  await agent?.kill();
  agent = undefined;
  socket.close();
});

afterAll(async () => {
  await plane.stop();
  await leftNothing();
});

const address = () => `127.0.0.1:${(socket.address() as AddressInfo).port}`;
const flags = (...listen: readonly string[]) => [
  ...listen.flatMap((each) => ['--listen', each]),
  ...['--admin', '127.0.0.1:0', '--endpoints', plane.endpoints.join(',')],
];

test('the agent serves on a socket that it was given', async () => {
  const where = address();
  agent = await AgentProcess.start(flags(where), { sockets: [socket] });
  expect(agent.addresses).toEqual([where]);
  expect(agent.log).toContainEqual(
    expect.objectContaining({ msg: 'sockets were handed over', addresses: [where] }),
  );
  // This process would take clients from it as well.
  socket.close();
  const tunnel = await H2Tunnel.open(where, plane.pki);
  expect(await tunnel.ask()).toMatch(/^cp-/);
  await tunnel.close();
});

test('a socket without a listener is an error that names it, with exit code 3', async () => {
  agent = new AgentProcess(flags('127.0.0.1:0'), { sockets: [socket] });
  await expect(agent.listening()).rejects.toThrow();
  expect(await agent.exited).toMatchObject({ code: 3 });
  expect(agent.errors + agent.log.map((line) => JSON.stringify(line)).join('')).toContain(address());
});

const tool = 'systemd-socket-activate';
if (spawnSync(tool, ['--version']).error !== undefined) {
  skipLoudly('clients wait in the socket while the agent starts', `no ${tool}`);
} else {
  test('clients wait in the socket while the agent starts, as systemd has it', async () => {
    const where = `127.0.0.1:${await freePort()}`;
    agent = new AgentProcess(flags(where), {
      command: [tool, '--listen', where, process.execPath, `${process.cwd()}/dist/fairlead.js`],
    });
    // The tool starts the agent when the first client comes: nobody else could have taken it.
    const tunnel = await eventually('the tool listens', () =>
      H2Tunnel.open(where, plane.pki).catch(() => undefined),
    );
    expect(await tunnel?.ask()).toMatch(/^cp-/);
    await agent.listening();
    expect(agent.addresses).toEqual([where]);
    await tunnel?.close();
    agent.signal('SIGTERM');
    expect(await agent.exited).toEqual({ code: 0, signal: null });
  });
}

// Sockets that somebody else has bound: as systemd hands them over, by a stand-in for it and by its own tool.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { builtProgram, freePort } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { H2Tunnel } from '../../support/clients/h2-tunnel.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';

const suite = agentSuite();
let plane: ControlPlane;
let socket: Server;

beforeAll(async () => {
  plane = await suite.startControlPlane({ servers: 2 });
});

beforeEach(async () => {
  socket = createServer().listen(0, '127.0.0.1');
  await once(socket, 'listening');
  suite.onStop(() => socket.close());
});

const address = () => `127.0.0.1:${(socket.address() as AddressInfo).port}`;

test('the agent serves on a socket that it was given', async () => {
  const where = address();
  const agent = await suite.startAgent({ listen: where, endpoints: plane.endpoints, sockets: [socket] });
  expect(agent.addresses).toEqual([where]);
  expect(agent.log).toContainEqual(
    expect.objectContaining({ msg: 'using inherited sockets', addresses: [where] }),
  );
  // This process would take clients from it as well.
  socket.close();
  const tunnel = await suite.openTunnel(where, plane);
  expect(await tunnel.ask()).toMatch(/^cp-/);
  await tunnel.close();
});

test('a socket without a listener is an error that names it, with exit code 3', async () => {
  const agent = suite.spawnAgent({ endpoints: plane.endpoints, sockets: [socket] });
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
    const agent = suite.spawnAgent({
      listen: where,
      endpoints: plane.endpoints,
      command: [tool, '--listen', where, process.execPath, builtProgram],
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

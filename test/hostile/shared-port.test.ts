// Attack: another process of the node listens on the agent's port, which it shares with the next agent (--reuse-port), and
// so gets a share of the clients; or an old agent that hangs keeps its share.
// Bound: only processes of the agent's own user can share the port, and no other image has that user; the installer knows
// a hung agent from one that is busy or gone.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, chmodSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { ownUserId } from '../../scripts/image/rootfs.ts';
import { isSilent } from '../../src/installer/silence.ts';
import { builtProgram, freePort } from '../support/agent/agent-process.ts';
import { agentSuite } from '../support/agent/agent-suite.ts';
import { skipLoudly } from '../support/jest/skip-loudly.ts';
import { tempDir } from '../support/jest/temp-dir.ts';

/** Distroless' "nonroot", which many images run as. */
const commonUserId = 65_532;
const scratch = tempDir();
const suite = agentSuite();

test.each([
  'static-pod-nonroot/pod.yaml',
  'daemonset-agent/daemonset.yaml',
  'cluster-point-kube-proxy/job.yaml',
])('manifests/%s has the user that is ours alone', (file) => {
  const users = [
    ...readFileSync(`manifests/${file}`, 'utf8').matchAll(/(?:runAs(?:User|Group)|fsGroup): (\d+)/g),
  ];
  expect(new Set(users.map(([, id]) => Number(id)))).toEqual(new Set([ownUserId]));
});

const thief = `
  const server = require('node:net').createServer((socket) => socket.destroy());
  server.on('error', (error) => { console.log(error.code); process.exit(); });
  server.listen({ host: '127.0.0.1', port: Number(process.argv[1]), reusePort: true }, () => { console.log('shares'); process.exit(); });`;

const sharing = 'a process of another user cannot share the port';
if (process.getuid?.() !== 0) skipLoudly(sharing, 'only root can start processes of other users');
else
  test(sharing, async () => {
    const directory = mkdtempSync(join(scratch, 'own-'));
    for (const path of [scratch, directory]) chmodSync(path, 0o755);
    const program = join(directory, 'dist');
    cpSync(join(builtProgram, '..'), program, { recursive: true });
    writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
    const node = join(directory, 'node');
    cpSync(process.execPath, node);
    const as = (user: number) =>
      ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups', node] as const;
    const agent = await suite.startAgent({
      endpoints: ['127.0.0.1:1'],
      args: ['--reuse-port'],
      listen: `127.0.0.1:${await freePort()}`,
      command: [...as(ownUserId), join(program, 'fairlead.js')],
    });
    // It holds its listener back until an endpoint has passed a check; the admin port is shared in the same way.
    const port = new URL(`http://${agent.admin}`).port;
    const attempt = (user: number) => {
      const [command, ...args] = as(user);
      return spawnSync(command, [...args, '-e', thief, port], { encoding: 'utf8', cwd: '/' }).stdout.trim();
    };
    expect(attempt(commonUserId)).toBe('EADDRINUSE');
    expect(attempt(0)).toBe('EADDRINUSE');
    // So the test can fail: the same user could.
    expect(attempt(ownUserId)).toBe('shares');
  });

describe('a process on a port', () => {
  let child: ChildProcess | undefined;
  let server: Server | undefined;
  afterEach(async () => {
    if (child) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    if (server) await new Promise((resolve) => server?.close(resolve));
    [child, server] = [undefined, undefined];
  });

  test('that is stopped is silent', async () => {
    const listen = `const s = require('node:net').createServer(() => {}).listen(0, '127.0.0.1', () => console.log(s.address().port))`;
    child = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(child.stdout!, 'data');
    child.kill('SIGSTOP');
    expect(await isSilent({ host: '127.0.0.1', port: Number(line) }, 300)).toBe(true);
  });

  test.each([
    ['answers in another protocol', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
    ['ends the connection', ''],
  ])('that %s is not', async (_what, text) => {
    server = createServer((socket) =>
      socket
        .on('error', () => {})
        .resume()
        .end(text),
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    expect(await isSilent({ host: '127.0.0.1', port }, 10_000)).toBe(false);
  });

  test('that is gone is not', async () => {
    expect(await isSilent({ host: '127.0.0.1', port: await freePort() }, 10_000)).toBe(false);
  });
});

// The external load balancer of Kubespray's HA document: HAProxy with the document's configuration, and Fairlead
// with what `fairlead import` makes of it, pass the same acceptance test.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentProcess, freePort, runFairlead } from '../../support/agent/agent-process.ts';
import { type ControlPlane, startControlPlane } from '../../support/apiserver/control-plane.ts';
import { watchForLeaks } from '../../support/jest/leaks.ts';
import { acceptHealthChecks, acceptLoadBalancer } from '../../support/clients/lb-acceptance.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const leftNothing = watchForLeaks();
const directory = tempDir();
const haproxy = ['/usr/sbin/haproxy', '/usr/local/sbin/haproxy', '/usr/bin/haproxy'].find(existsSync);
const withHaproxy = haproxy ? test : test.skip;
if (!haproxy) skipLoudly('the acceptance test on HAProxy', 'haproxy is not installed');
const stops: (() => unknown)[] = [];
let plane: ControlPlane;

beforeEach(async () => {
  plane = await startControlPlane({ servers: 3, shutdown: { delayMs: 0 } });
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  await plane.stop();
});
afterAll(leftNothing);

/** The document's file with the servers of this test, asked every 200 ms instead of every 10 s. */
async function original(asksHealth: boolean): Promise<{ file: string; address: string }> {
  const address = `127.0.0.1:${await freePort()}`;
  const servers = plane.endpoints.map(
    (endpoint, index) => `    server cp${index} ${endpoint} check check-ssl verify none inter 200`,
  );
  const fixture = readFileSync('test/fixtures/haproxy-external.cfg', 'utf8')
    .split('\n')
    .map((line) => line.replace('bind 192.0.2.10:8383', `bind ${address}`))
    .filter((line) => !line.trim().startsWith('server '));
  const at = fixture.findIndex((line) => line.trim().startsWith('balance'));
  fixture.splice(at, 0, ...servers, ...(asksHealth ? ['    option httpchk GET /healthz'] : []));
  const file = join(directory, 'haproxy.cfg');
  writeFileSync(file, fixture.join('\n'));
  return { file, address };
}

const kinds = [
  ['as the document has it', false, acceptLoadBalancer],
  ['with a health check in place of the handshake', true, acceptHealthChecks],
] as const;

withHaproxy.each(kinds)('HAProxy, %s', async (_, asksHealth, accept) => {
  const { file, address } = await original(asksHealth);
  const child = spawn(haproxy ?? '', ['-db', '-f', file], { stdio: 'ignore' });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  stops.push(() => {
    child.kill('SIGKILL');
    return exited;
  });
  await accept({ address, plane });
});

test.each(kinds)('Fairlead after the import, %s', async (_, asksHealth, accept) => {
  const { file, address } = await original(asksHealth);
  const kubeconfig = await plane.writeKubeconfig({ user: 'admin' });
  const { code, stdout, stderr } = await runFairlead(['import', file, '--kubeconfig', kubeconfig]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const yaml = join(directory, 'fairlead.yaml');
  writeFileSync(yaml, stdout);
  const agent = await AgentProcess.start(['--config', yaml, '--admin', '127.0.0.1:0']);
  stops.push(() => agent.kill());
  expect(agent.addresses).toEqual([address]);
  await accept({ address, plane });
});

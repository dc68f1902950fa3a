// The external load balancer of Kubespray's HA document: HAProxy with the document's configuration, and Fairlead
// with what `fairlead import` makes of it, pass the same acceptance test.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, runFairlead } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import { acceptHealthChecks, acceptLoadBalancer } from '../../support/clients/lb-acceptance.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const suite = agentSuite();
const directory = tempDir();
const haproxy = ['/usr/sbin/haproxy', '/usr/local/sbin/haproxy', '/usr/bin/haproxy'].find(existsSync);
const withHaproxy = haproxy ? test : test.skip;
if (!haproxy) skipLoudly('the acceptance test on HAProxy', 'haproxy is not installed');
let plane: ControlPlane;

beforeEach(async () => {
  plane = await suite.startControlPlane({ servers: 3, shutdown: { delayMs: 0 } });
});

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
  suite.onStop(() => {
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
  const agent = await suite.startAgent({ config: suite.writeConfig(stdout), admin: '127.0.0.1:0' });
  expect(agent.addresses).toEqual([address]);
  await accept({ address, plane });
});

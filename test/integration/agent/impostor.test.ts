// NODE_TLS_REJECT_UNAUTHORIZED=0 switches Node's own verification off. Processes that run with it still send nothing to an
// API server that they cannot verify: the http listener's upstreams, and the commands that point clients at Fairlead.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runFairlead } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import { startHttpAgent } from '../../support/agent/http-agent.ts';
import type { ApiServer } from '../../support/apiserver/api-server.ts';
import { type ControlPlane, knownTokens } from '../../support/apiserver/control-plane.ts';
import { kubeconfig } from '../../support/apiserver/pki-files.ts';
import { ask } from '../../support/clients/http-clients.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const suite = agentSuite();
const directory = tempDir();
const env = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
let plane: ControlPlane;
let server: ApiServer;

beforeEach(async () => {
  plane = await suite.startControlPlane({ servers: 1 });
  [server] = plane.servers as readonly [ApiServer];
});

/** From now on the server presents a certificate of another CA, and what it is asked is counted. */
async function becomeImpostor(): Promise<void> {
  await server.misbehave({ tls: 'unknown-ca' });
  await server.act('reset-connections');
  server.resetStats();
}

test('the http listener passes no request and no token on', async () => {
  const it = await startHttpAgent(plane, { scope: suite, directory, env });
  const headers = { authorization: `Bearer ${knownTokens.admin}` };
  expect((await ask(it, { path: '/version', headers })).status).toBe(200);
  await becomeImpostor();
  expect((await ask(it, { path: '/version', headers })).status).toBe(503);
  expect(server.stats().connectionsAccepted).toBeGreaterThan(0);
  expect(server.stats().requests).toBe(0);
});

test('kubeconfig point asks nothing and changes nothing', async () => {
  const root = join(directory, 'root');
  mkdirSync(join(root, 'etc/kubernetes'), { recursive: true });
  const conf = join(root, 'etc/kubernetes/kubelet.conf');
  const original = kubeconfig({ server: 'https://10.0.0.1:6443', ca: plane.pki.ca.cert });
  writeFileSync(conf, original);
  const url = `https://${server.host}:${server.port}`;
  const args = ['kubeconfig', 'point', '--root', root, '--server', url, '--admin', '127.0.0.1:1'];
  await becomeImpostor();
  const { code, stderr } = await runFairlead(args, { env });
  expect(stderr).toContain('SERVER_UNVERIFIED');
  expect(code).toBe(6);
  expect(server.stats().connectionsAccepted).toBeGreaterThan(0);
  expect(server.stats().requests).toBe(0);
  expect(readFileSync(conf, 'utf8')).toBe(original);
});

test('cluster point sends neither its token nor a request', async () => {
  const file = await plane.writeKubeconfig({ user: 'token' });
  await becomeImpostor();
  const args = ['cluster', 'point', 'kube-proxy', '--kubeconfig', file, '--apply'];
  const { code, stderr } = await runFairlead(args, { env });
  expect(stderr).toContain('certificate');
  expect(code).not.toBe(0);
  expect(server.stats().connectionsAccepted).toBeGreaterThan(0);
  expect(server.stats().requests).toBe(0);
});

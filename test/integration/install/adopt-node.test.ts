// A node is adopted and left again, with the built program and a real agent: what docs/adopt.md tells.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { loadCredentials } from '../../../src/kubernetes/load-credentials.ts';
import { identityOptions } from '../../../src/kubernetes/server-identity.ts';
import { freePort, runFairlead } from '../../support/agent/agent-process.ts';
import { grantsWithNodeWatch } from '../../support/apiserver/access.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const root = tempDir();
const conf = join(root, 'etc/kubernetes/kubelet.conf');
const configFile = join(root, 'fairlead.yaml');
const suite = agentSuite();
let plane: ControlPlane;

beforeAll(async () => {
  plane = await suite.startControlPlane({ grants: grantsWithNodeWatch });
});

/** What kubelet does: a request with its certificate, to the server and the name that its kubeconfig gives. */
async function askAsKubelet(): Promise<number | undefined> {
  const { credentials, server } = await loadCredentials({ kubeconfig: conf }, new Set());
  if (!server) throw new Error('kubelet.conf has no server');
  const { ca, cert, key, serverName } = credentials;
  return new Promise((resolve, reject) => {
    const identity = identityOptions(server, serverName ?? server.host);
    const asking = request(
      { ...server, ...identity, path: '/api/v1/nodes', agent: false, ca, cert, key },
      (response) => {
        response.resume();
        resolve(response.statusCode);
      },
    );
    asking.on('error', reject);
    asking.end();
  });
}

const doctor = async () => {
  const { code, stdout } = await runFairlead(['doctor', '--root', root, '--config', configFile]);
  return { code, stdout };
};

test('a node is examined, served, pointed, survives the loss of its API server, and is left as it was', async () => {
  mkdirSync(join(root, 'etc/kubernetes'), { recursive: true });
  const original = readFileSync(await plane.writeKubeconfig({ user: 'node' }), 'utf8');
  writeFileSync(conf, original, { mode: 0o600 });
  const [port, adminPort] = [await freePort(), await freePort()];
  const listen = `127.0.0.1:${port}`;
  writeFileSync(
    configFile,
    `listeners: ["${listen}"]\nadmin: 127.0.0.1:${adminPort}\ndiscovery: {cacheFile: ${join(root, 'endpoints.json')}}\n`,
  );

  const before = await doctor();
  expect(before).toEqual({ code: 0, stdout: expect.stringContaining(`port: ${listen} is free`) });
  expect(before.stdout).toContain('bypasses Fairlead');

  const agent = await suite.startAgent({ config: configFile, kubeconfig: conf });
  await eventually('the agent has synced', async () => {
    const { isReady, discovery } = await agent.status();
    return isReady && discovery.watch === 'synced';
  });
  const pointed = await runFairlead(['kubeconfig', 'point', '--root', root, '--config', configFile]);
  expect(pointed).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringContaining(`-> https://${listen}`),
  });

  const after = await doctor();
  expect(after.stdout).toContain(`port: ${listen} is held by Fairlead`);
  expect(after.stdout).toContain(`/etc/kubernetes/kubelet.conf (kubelet) points at ${listen}`);
  expect(after.code).toBe(0);

  expect(await askAsKubelet()).toBe(200);
  const [first, ...others] = plane.servers;
  first?.kill();
  expect(await askAsKubelet()).toBe(200);
  // Only the last one is left: the node still has an API server, which its original kubeconfig never named.
  others[0]?.kill();
  expect(await askAsKubelet()).toBe(200);
  // The agent's own kubeconfig names the agent now; it goes on with what it knows.
  expect((await agent.status()).isReady).toBe(true);

  const undone = await runFairlead(['kubeconfig', 'point', '--undo', '--root', root]);
  expect(undone).toMatchObject({ code: 0, stderr: '' });
  expect(readFileSync(conf, 'utf8')).toBe(original);
});

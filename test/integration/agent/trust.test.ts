// What an agent makes of an API server that it can verify, of one of another cluster at an address that it knows, and
// of credentials of which a part is gone.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AgentProcess, runFairlead } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { base64, writeKubeconfig } from '../../support/credentials/kubeconfig.ts';
import { makeCa } from '../../support/credentials/pki.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const suite = agentSuite();
const scratch = tempDir();
/** The cluster of the node, and the one that has got an address of it. */
let [ours, foreign]: [ControlPlane, ControlPlane] = [] as never;

beforeAll(async () => {
  [ours, foreign] = [
    await suite.startControlPlane({ servers: 1 }),
    await suite.startControlPlane({ servers: 1 }),
  ];
});

/** A directory with the agent's state, its CA and its kubeconfig. */
function makeNode(): { state: string; caFile: string; path(name: string): string } {
  const directory = mkdtempSync(join(scratch, 'node-'));
  mkdirSync(join(directory, 'state'), { recursive: true });
  const path = (name: string) => join(directory, name);
  return { state: path('state/endpoints.json'), caFile: path('ca.crt'), path };
}

/** An agent that knows the API server of each cluster, from its configuration only. */
const run = (args: readonly string[]): Promise<AgentProcess> =>
  suite.startAgent({
    endpoints: [...ours.endpoints, ...foreign.endpoints],
    args,
    env: { FAIRLEAD_DISCOVERY_WATCH: 'false' },
  });

async function endpointsOf(agent: AgentProcess) {
  const { endpoints } = await agent.status();
  const of = (plane: ControlPlane) => endpoints.find(({ id }) => id === plane.endpoints[0]);
  return { right: of(ours), wrong: of(foreign) };
}

/** Waits until the right one is ready and verified, goes first, and the foreign one is not. */
async function verified(agent: AgentProcess): Promise<void> {
  await eventually('the right one alone is ready', async () => {
    const { right, wrong } = await endpointsOf(agent);
    return (
      right?.verdict === 'ready' &&
      right.verified &&
      right.rank === 1 &&
      wrong?.verdict === 'unready' &&
      wrong.reason.startsWith('L6RSP') &&
      !wrong.usable
    );
  });
}

const codes = async (agent: AgentProcess) => (await agent.status()).problems.map(({ code }) => code);

test.each([
  ['missing', undefined],
  ['empty, as after a power cut', ''],
])('with the client certificate %s, the CA of the same kubeconfig goes on verifying', async (_, content) => {
  const node = makeNode();
  const certificate = node.path('kubelet-client-current.pem');
  if (content !== undefined) writeFileSync(certificate, content);
  const kubeconfig = writeKubeconfig(node.path('kubelet.conf'), {
    cluster: { 'certificate-authority-data': base64(ours.pki.ca.cert) },
    user: { 'client-certificate': certificate, 'client-key': certificate },
  });
  const agent = await run(['--kubeconfig', kubeconfig]);
  await verified(agent);
  expect(await agent.status()).toMatchObject({
    isReady: true,
    credentials: 'none',
    problems: [
      {
        code: 'CREDENTIALS_UNREADABLE',
        message: expect.stringContaining(certificate),
        fix: expect.stringContaining('Restore'),
        isSinceStart: true,
      },
    ],
  });
  expect(agent.log.filter(({ code }) => code === 'CREDENTIALS_UNREADABLE')).toEqual([
    expect.objectContaining({ level: 'warn', reason: expect.stringContaining(certificate) }),
  ]);
});

test('the CA that has verified is kept, and verifies after a restart while its file is gone', async () => {
  const node = makeNode();
  const args = ['--ca-file', node.caFile, '--cache-file', node.state];
  writeFileSync(node.caFile, `# a comment\n${ours.pki.ca.cert}`);
  const first = await run(args);
  await verified(first);
  const kept = `${node.state}.ca.pem`;
  await eventually('the CA is kept', () => existsSync(kept));
  expect(readFileSync(kept, 'utf8').trim()).toBe(ours.pki.ca.cert.trim());
  expect((await first.status()).keptCa).toBeUndefined();
  await first.kill();

  rmSync(node.caFile);
  const second = await run(args);
  await verified(second);
  expect(await second.status()).toMatchObject({
    isReady: true,
    keptCa: { file: kept },
    problems: [
      {
        code: 'CA_UNREADABLE',
        message: expect.stringContaining(`${node.caFile}: does not exist; the CA kept in`),
      },
    ],
  });
  const { stdout } = await runFairlead(['status', '--admin', second.admin]);
  expect(stdout).toContain(`is the copy of `);
  expect(stdout).toContain('problem: CA_UNREADABLE: ');

  // A CA that was changed on purpose is taken as soon as it can be read, and kept once it has verified something.
  writeFileSync(node.caFile, `${foreign.pki.ca.cert}`);
  await eventually('the other CA is in use', async () => {
    const { right, wrong } = await endpointsOf(second);
    return wrong?.verdict === 'ready' && wrong.verified && right?.reason.startsWith('L6RSP');
  });
  expect(await second.status()).toMatchObject({ problems: [] });
  expect((await second.status()).keptCa).toBeUndefined();
  await eventually(
    'the other CA is kept',
    () => readFileSync(kept, 'utf8').trim() === foreign.pki.ca.cert.trim(),
  );
});

test('a CA that verifies nothing replaces no kept one', async () => {
  const node = makeNode();
  const args = ['--ca-file', node.caFile, '--cache-file', node.state];
  writeFileSync(node.caFile, ours.pki.ca.cert);
  const first = await run(args);
  await verified(first);
  await eventually('the CA is kept', () => existsSync(`${node.state}.ca.pem`));
  await first.kill();
  writeFileSync(node.caFile, (await makeCa('of neither cluster')).cert);
  const second = await run(args);
  await eventually('nothing can be verified', async () => {
    const { right, wrong } = await endpointsOf(second);
    return [right, wrong].every((one) => one?.reason.startsWith('L6RSP'));
  });
  // One that stops finishes what it writes.
  second.signal('SIGTERM');
  await second.exited;
  expect(readFileSync(`${node.state}.ca.pem`, 'utf8').trim()).toBe(ours.pki.ca.cert.trim());
});

test('without any CA, verdicts say unverified and the node is served all the same; then the CA comes', async () => {
  const node = makeNode();
  // In the state directory lies what is not a CA.
  writeFileSync(`${node.state}.ca.pem`, 'half of a');
  const agent = await run(['--ca-file', node.caFile, '--cache-file', node.state]);
  await eventually('both answer', async () => {
    const { right, wrong } = await endpointsOf(agent);
    return [right, wrong].every(
      (one) => one?.verdict === 'ready' && one.reason === 'L7OK/200 unverified: the CA cannot be read',
    );
  });
  const { endpoints, isReady } = await agent.status();
  expect({ isReady, seen: endpoints.map(({ usable, verified: is }) => ({ usable, is })) }).toEqual({
    isReady: true,
    seen: [
      { usable: true, is: false },
      { usable: true, is: false },
    ],
  });
  expect(await codes(agent)).toEqual(['CA_UNREADABLE', 'ENDPOINTS_UNVERIFIED']);
  expect(agent.messages).toContain('endpoint is ready, but could not be verified');
  expect(agent.messages).toContain('the kept copy of the CA cannot be read');
  const metrics = await agent.metrics();
  for (const id of [...ours.endpoints, ...foreign.endpoints])
    expect(metrics).toContain(`fairlead_endpoint_verified{endpoint="${id}"} 0`);
  expect(metrics).toContain('fairlead_problem{code="CA_UNREADABLE"} 1');

  writeFileSync(node.caFile, ours.pki.ca.cert);
  await verified(agent);
  expect(await codes(agent)).toEqual([]);
  const after = await agent.metrics();
  expect(after).toContain(`fairlead_endpoint_verified{endpoint="${ours.endpoints[0]}"} 1`);
  expect(after).not.toContain('fairlead_problem{');
});

test('where nothing is configured to verify with, nothing is called unverified', async () => {
  const agent = await run([]);
  await eventually('both answer', async () => {
    const { right, wrong } = await endpointsOf(agent);
    return [right, wrong].every((one) => one?.reason === 'L7OK/200' && !one.verified);
  });
  expect(await codes(agent)).toEqual([]);
  expect(await agent.metrics()).not.toContain('fairlead_endpoint_verified{');
});

test('a CA that is lost while the agent runs stays in use', async () => {
  const node = makeNode();
  writeFileSync(node.caFile, ours.pki.ca.cert);
  const agent = await run(['--ca-file', node.caFile]);
  await verified(agent);
  writeFileSync(node.caFile, '');
  await eventually('the loss is noticed', async () => (await codes(agent)).includes('CA_UNREADABLE'), 20_000);
  await verified(agent);
  expect((await agent.status()).problems).toEqual([
    expect.objectContaining({
      message: expect.stringContaining('the previous value stays in use'),
      isSinceStart: false,
    }),
  ]);
  // Nor does a reload lose it.
  agent.signal('SIGHUP');
  await verified(agent);
});

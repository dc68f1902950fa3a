// The installer's client of the API, with servers that do not answer.
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { KubeApi } from '../../../src/kubernetes/kube-api.ts';
import { loadCredentials } from '../../../src/kubernetes/load-credentials.ts';
import { AgentProcess, runFairlead } from '../../support/agent/agent-process.ts';
import type { ApiServer } from '../../support/apiserver/api-server.ts';
import { type ControlPlane, startControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlane({ servers: 2 });
});
afterAll(() => plane.stop());

test('one that does not answer costs its time-out once: the one that answered last is asked first', async () => {
  const [one, two] = plane.servers as readonly [ApiServer, ApiServer];
  const kubeconfig = await plane.writeKubeconfig();
  const { credentials } = await loadCredentials({ kubeconfig }, new Set());
  const servers = [one, two].map(({ host, port }) => ({ host, port }));
  const api = new KubeApi({ servers, credentials, userAgent: 'test' });
  /** Who answers a request: the stand-ins count theirs. */
  const asked = async () => {
    for (const server of [one, two]) server.resetStats();
    expect((await api.ask({ path: '/version' })).status).toBe(200);
    return [one, two].map((server) => server.stats().requests);
  };
  expect(await asked()).toEqual([1, 0]);
  one.kill();
  expect(await asked()).toEqual([0, 1]);
  await one.start();
  await one.ready();
  expect(await asked()).toEqual([0, 1]);
  two.kill();
  expect(await asked()).toEqual([1, 0]);
  one.kill();
  await expect(api.ask({ path: '/version' })).rejects.toMatchObject({ code: 'API_REFUSED' });
});

test('a token that has run out, and an API server that has moved, are read again; what is unreadable is kept', async () => {
  const [one] = plane.servers as readonly [ApiServer, ApiServer];
  await one.start();
  await one.ready();
  const kubeconfig = await plane.writeKubeconfig({ user: 'token' });
  const { credentials } = await loadCredentials({ kubeconfig }, new Set());
  const server = { host: one.host, port: one.port };
  const good = { servers: [server], credentials, userAgent: 'test' };
  let reads = 0;
  const ask = async (options: typeof good, read: () => Promise<typeof good>) => {
    reads = 0;
    const api = new KubeApi(options, () => {
      reads += 1;
      return read();
    });
    return api.ask({ path: '/apis' }).then(({ status }) => status);
  };
  const expired = { ...good, credentials: { ...credentials, token: 'expired' } };
  expect(await ask(expired, async () => good)).toBe(200);
  expect(await ask({ ...good, servers: [{ host: '127.0.0.1', port: 1 }] }, async () => good)).toBe(200);
  // Nothing else is there to try with: it is not tried twice.
  one.resetStats();
  expect(await ask(expired, async () => expired)).toBe(401);
  expect([reads, one.stats().connectionsAccepted]).toEqual([1, 1]);
  const unreadable = () => Promise.reject(new Error('gone'));
  expect(await ask(expired, unreadable)).toBe(401);
  expect(await ask(good, unreadable)).toBe(200);
  expect(reads).toBe(0);
});

/** Every way in which anything asks an API server, as what `ask` in the child gives for it: whether it was answered. */
const requestPaths = [
  'a list',
  'a watch',
  'a command',
  'the installer, reading',
  'the installer, writing',
  'a certificate',
  'a health check',
];

/** What a process of its own sees with that environment variable: Node reads it outside of the tests' sandbox. */
async function withoutDefaultVerification(question: object): Promise<Record<string, boolean>> {
  const from = (file: string) => JSON.stringify(resolve(`src/${file}`));
  const script = `
    import { ApiSession } from ${from('kubernetes/api-session.ts')};
    import { askApiServer } from ${from('kubernetes/ask-api-server.ts')};
    import { KubeApi } from ${from('kubernetes/kube-api.ts')};
    import { presentedCertificate } from ${from('kubernetes/presented-certificate.ts')};
    import { checkIdentity } from ${from('kubernetes/server-identity.ts')};
    import { ProbeConnection } from ${from('health/probe.ts')};
    import { makeEndpoint } from ${from('model/endpoint.ts')};
    import { systemClock as clock } from ${from('model/clock.ts')};
    const question = ${JSON.stringify(question)};
    const { credentials, userAgent } = question;
    const endpoint = makeEndpoint(question.endpoint.host, question.endpoint.port);
    const session = () => new ApiSession({ endpoint, credentials, userAgent, clock });
    const api = new KubeApi({ servers: [endpoint], credentials, userAgent });
    const answered = (request) => api.ask(request).then(() => true, () => false);
    const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?watch=1&timeoutSeconds=1';
    const probe = new ProbeConnection({
      endpoint, credentials, userAgent, isVerified: true, check: 'https',
      steps: [{ path: '/readyz', isExpected: (status) => status === 200 }],
      checkIdentity: (certificate) => checkIdentity(endpoint, certificate),
    });
    const found = {
      'a list': (await session().get('/version')).ok,
      'a watch': !(await session().watch(slices, { onOpen() {}, onLine() {}, lifeMs: 5_000 })),
      'a command': (await askApiServer(question)).ok,
      'the installer, reading': await answered({ path: '/version' }),
      'the installer, writing': await answered({
        method: 'POST', path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', body: { spec: {} },
      }),
      'a certificate': (await presentedCertificate({ address: endpoint, ca: credentials.ca })).ok,
      'a health check': (await new Promise((done) => probe.run(done))).kind === 'answered',
    };
    console.log(JSON.stringify(found));
    process.exit(0);`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--no-warnings', '--input-type=module', '--eval', script],
    { env: { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: '0' } },
  );
  return JSON.parse(stdout);
}

test('NODE_TLS_REJECT_UNAUTHORIZED does not switch verification off: no token goes to an impostor', async () => {
  const [one] = plane.servers as readonly [ApiServer, ApiServer];
  await one.start();
  await one.ready();
  const kubeconfig = await plane.writeKubeconfig({ user: 'token' });
  const { credentials } = await loadCredentials({ kubeconfig }, new Set());
  const endpoint = { host: one.host, port: one.port };
  const question = { endpoint, credentials, path: '/version', userAgent: 'test' };
  const all = (isAnswered: boolean) => Object.fromEntries(requestPaths.map((path) => [path, isAnswered]));
  expect(await withoutDefaultVerification(question)).toEqual(all(true));
  await one.misbehave({ tls: 'unknown-ca' });
  one.resetStats();
  expect(await withoutDefaultVerification(question)).toEqual(all(false));
  expect(one.stats()).toMatchObject({ requests: 0 });
  expect(one.stats().connectionsAccepted).toBeGreaterThanOrEqual(requestPaths.length);
  await one.behave();
});

test('nor for the agent itself and the doctor', async () => {
  const [one] = plane.servers as readonly [ApiServer, ApiServer];
  const kubeconfig = await plane.writeKubeconfig({ user: 'token' });
  const env = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
  const endpoints = `${one.host}:${one.port}`;
  await one.misbehave({ tls: 'unknown-ca' });
  one.resetStats();
  const address = '127.0.0.1:0';
  const flags = [
    '--listen',
    address,
    '--admin',
    address,
    '--endpoints',
    endpoints,
    '--kubeconfig',
    kubeconfig,
  ];
  const agent = new AgentProcess(flags, { env });
  try {
    await agent.listening();
    // Probes and the watch have come, and each was refused.
    await eventually('it has tried', () => one.stats().connectionsAccepted >= 4);
    const { endpoints: known, discovery } = await agent.status();
    expect(known[0]).toMatchObject({ verdict: 'unready', verified: false });
    expect(discovery.watch).not.toBe('synced');
  } finally {
    await agent.kill();
  }
  const flagsOfDoctor = ['--endpoints', endpoints, '--kubeconfig', kubeconfig];
  const { stdout } = await runFairlead(['doctor', ...flagsOfDoctor], { env });
  expect(stdout).toContain('certificate is signed by an unknown authority');
  expect(one.stats().requests).toBe(0);
  await one.behave();
});

// The installer's client of the API, with servers that do not answer.
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { KubeApi } from '../../../src/kubernetes/kube-api.ts';
import { loadCredentials } from '../../../src/kubernetes/load-credentials.ts';
import type { ApiServer } from '../../support/apiserver/api-server.ts';
import { type ControlPlane, startControlPlane } from '../../support/apiserver/control-plane.ts';

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

/** What a process of its own sees with that environment variable: Node reads it outside of the tests' sandbox. */
async function withoutDefaultVerification(question: object): Promise<{ asked: boolean; presented: boolean }> {
  const script = `
    import { askApiServer } from ${JSON.stringify(resolve('src/kubernetes/ask-api-server.ts'))};
    import { presentedCertificate } from ${JSON.stringify(resolve('src/kubernetes/presented-certificate.ts'))};
    const question = ${JSON.stringify(question)};
    const { endpoint, credentials: { ca } } = question;
    const asked = await askApiServer(question);
    const presented = await presentedCertificate({ address: endpoint, serverName: 'kubernetes', ca });
    console.log(JSON.stringify({ asked: asked.ok, presented: presented.ok }));`;
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
  expect(await withoutDefaultVerification(question)).toEqual({ asked: true, presented: true });
  await one.misbehave({ tls: 'unknown-ca' });
  one.resetStats();
  expect(await withoutDefaultVerification(question)).toEqual({ asked: false, presented: false });
  expect(one.stats().requests).toBe(0);
  await one.behave();
});

// The http listener in the running agent, with kubectl and other clients in front of stand-in API servers.
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { connect } from 'node:tls';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import { type ControlPlane, knownTokens } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { type HttpAgent, startHttpAgent } from '../../support/agent/http-agent.ts';
import { ask, http2Client } from '../../support/clients/http-clients.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const suite = agentSuite();
const directory = tempDir();
const headers = { authorization: `Bearer ${knownTokens.admin}` };
const quick = {
  interval: '200ms',
  timeout: '200ms',
  fastInterval: '100ms',
  standbyInterval: '500ms',
};
let plane: ControlPlane;
let it: HttpAgent;

beforeAll(async () => {
  plane = await suite.startControlPlane({ servers: 3, anonymous: 'off', shutdown: { delayMs: 1_500 } });
  it = await startHttpAgent(plane, {
    scope: suite,
    directory,
    settings: { health: quick, balance: { policy: 'round-robin' } },
  });
});

const named = (answer: { headers: Record<string, unknown> }) => answer.headers['x-stand-in'];

test('the listener is in the status, and each request is balanced by itself', async () => {
  const status = await it.agent.status();
  expect(status.listeners.map(({ type }) => type)).toEqual(['passthrough', 'http']);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const client = await http2Client(it);
  const seen = new Set<unknown>();
  const seenByHttp2 = new Set<unknown>();
  for (let index = 0; index < 6; index += 1) {
    seen.add(named(await ask(it, { path: '/version', headers, agent })));
    seenByHttp2.add(named(await client.ask({ path: '/version', headers })));
  }
  expect([seen.size, seenByHttp2.size]).toEqual([3, 3]);
  agent.destroy();
  await client.close();
});

test("a request has the rights of its own token, and none of the agent's", async () => {
  const who = async (given: Record<string, string>) => {
    const answer = await ask(it, {
      method: 'POST',
      path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      headers: { ...given, 'content-type': 'application/json' },
      body: '{}',
    });
    return [answer.status, JSON.parse(answer.body).status?.userInfo?.username];
  };
  expect(await who({ authorization: `Bearer ${knownTokens.nobody}` })).toEqual([201, 'nobody']);
  expect(await who({ authorization: 'Bearer wrong' })).toEqual([401, undefined]);
  expect(await who({})).toEqual([401, undefined]);
  expect(await who({ 'X-Remote-User': 'admin', 'X-Remote-Group': 'system:masters' })).toEqual([
    401,
    undefined,
  ]);
});

test('a client certificate is told where to go', async () => {
  const { status, body } = await ask(it, { path: '/version' }, plane.pki.clients.node);
  const passthrough = (await it.agent.status()).listeners[0]?.address;
  expect(status).toBe(421);
  expect(JSON.parse(body)).toMatchObject({ kind: 'Status', code: 421, reason: 'MisdirectedRequest' });
  expect(JSON.parse(body).message).toContain(passthrough);
});

test('requests are counted by verb, code and endpoint', async () => {
  await ask(it, { path: '/version', headers });
  const text = await (await it.agent.get('/metrics')).text();
  expect(text).toMatch(/fairlead_http_requests_total\{verb="GET",code="200",endpoint="127[^"]+"\} \d+/);
  expect(text).toContain('fairlead_http_requests_total{verb="GET",code="421",endpoint=""} 1');
  expect(text).toMatch(/fairlead_http_requests_in_flight 0\n/);
  expect(text).not.toContain('/version');
});

test('a rolling restart under load loses no request', async () => {
  const agent = new Agent({ keepAlive: true });
  const client = await http2Client(it);
  const failed: string[] = [];
  let [count, isOver] = [0, false];
  const load = async (send: (index: number) => Promise<{ status: number; body: string }>) => {
    for (let index = 0; !isOver; index += 1) {
      try {
        const { status, body } = await send(index);
        if (status !== 200 && status !== 201) failed.push(`${status} ${body}`);
      } catch (error) {
        failed.push(String(error));
      }
      count += 1;
    }
  };
  const write = (index: number) =>
    ({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ spec: { nonResourceAttributes: { path: `/${index}`, verb: 'get' } } }),
    }) as const;
  const loads = [
    load(() => ask(it, { path: '/version', headers, agent })),
    load(() => ask(it, { path: '/slow?ms=100', headers, agent })),
    load((index) => ask(it, { ...write(index), agent })),
    load(() => client.ask({ path: '/slow?ms=50', headers })),
    load((index) => client.ask(write(index))),
  ];
  for (const server of plane.servers) {
    const before = count;
    await server.terminate();
    await eventually('requests go on without it', () => count > before + 50);
    await server.start();
    await server.ready();
    await eventually('it is used again', async () => {
      const { endpoints } = await it.agent.status();
      return endpoints.every(({ verdict }) => verdict === 'ready');
    });
  }
  isOver = true;
  await Promise.all(loads);
  expect(failed).toEqual([]);
  expect(count).toBeGreaterThan(150);
  agent.destroy();
  await client.close();
});

test('a frozen API server: its requests are answered by another one', async () => {
  const [server] = plane.servers;
  await server?.freeze();
  try {
    const answers = await Promise.all(
      Array.from({ length: 9 }, () => ask(it, { path: '/version', headers })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(9).fill(200));
  } finally {
    await server?.thaw();
  }
  await eventually('it is ready again', async () => {
    const { endpoints } = await it.agent.status();
    return endpoints.every(({ verdict }) => verdict === 'ready');
  });
});

test('a renewed serving certificate is shown to new connections, a broken one is not', async () => {
  const serial = () =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ port: it.port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      socket.on('error', reject);
    });
  const before = await serial();
  writeFileSync(`${it.certFile}.new`, 'not a certificate');
  renameSync(`${it.certFile}.new`, it.certFile);
  await eventually('the broken one is reported', () =>
    it.agent.log.some(
      ({ msg }) => msg === 'new serving certificate is invalid; the previous one stays in use',
    ),
  );
  expect(await serial()).toBe(before);
  const { cert, key } = await it.ca.issue({ commonName: 'fairlead', sans: ['localhost', '127.0.0.1'] });
  writeFileSync(it.keyFile, key);
  writeFileSync(it.certFile, cert);
  await eventually('the new one is shown', async () => (await serial()) !== before);
  expect((await ask(it, { path: '/version', headers })).status).toBe(200);
});

test('without a certificate the other listeners serve, and the http listener comes when it is there', async () => {
  const [certFile, keyFile] = ['late.crt', 'late.key'].map((name) => `${directory}/${name}`) as [
    string,
    string,
  ];
  const listeners = ['127.0.0.1:0', { address: '127.0.0.1:0', type: 'http', tls: { certFile, keyFile } }];
  const credentials = { kubeconfig: await plane.writeKubeconfig({ user: 'fairlead' }) };
  const config = { listeners, credentials, endpoints: plane.endpoints, admin: '127.0.0.1:0' };
  const agent = await suite.startAgent({ config: suite.writeConfig(config) });
  expect((await agent.status()).listeners).toHaveLength(1);
  expect(agent.log.find(({ msg }) => msg === 'http listener is waiting for its certificate')).toMatchObject({
    code: 'CERTIFICATE_INVALID',
    error: expect.stringContaining(certFile),
  });
  const { cert, key } = await it.ca.issue({ commonName: 'fairlead', sans: ['127.0.0.1'] });
  writeFileSync(keyFile, key);
  writeFileSync(certFile, cert);
  await eventually('it listens', async () => (await agent.status()).listeners.length === 2);
  agent.signal('SIGTERM');
  expect(await agent.exited).toEqual({ code: 0, signal: null });
  expect(existsSync(certFile)).toBe(true);
});

test('SIGTERM lets a request finish and ends a watch', async () => {
  const other = await startHttpAgent(plane, {
    scope: suite,
    directory,
    settings: { shutdown: { grace: '5s' } },
  });
  // Longer than the second for which /metrics shows the same page.
  const slow = ask(other, { path: '/slow?ms=2500', headers });
  const watch = ask(other, { path: '/api/v1/configmaps?watch=1', headers }).catch((error) => String(error));
  await eventually('both are under way', async () =>
    (await (await other.agent.get('/metrics')).text()).includes('fairlead_http_requests_in_flight 2'),
  );
  other.agent.signal('SIGTERM');
  expect((await slow).status).toBe(200);
  await watch;
  expect(await other.agent.exited).toEqual({ code: 0, signal: null });
});

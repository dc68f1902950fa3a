// Real probes, TLS and all, against stand-in API servers that misbehave in every way.
import { Health } from '../../../src/health/health.ts';
import { type CheckStep, type ProbeCredentials, ProbeConnection } from '../../../src/health/probe.ts';
import { checkIdentity } from '../../../src/kubernetes/server-identity.ts';
import { systemClock } from '../../../src/model/clock.ts';
import { type Endpoint, makeEndpoint } from '../../../src/model/endpoint.ts';
import { formatReason } from '../../../src/model/snapshot.ts';
import {
  type ControlPlane,
  type ControlPlaneOptions,
  knownTokens,
  startControlPlane,
} from '../../support/apiserver/control-plane.ts';
import type { ApiServer } from '../../support/apiserver/api-server.ts';
import { eventually } from '../../support/jest/eventually.ts';

const steps: readonly CheckStep[] = [{ path: '/readyz', isExpected: (status) => status === 200 }];
const options = {
  intervalMs: 200,
  standbyIntervalMs: 1_000,
  fastIntervalMs: 50,
  timeoutMs: 1_000,
  reconnectMs: 600_000,
  rise: 2,
  startupGraceMs: 500,
};

interface Scene {
  readonly plane: ControlPlane;
  readonly server: ApiServer;
  readonly health: Health;
  readonly seen: string[];
  credentials: ProbeCredentials;
  /** Waits until the endpoint is shown with this verdict and reason. */
  shows(expected: string | RegExp): Promise<void>;
}

interface SceneOptions {
  readonly plane?: ControlPlaneOptions;
  readonly credentials?: (plane: ControlPlane) => ProbeCredentials;
  readonly steps?: readonly CheckStep[];
  readonly check?: 'https' | 'tcp';
}

const scenes: Scene[] = [];

async function scene({
  plane: planeOptions,
  credentials,
  steps: wanted = steps,
  check = 'https',
}: SceneOptions = {}): Promise<Scene> {
  const plane = await startControlPlane({ servers: 1, ...planeOptions });
  const [server] = plane.servers;
  if (!server) throw new Error('one server was asked for');
  const [host = '', port = ''] = server.address.split(':');
  const endpoint: Endpoint = makeEndpoint(host, Number(port));
  const seen: string[] = [];
  const current = (): string => {
    const state = health.state(endpoint.id);
    return state ? `${state.verdict} ${formatReason(state.reason)}` : '';
  };
  const made: Scene = {
    plane,
    server,
    seen,
    credentials: credentials?.(plane) ?? { ca: plane.pki.ca.cert },
    get health() {
      return health;
    },
    shows: async (expected) => {
      const matches = (text: string): boolean =>
        typeof expected === 'string' ? text === expected : expected.test(text);
      await eventually(
        () => `${expected}; seen: ${seen.join(' | ')}`,
        () => matches(current()),
      );
    },
  };
  const health = new Health({
    clock: systemClock,
    random: Math.random,
    log: { info: () => {}, warn: () => {} },
    options,
    traffic: { traffic: () => ({ activeTunnels: 1, totalTunnels: 1, bytesUp: 0, bytesDown: 0 }) },
    isPreferred: () => true,
    connect: () =>
      new ProbeConnection({
        endpoint,
        credentials: made.credentials,
        isVerified: true,
        check,
        steps: wanted,
        userAgent: 'fairlead/test',
        checkIdentity: (certificate) => checkIdentity(endpoint, certificate, made.credentials.serverName),
      }),
    observer: {
      onChange: () => {
        if (seen.at(-1) !== current()) seen.push(current());
      },
      onProbe: () => {},
      onCertificate: () => {},
      onStaleCredentials: () => {},
    },
  });
  health.watch([endpoint]);
  scenes.push(made);
  return made;
}

afterEach(async () => {
  for (const { health, plane } of scenes.splice(0)) {
    health.stop();
    await plane.stop();
  }
});

test('a good API server is ready, over one kept connection', async () => {
  const { server, shows } = await scene();
  await shows('ready L7OK/200');
  await eventually('five probes', () => (server.stats().requestsByPath['/readyz'] ?? 0) >= 5);
  expect(server.stats().tlsHandshakes).toBe(1);
});

test.each([
  ['a client certificate', (plane: ControlPlane) => ({ ca: plane.pki.ca.cert, ...plane.pki.clients.admin })],
  ['a bearer token', (plane: ControlPlane) => ({ ca: plane.pki.ca.cert, token: knownTokens.fairlead })],
])('with anonymous requests off, %s makes readiness visible', async (_, credentials) => {
  const { shows } = await scene({ plane: { anonymous: 'off' }, credentials });
  await shows('ready L7OK/200');
});

test.each([
  ['off', 'ready L7OK/401 readiness not visible'],
  ['forbidden', 'ready L7OK/403 readiness not visible'],
] as const)(
  'anonymous requests %s and no credentials: alive, after the grace for starting',
  async (anonymous, shown) => {
    const { shows, seen } = await scene({ plane: { anonymous } });
    await shows(shown);
    expect(seen[0]).toMatch(/^unknown .*starting, or readiness not visible$/);
  },
);

test('failing checks are named, and the endpoint comes back after them', async () => {
  const { server, shows } = await scene();
  await shows('ready L7OK/200');
  await server.misbehave({ failReadyz: ['etcd', 'etcd-readiness'] });
  await shows('unready L7STS/500 etcd, etcd-readiness failed');
  await server.misbehave({ failReadyz: [] });
  await shows('ready L7OK/200');
});

test('a killed process is noticed by its kept connection, and refused; then it returns', async () => {
  const { server, shows } = await scene();
  await shows('ready L7OK/200');
  server.kill();
  await shows('unready L4CON refused');
  await server.start();
  await shows('ready L7OK/200');
});

test('a frozen API server is suspect, then dead, then ready when it goes on', async () => {
  const { server, shows, seen } = await scene();
  await shows('ready L7OK/200');
  await server.misbehave({ freeze: true });
  await shows('dead L6TOUT');
  expect(seen.some((text) => text.startsWith('suspect L7TOUT'))).toBe(true);
  await server.misbehave({ freeze: false });
  await shows('ready L7OK/200');
});

test('an API server that finishes TLS and answers too late is unready, not dead', async () => {
  const { server, shows, seen } = await scene();
  await shows('ready L7OK/200');
  await server.misbehave({ delaysMs: { '/readyz': 5_000 } });
  await shows('unready L7TOUT');
  expect(seen.join()).not.toContain('dead');
});

test.each([
  ['expired', /^unready L6RSP certificate has expired$/],
  ['wrong-name', /^unready L6RSP certificate is not valid for [\d.]+ or kubernetes.default.svc$/],
  ['unknown-ca', /^unready L6RSP certificate is signed by an unknown authority$/],
  ['garbage', /^unready L6RSP not TLS/],
] as const)('TLS with %s is named', async (tls, shown) => {
  const { server, shows, health } = await scene();
  await server.misbehave({ tls });
  health.reopen();
  await shows(shown);
});

test.each([
  ['endless', /^unready L7/],
  ['oversized', /^unready L7RSP answer exceeds 65536 bytes$/],
  ['not-http', /^unready L7RSP not HTTP$/],
] as const)('an answer that is %s is unready and costs bounded memory', async (answer, shown) => {
  const { server, shows } = await scene();
  await shows('ready L7OK/200');
  await server.misbehave({ health: answer });
  await shows(shown);
});

test('connections that are reset at once are no silence: unready', async () => {
  const { server, shows, health } = await scene();
  await server.misbehave({ onConnect: 'reset' });
  health.reopen();
  await shows(/^unready L\d\w+ connection closed/);
});

test('all steps of a sequence must answer as expected', async () => {
  const isOk = (status: number): boolean => status === 200;
  const { server, shows } = await scene({
    steps: [
      { path: '/livez', isExpected: isOk },
      { path: '/readyz', isExpected: isOk },
    ],
  });
  await shows('ready L7OK/200');
  await server.misbehave({ failReadyz: ['poststarthook/x'] });
  await shows('unready L7STS/500 poststarthook/x failed');
  await server.misbehave({ failReadyz: [], failLivez: ['ping'] });
  await shows('unready L7STS/500 ping failed');
});

test('an excluded check may fail', async () => {
  const { server, shows } = await scene({
    steps: [{ path: '/readyz?exclude=etcd', isExpected: (status) => status === 200 }],
  });
  await server.misbehave({ failReadyz: ['etcd'] });
  await shows('ready L7OK/200');
});

test('a TCP check asks for a connection and no more', async () => {
  const { server, shows } = await scene({ check: 'tcp' });
  await shows('ready L4OK');
  await server.misbehave({ failReadyz: ['etcd'] });
  await shows('ready L4OK');
  server.kill();
  await shows('unready L4CON refused');
});

test('a configured server name must be in the certificate', async () => {
  const { shows } = await scene({
    credentials: (plane) => ({ ca: plane.pki.ca.cert, serverName: 'other.example' }),
  });
  await shows('unready L6RSP certificate is not valid for other.example');
});

test('new credentials are shown on a new connection', async () => {
  const made = await scene({ plane: { anonymous: 'off' } });
  await made.shows(/^ready L7OK\/401/);
  made.credentials = { ...made.credentials, token: knownTokens.fairlead };
  made.health.reopen();
  await made.shows('ready L7OK/200');
});

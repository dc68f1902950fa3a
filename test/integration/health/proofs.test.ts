// Proofs over real TLS: what clients tell of a certificate leads to a full handshake, and that decides.
import { createServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createSecureContext, type TLSSocket } from 'node:tls';
import { Health } from '../../../src/health/health.ts';
import { ProbeConnection } from '../../../src/health/probe.ts';
import { checkIdentity } from '../../../src/kubernetes/server-identity.ts';
import { systemClock } from '../../../src/model/clock.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { formatReason } from '../../../src/model/snapshot.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { type Leaf, makeCa, type TestCa } from '../../support/credentials/pki.ts';

const options = {
  intervalMs: 300,
  standbyIntervalMs: 1_000,
  fastIntervalMs: 50,
  timeoutMs: 5_000,
  reconnectMs: 7_200_000,
  rise: 2,
  startupGraceMs: 500,
};
const sans = ['127.0.0.1', 'kubernetes.default.svc'];

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

/** One API server whose certificate can be replaced under it, as a real one reloads its files. */
async function scene(ca: TestCa) {
  const leaf = await ca.issue({ commonName: 'kube-apiserver', sans });
  const byName = new Map<string, Leaf>();
  /** Finished ones, by their SNI, and every SNI that was shown. */
  const handshakes: (string | undefined)[] = [];
  const names: string[] = [];
  const server: HttpsServer = createServer(
    {
      ...leaf,
      SNICallback: (name, callback) => {
        names.push(name);
        const found = byName.get(name);
        callback(null, found && createSecureContext(found));
      },
    },
    (_, response) => response.end('ok'),
  );
  server.on('secureConnection', (socket: TLSSocket) => {
    handshakes.push((socket as { servername?: string | false }).servername || undefined);
  });
  const sockets = new Set<{ destroy(): void }>();
  server.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const endpoint = makeEndpoint('127.0.0.1', port);
  const health = new Health({
    clock: systemClock,
    random: Math.random,
    log: { info: () => {}, warn: () => {} },
    options,
    traffic: { traffic: () => ({ activeTunnels: 1, totalTunnels: 1, bytesUp: 0, bytesDown: 0 }) },
    isPreferred: () => true,
    connect: (_, sni) =>
      new ProbeConnection({
        endpoint,
        credentials: { ca: ca.cert },
        isVerified: true,
        check: 'https',
        ...(sni !== undefined && { sni }),
        steps: [{ path: '/readyz', isExpected: (status) => status === 200 }],
        userAgent: 'fairlead/test',
        checkIdentity: (certificate) => checkIdentity(endpoint, certificate),
      }),
    observer: {
      onChange: () => {},
      onProbe: () => {},
      onCertificate: () => {},
      onStaleCredentials: () => {},
    },
  });
  cleanups.push(() => {
    health.stop();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  health.watch([endpoint]);
  const shown = () => {
    const state = health.state(endpoint.id);
    return state ? `${state.verdict} ${formatReason(state.reason)}` : '';
  };
  return {
    id: endpoint.id,
    health,
    handshakes,
    names,
    byName,
    shown,
    replace: (next: Leaf) => server.setSecureContext(next),
    shows: (expected: string) =>
      eventually(
        () => `${expected}; shown: ${shown()}`,
        () => shown() === expected,
      ),
    checks: async (count: number) => {
      let seen = 0;
      server.on('request', () => {
        seen += 1;
      });
      await eventually(`${count} checks`, () => seen >= count);
    },
  };
}

const day = 86_400_000;
const swaps: readonly [string, (ca: TestCa) => Promise<Leaf>, string][] = [
  [
    'an expired one',
    (ca) => ca.issue({ commonName: 'kube-apiserver', sans, notAfter: new Date(Date.now() - 1_000) }),
    'unready L6RSP certificate has expired',
  ],
  [
    'one that is not valid yet',
    (ca) => ca.issue({ commonName: 'kube-apiserver', sans, notBefore: new Date(Date.now() + day) }),
    'unready L6RSP certificate is not valid yet',
  ],
  [
    'one of another CA',
    async () => (await makeCa('other')).issue({ commonName: 'kube-apiserver', sans }),
    'unready L6RSP certificate is signed by an unknown authority',
  ],
  [
    'one of a CA with the same name',
    async () => (await makeCa()).issue({ commonName: 'kube-apiserver', sans }),
    'unready L6RSP certificate is signed by an unknown authority',
  ],
  [
    'one of another name',
    (ca) => ca.issue({ commonName: 'kubernetes.default.svc', sans: ['other.example'] }),
    'unready L6RSP certificate is not valid for 127.0.0.1 or kubernetes.default.svc',
  ],
];

test.each(swaps)(
  '%s under a running server is found by the first client that refuses it',
  async (_, make, shown) => {
    const ca = await makeCa();
    const { health, id, shows, replace, checks, handshakes } = await scene(ca);
    await shows('ready L7OK/200');
    replace(await make(ca));
    // The kept connection says nothing of it.
    await checks(3);
    await shows('ready L7OK/200');
    expect(handshakes).toHaveLength(1);
    health.clientTls(id, 'refused');
    await shows(shown);
    replace(await ca.issue({ commonName: 'kube-apiserver', sans }));
    await shows('ready L7OK/200');
  },
);

test('a client that refuses a good certificate moves nobody, and costs one handshake', async () => {
  const ca = await makeCa();
  const { health, id, shows, shown, handshakes, checks } = await scene(ca);
  await shows('ready L7OK/200');
  for (let sign = 0; sign < 50; sign += 1) {
    health.clientTls(id, 'refused');
    expect(shown()).toBe('ready L7OK/200');
  }
  await checks(3);
  await shows('ready L7OK/200');
  expect(handshakes).toEqual([undefined, undefined]);
});

test('the proof shows the name that the client sent; a bad certificate for that name alone decides nothing', async () => {
  const ca = await makeCa();
  const { health, id, shows, byName, names, handshakes, checks } = await scene(ca);
  const foreign = await makeCa('public');
  byName.set('api.example', await foreign.issue({ commonName: 'api', sans: ['api.example'] }));
  await shows('ready L7OK/200');
  health.clientTls(id, 'refused', 'api.example');
  await eventually(
    'the usual handshake after the one with the name',
    () => handshakes.at(-1) === undefined && handshakes.length > 1,
  );
  expect(names).toEqual(['api.example']);
  await checks(3);
  await shows('ready L7OK/200');
});

test.each(['127.0.0.1', 'not a name', `${'a'.repeat(300)}.example`, 'bad\0name', '-'])(
  'what is not a DNS name is not sent as SNI: %j',
  async (serverName) => {
    const ca = await makeCa();
    const { health, id, shows, handshakes } = await scene(ca);
    await shows('ready L7OK/200');
    health.clientTls(id, 'refused', serverName);
    await eventually('the proof', () => handshakes.length === 2);
    expect(handshakes).toEqual([undefined, undefined]);
  },
);

// What real clients do when they are shown a certificate, good or not, as seen through the relay.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect, type SecureVersion } from 'node:tls';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { parseProxyHeader, proxyHeader } from '../../../src/model/proxy-header.ts';
import { AcceptPolicy } from '../../../src/passthrough/tunnel/accept-policy.ts';
import {
  type DataPath,
  overBothKindsOfConnections,
  startDataPath,
  TestEndpoint,
} from '../../support/agent/data-path.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { base64, writeKubeconfig } from '../../support/credentials/kubeconfig.ts';
import { findKubectl } from '../../support/clients/kubectl.ts';
import { type Leaf, makeCa, type TestCa } from '../../support/credentials/pki.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const caFile = join(directory, 'ca.crt');
const versions = ['TLSv1.2', 'TLSv1.3'] as const;
const faults = ['expired', 'other CA', 'other name'] as const;
type Fault = (typeof faults)[number];

let ca: TestCa;
let clientLeaf: Leaf;
const bad = new Map<Fault, Leaf>();
let good: Leaf;

beforeAll(async () => {
  ca = await makeCa();
  const other = await makeCa('other');
  const ours = { commonName: 'kube-apiserver', sans: ['localhost', '127.0.0.1'] };
  good = await ca.issue(ours);
  bad.set('expired', await ca.issue({ ...ours, notAfter: new Date(Date.now() - 60_000) }));
  bad.set('other CA', await other.issue(ours));
  bad.set('other name', await ca.issue({ ...ours, sans: ['example.test'] }));
  clientLeaf = await ca.issue({ commonName: 'kubelet', organizations: ['system:nodes'] });
  writeFileSync(caFile, ca.cert);
});

/** Starts an API server with this certificate, asking for the clients'. */
async function serve(leaf: Leaf, more: object = {}): Promise<Server> {
  const options = { ...leaf, ca: ca.cert, requestCert: true, rejectUnauthorized: false, ...more };
  const server = createServer(options, (_request, response) => response.end('ok'));
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** Runs a client to its end; its answer is not what is tested here. */
async function run(program: string, args: readonly string[], input = ''): Promise<void> {
  const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'ignore'] });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  await once(child, 'close');
}

/** For each of two runs of a client; kubectl dials more than once. */
function expectOnly(said: readonly string[], what: string): void {
  expect(said.length).toBeGreaterThanOrEqual(2);
  expect(new Set(said)).toEqual(new Set([what]));
}

/** Joins `socket` to a port of loopback, `first` in front, in pieces of `pieceBytes`. */
function handOn(socket: Socket, port: number, first: Buffer, pieceBytes = 65_536): void {
  const onward = connectTcp({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
  onward.on('error', () => socket.destroy());
  socket.on('error', () => onward.destroy());
  onward.write(first);
  socket.on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; at += pieceBytes) onward.write(chunk.subarray(at, at + pieceBytes));
  });
  socket.on('end', () => onward.end());
  onward.pipe(socket);
}

interface Client {
  readonly name: string;
  /** Sends one request to localhost at this port. */
  ask(port: number, version: SecureVersion, leaf: Leaf | undefined): Promise<void>;
  /** What is reported when it refuses, apart from `refused`. */
  outcome?(fault: Fault): string;
}

function nodeClient(port: number, version: SecureVersion, leaf: Leaf | undefined): Promise<void> {
  const range = { minVersion: version, maxVersion: version };
  const socket = connect({
    host: '127.0.0.1',
    port,
    servername: 'localhost',
    ca: ca.cert,
    ...leaf,
    ...range,
  });
  socket.on('secureConnect', () =>
    socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'),
  );
  socket.on('error', () => {});
  socket.resume();
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

function withFiles(leaf: Leaf | undefined, flags: readonly [cert: string, key: string]): string[] {
  if (leaf === undefined) return [];
  const files = [join(directory, 'client.crt'), join(directory, 'client.key')] as const;
  writeFileSync(files[0], leaf.cert);
  writeFileSync(files[1], leaf.key);
  return [flags[0], files[0], flags[1], files[1]];
}

const clients: Client[] = [
  { name: 'Node', ask: nodeClient, outcome: () => 'doubtful' },
  {
    name: 'openssl',
    async ask(port, version, leaf) {
      const name = ['-servername', 'localhost', '-verify_hostname', 'localhost', '-verify_return_error'];
      const tls = version === 'TLSv1.3' ? '-tls1_3' : '-tls1_2';
      const mine = withFiles(leaf, ['-cert', '-key']);
      const args = [
        's_client',
        '-quiet',
        '-no_ign_eof',
        '-connect',
        `127.0.0.1:${port}`,
        tls,
        '-CAfile',
        caFile,
      ];
      await run('openssl', [...args, ...name, ...mine], 'GET /healthz HTTP/1.0\r\n\r\n');
    },
  },
  {
    name: 'curl',
    async ask(port, version, leaf) {
      const range = version === 'TLSv1.3' ? ['--tlsv1.3'] : ['--tlsv1.2', '--tls-max', '1.2'];
      const mine = withFiles(leaf, ['--cert', '--key']);
      const url = `https://localhost:${port}/healthz`;
      await run('curl', ['-s', '--ipv4', '--max-time', '20', '--cacert', caFile, ...range, ...mine, url]);
    },
    // It compares the name when the handshake is done.
    outcome: (fault) => (fault === 'other name' ? 'doubtful' : 'refused'),
  },
];

const kubectl = findKubectl();
if (kubectl === undefined) skipLoudly('kubectl refuses certificates', 'no kubectl on PATH');
else {
  clients.push({
    name: 'kubectl',
    async ask(port, _version, leaf) {
      const user = leaf
        ? { 'client-certificate-data': base64(leaf.cert), 'client-key-data': base64(leaf.key) }
        : { token: 'abc' };
      const server = `https://localhost:${port}`;
      const cluster = { server, 'certificate-authority-data': base64(ca.cert) };
      const file = writeKubeconfig(join(directory, 'kubeconfig'), { cluster, user });
      await run(kubectl, ['--kubeconfig', file, 'get', '--raw', '/healthz', '--request-timeout=20s']);
    },
  });
}

overBothKindsOfConnections(() => {
  let path: DataPath;
  let server: Server;

  async function start(leaf: Leaf, more: object = {}): Promise<number> {
    server = await serve(leaf, more);
    const { port } = server.address() as { port: number };
    path = await startDataPath([makeEndpoint('127.0.0.1', port)]);
    return path.listener.address.port;
  }

  /** What was reported once every tunnel is gone. */
  async function reports(): Promise<string[]> {
    await eventually('the tunnels are closed', () => path.table.openSockets === 0);
    return path.outcomes.tls;
  }

  afterEach(async () => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    await path.stop();
  });

  describe.each(versions)('%s', (version) => {
    const range = { minVersion: version, maxVersion: version };

    describe.each(clients)('$name', ({ ask, outcome = () => 'refused' }) => {
      test.each(faults)('refuses a certificate: %s', async (fault) => {
        const port = await start(bad.get(fault) as Leaf, range);
        await ask(port, version, undefined);
        await ask(port, version, clientLeaf);
        expectOnly(await reports(), `${outcome(fault)} localhost`);
      });

      test('accepts a good certificate, with and without one of its own', async () => {
        const port = await start(good, range);
        await ask(port, version, undefined);
        await ask(port, version, clientLeaf);
        expectOnly(await reports(), 'accepted localhost');
      });
    });
  });

  test('a client that has to send a second hello refuses and accepts like any other', async () => {
    const other = { ecdhCurve: 'P-521', minVersion: 'TLSv1.3' };
    const port = await start(bad.get('expired') as Leaf, other);
    for (const { ask } of clients) await ask(port, 'TLSv1.3', undefined);
    const said = await reports();
    expect(said[0]).toBe('doubtful localhost'); // Node
    expect(new Set(said.slice(1))).toEqual(new Set(['refused localhost']));
    server.setSecureContext({ ...good, ...other } as never);
    await nodeClient(port, 'TLSv1.3', undefined);
    await eventually('the good client is reported', () => path.outcomes.tls.at(-1) === 'accepted localhost');
  });

  test('PROXY headers on both sides and single bytes change nothing', async () => {
    server = await serve(bad.get('expired') as Leaf);
    const { port } = server.address() as { port: number };
    // The endpoint is announced to, and hands on what follows.
    const behind = await TestEndpoint.start((socket) => {
      socket.once('data', (first: Buffer) => {
        const header = parseProxyHeader(first);
        if (header.kind !== 'complete') throw new Error(`no PROXY header: ${header.kind}`);
        handOn(socket, port, first.subarray(header.byteCount));
      });
    });
    const policy = new AcceptPolicy({ acceptProxyFrom: ['127.0.0.0/8'] });
    path = await startDataPath([behind.endpoint], { policy, sendProxy: true });
    const { port: listens } = path.listener.address;
    const announced = proxyHeader({
      source: { host: '192.0.2.7', port: 4 },
      destination: { host: '192.0.2.1', port: 5 },
    });
    // The client is announced, and its bytes come one by one.
    const dribbling = await TestEndpoint.start((socket) => handOn(socket, listens, announced, 1));
    const { port: inFront } = dribbling.endpoint;
    await nodeClient(inFront, 'TLSv1.3', undefined);
    await clients[1]?.ask(inFront, 'TLSv1.3', undefined); // openssl
    await clients[1]?.ask(inFront, 'TLSv1.2', undefined);
    const said = ['doubtful localhost', 'refused localhost', 'refused localhost'];
    expect(await reports()).toEqual(said);
    server.setSecureContext(good);
    await nodeClient(inFront, 'TLSv1.3', clientLeaf);
    expect(await reports()).toEqual([...said, 'accepted localhost']);
    await dribbling.stop();
    await behind.stop();
  });

  test('a client that never says a word, and one that leaves before the answer, are not reported', async () => {
    await start(good);
    const silent = await path.client();
    silent.end();
    const early = await path.client();
    early.write(Buffer.of(22, 3, 1, 0, 100, 1));
    early.end();
    expect(await reports()).toEqual([]);
  });
});

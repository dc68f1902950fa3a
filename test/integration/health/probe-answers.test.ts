// Probe answers from a hostile or broken endpoint: random bytes after the handshake, with and without a
// beginning that looks like HTTP. Every check ends with a result, and nothing is thrown.
import { createServer, type Server } from 'node:tls';
import type { AddressInfo, Socket } from 'node:net';
import fc from 'fast-check';
import { type CheckResult, ProbeConnection } from '../../../src/health/probe.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { makeCa } from '../../support/credentials/pki.ts';

const heads = [
  '',
  'HTTP/1.1 200 OK\r\n',
  'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n',
  'HTTP/1.1 500 X\r\ncontent-length: 30\r\n\r\n[-]',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 999 \r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
  'HTTP/1.0 204\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
];

let server: Server;
const sockets = new Set<Socket>();
let ca: string;
let answer: { head: string; body: Uint8Array; ending: 'end' | 'destroy' } = {
  head: '',
  body: Buffer.alloc(0),
  ending: 'end',
};

beforeAll(async () => {
  const authority = await makeCa();
  ca = authority.cert;
  const leaf = await authority.issue({ commonName: 'kube-apiserver', sans: ['127.0.0.1'] });
  server = createServer({ cert: leaf.cert, key: leaf.key }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(answer.head);
      socket.write(answer.body, () => (answer.ending === 'end' ? socket.end() : socket.destroy()));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterAll(() => {
  for (const socket of sockets) socket.destroy();
  return new Promise((resolve) => server.close(resolve));
});

function check(): Promise<CheckResult> {
  const { port } = server.address() as AddressInfo;
  const connection = new ProbeConnection({
    endpoint: makeEndpoint('127.0.0.1', port),
    credentials: { ca },
    isVerified: true,
    check: 'https',
    steps: [{ path: '/readyz', isExpected: (status) => status === 200 }],
    userAgent: 'fairlead/test',
    checkIdentity: () => undefined,
  });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the check never ended')), 10_000);
    connection.run((result) => {
      clearTimeout(timer);
      connection.close();
      resolve(result);
    });
  });
}

test('whatever bytes follow the handshake, the check ends with a result', async () => {
  const scenario = fc.record({
    head: fc.constantFrom(...heads),
    body: fc.uint8Array({ maxLength: 3_000 }),
    ending: fc.constantFrom('end' as const, 'destroy' as const),
  });
  await fc.assert(
    fc.asyncProperty(scenario, async (wanted) => {
      answer = wanted;
      const result = await check();
      expect(['answered', 'broken']).toContain(result.kind);
    }),
    { numRuns: 100 },
  );
});

test('an answer without end is cut at its bound', async () => {
  answer = { head: 'HTTP/1.1 200 OK\r\n\r\n', body: Buffer.alloc(10_000_000, 'x'), ending: 'end' };
  expect(await check()).toEqual({ kind: 'broken', layer: 7, text: 'answer exceeds 65536 bytes' });
});

test('informational answers without end are cut at their bound', async () => {
  answer = { head: '', body: Buffer.from('HTTP/1.1 100 Continue\r\n\r\n'.repeat(1_000)), ending: 'end' };
  expect(await check()).toEqual({ kind: 'broken', layer: 7, text: 'informational answers without end' });
});

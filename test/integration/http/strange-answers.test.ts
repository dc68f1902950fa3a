// Answers that Node's HTTP refuses to send on, or that end early. Whoever an API server proxies to may give them.
import type { EventEmitter } from 'node:events';
import { ask, http2Client, rawClient } from '../../support/clients/http-clients.ts';
import { type Backend, startBackend, startRawBackend } from '../../support/apiserver/https-backend.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { freePort } from '../../support/agent/agent-process.ts';
import { endpointOf, type HttpPath, startHttpPath } from '../../support/agent/http-path.ts';
import { watchForLeaks } from '../../support/jest/leaks.ts';
import { type Leaf, makeCa, type TestCa } from '../../support/credentials/pki.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const leftNothing = watchForLeaks();
const options = { firstFlightTimeoutMs: 300, allDownDeadlineMs: 700, retryRoundMs: 10 };
let ca: TestCa;
let leaf: Leaf;
let backend: Backend;
let path: HttpPath;

beforeAll(async () => {
  ca = await makeCa();
  leaf = await ca.issue({ commonName: 'kube-apiserver', sans: ['kubernetes'] });
});

beforeEach(async () => {
  backend = await startBackend(leaf);
  path = await startHttpPath([backend.endpoint], { directory, options, trust: { ca: ca.cert } });
});

afterEach(async () => {
  await path.stop();
  await backend.close();
});

afterAll(() => leftNothing());

/** What an HTTP/2 and an HTTP/1.1 client get of an answer with this status and these header lines. */
async function passOn(status: string, ...lines: string[]) {
  const head = [`HTTP/1.1 ${status} x`, ...lines, 'Content-Length: 2', '', 'ok'].join('\r\n');
  const raw = await startRawBackend(leaf, (received) => (received.includes('\r\n\r\n') ? head : undefined));
  path.endpoints = [raw.endpoint];
  const client = await http2Client(path);
  const answers = [await client.ask(), await ask(path)];
  await client.close();
  await raw.close();
  return answers;
}

test.each([
  ['a repeated ETag', ['ETag: "a"', 'ETag: "b"'], 'etag', '"a"'],
  ['a repeated Content-Type', ['Content-Type: text/a', 'Content-Type: text/b'], 'content-type', 'text/a'],
  ['TE', ['TE: trailers'], 'te', undefined],
  ['HTTP2-Settings', ['HTTP2-Settings: AAMAAABk'], 'http2-settings', undefined],
  ['a header named as a member of every object', ['constructor: x'], 'constructor', 'x'],
])('%s is passed on as far as it can be', async (_name, lines, name, value) => {
  for (const { status, headers, body } of await passOn('200', ...lines)) {
    expect([status, headers[name], body]).toEqual([200, value, 'ok']);
  }
});

test('repeated lines of a list stay apart', async () => {
  const answers = await passOn('200', 'Warning: 299 - "a"', 'Warning: 299 - "b"');
  for (const { headers } of answers) expect(headers.warning).toBe('299 - "a", 299 - "b"');
});

test.each(['999', '099'])('status %s ends its own request only', async (code) => {
  const answers = await passOn(code, 'Content-Type: text/a', 'X-Evil: 1');
  const [overHttp2] = answers;
  expect(overHttp2?.status).toBe(502);
  expect(JSON.parse(overHttp2?.body ?? '')).toMatchObject({
    kind: 'Status',
    message: expect.stringMatching(/sent an invalid answer/),
  });
  expect(overHttp2?.headers['x-evil']).toBeUndefined();
  // Node's HTTP/1.1 takes any status of three digits.
  expect(answers[1]?.status).toBe(code === '999' ? 999 : 502);
  expect(path.log.lines.filter(({ level }) => level === 'error')).toEqual([]);
});

test('an upgrade that is refused with a status that sent an invalid answer ends its own connection only', async () => {
  const raw = await startRawBackend(leaf, () => 'HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n');
  path.endpoints = [raw.endpoint];
  const upgrade = 'GET /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
  await (await rawClient(path, upgrade)).ended;
  path.endpoints = [backend.endpoint];
  expect((await ask(path)).status).toBe(200);
  await raw.close();
});

test('a watch that its client leaves is no answer that was cut', async () => {
  backend.onRequest = (_request, response) => {
    response.writeHead(200);
    response.write('event');
  };
  const client = await rawClient(path, 'GET /w?watch=true HTTP/1.1\r\nHost: x\r\n\r\n');
  await eventually('it has begun', () => client.text.includes('event'));
  client.socket.destroy();
  await eventually('it has ended everywhere', () => {
    return path.core.counters.inFlight === 0 && backend.openSockets.size === 0;
  });
  expect(path.core.counters.cut).toBe(0);
});

test('a request of an outage is tried often, and Node does not warn of its listeners', async () => {
  const { proxy } = path.core as unknown as { proxy: { web: (...given: unknown[]) => void } };
  const seen: EventEmitter[] = [];
  const web = proxy.web.bind(proxy);
  proxy.web = (...given) => {
    seen.push(...(given.slice(0, 2) as EventEmitter[]));
    web(...given);
  };
  path.endpoints = [endpointOf({ host: '127.0.0.1', port: await freePort() })];
  expect((await ask(path)).status).toBe(503);
  // One listener more for each attempt.
  expect(path.core.upstreams.dials.get(path.endpoints[0]?.id ?? '')?.refused).toBeGreaterThan(12);
  for (const emitter of seen) expect(emitter.getMaxListeners()).toBe(0);
});

test('an endpoint that comes back before it was forgotten keeps its connections again', async () => {
  await ask(path);
  expect(path.core.upstreams.forget(backend.endpoint.id)).toBe(false);
  const before = backend.connections;
  for (let count = 0; count < 3; count += 1) await ask(path);
  expect(backend.connections - before).toBe(1);
});

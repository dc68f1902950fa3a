// What answers on the admin port may not be an agent: both readers of a status bound it.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fetchStatus } from '../../../src/cli/fetch-status.ts';
import { viewAgent } from '../../../src/installer/agent-view.ts';

const status = {
  version: '1',
  node: 'node-1',
  startedAt: '2026-01-01T00:00:00Z',
  uptimeSeconds: 1,
  isReady: true,
  policy: 'rendezvous',
  listeners: [],
  endpoints: [],
  discovery: { watch: 'synced' },
  credentials: 'none',
  tunnels: { active: 0, max: 1 },
};
const deep = JSON.parse(`${'['.repeat(100)}${']'.repeat(100)}`) as unknown;
let server: Server;
let body = '';

beforeAll(async () => {
  server = createServer((_, response) => response.end(body));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

const port = () => (server.address() as AddressInfo).port;
const both = () => Promise.allSettled([fetchStatus({ host: '127.0.0.1', port: port() }), viewAgent(port())]);

test('a status is read by both', async () => {
  body = JSON.stringify(status);
  expect(await both()).toMatchObject([
    { value: { version: '1' } },
    { value: { version: '1', isReady: true, tunnels: 0 } },
  ]);
});

test.each([
  ['nests deeper than any status', () => JSON.stringify({ ...status, more: deep })],
  ['is not JSON', () => '<html>'],
  ['is larger than any status', () => JSON.stringify({ ...status, more: 'x'.repeat(17 << 20) })],
])('an answer that %s is not a status', async (_, make) => {
  body = make();
  const [fetched, viewed] = await both();
  expect(fetched).toMatchObject({ status: 'rejected', reason: { code: 'STATUS_UNREACHABLE' } });
  expect(viewed).toMatchObject({ status: 'fulfilled', value: undefined });
});

import type { ShownStatus } from '../../../src/cli/fetch-status.ts';
import { formatStatus } from '../../../src/cli/status.ts';
import { makeStatus } from '../../../src/observe/status.ts';

const startedAt = '2026-01-01T00:00:00.000Z';
const startedMs = Date.parse(startedAt);

const status = makeStatus({
  version: '1.2.3',
  node: 'node-1',
  pid: 7,
  startedAt,
  wallMs: startedMs + 3_700_000,
  deployment: 'host',
  policy: 'rendezvous',
  listeners: [{ address: '127.0.0.1:6443', type: 'passthrough' }],
  discovery: { watch: 'synced', syncedAt: startedAt, ageSeconds: 12 },
  credentials: 'client certificate',
  problems: [],
  leaving: [],
  tunnels: { active: 3, max: 1000 },
  held: [],
  traffic: () => ({ activeTunnels: 3, totalTunnels: 9, bytesUp: 1, bytesDown: 2 }),
  snapshot: {
    version: 4,
    atMs: 0,
    usableCount: 1,
    candidates: [],
    endpoints: [
      {
        endpoint: {
          id: '10.0.0.1:6443',
          host: '10.0.0.1',
          port: 6443,
          tier: 'discovered',
          sources: ['watch', 'static'],
        },
        verdict: 'ready',
        reason: { code: 'L7OK', status: 401, text: 'readiness not visible' },
        sinceMs: startedMs,
        isUsable: true,
        isVerified: true,
      },
      {
        endpoint: { id: '10.0.0.2:6443', host: '10.0.0.2', port: 6443, tier: 'seed', sources: ['static'] },
        verdict: 'unready',
        reason: { code: 'L7STS', status: 500, text: 'etcd failed' },
        sinceMs: startedMs + 3_505_000,
        isUsable: false,
        isVerified: true,
      },
    ],
  },
}) as unknown as ShownStatus;

test('a table with a line for each endpoint, in pick order, and hints below it', () => {
  const lines = formatStatus(status).split('\n');
  expect(lines.slice(0, 4)).toEqual([
    'node-1: ready, fairlead 1.2.3, up 1h1m',
    'listening on 127.0.0.1:6443',
    'tunnels: 3 (limit 1000); policy: rendezvous',
    'discovery: synced, last update 12s ago; credentials: client certificate',
  ]);
  expect(lines.slice(5, 8).map((line) => line.split(/ {2,}/))).toEqual([
    ['ENDPOINT', 'VERDICT', 'REASON', 'SINCE', 'TUNNELS', 'TIER', 'SOURCES'],
    ['10.0.0.1:6443', 'ready', 'L7OK/401 readiness not visible', '1h1m', '3', 'discovered', 'watch,static'],
    ['10.0.0.2:6443', 'unready (not used)', 'L7STS/500 etcd failed', '3m15s', '3', 'seed', 'static'],
  ]);
  expect(lines.slice(8).join('\n')).toMatch(/^\n10\.0\.0\.1:6443: alive, but these credentials/);
});

test('an endpoint that is used without having been verified says so beside its verdict', () => {
  const [first, ...rest] = status.endpoints;
  if (!first) throw new Error('no endpoint');
  const text = formatStatus({ ...status, endpoints: [{ ...first, unverified: true }, ...rest] });
  expect(text).toMatch(/^10\.0\.0\.1:6443 +ready, unverified /m);
  expect(formatStatus(status)).not.toContain('unverified');
});

test('an agent without endpoints, and one whose watch is not synced', () => {
  const text = formatStatus({
    ...status,
    isReady: false,
    endpoints: [],
    listeners: [],
    discovery: { watch: 'connecting', message: 'refused' },
  });
  expect(text).toContain('node-1: NOT READY');
  expect(text).toContain('listening on nothing\n');
  expect(text).toContain('discovery: connecting (refused); credentials');
  expect(text).toContain('no endpoints are known\n');
});

test('an agent that is stopping says so in place of its listeners', () => {
  const until = '2026-01-01T01:02:10.000Z';
  const lines = formatStatus({
    ...status,
    isReady: false,
    listeners: [],
    stopping: { since: startedAt, until },
  }).split('\n');
  expect(lines.slice(0, 2)).toEqual([
    `node-1: STOPPING (until ${until} at the latest), fairlead 1.2.3, up 1h1m`,
    'accepts no new clients; open tunnels may finish',
  ]);
});

test('listeners of another kind or pool say so', () => {
  const listeners = [
    { address: '127.0.0.1:6443', type: 'passthrough' },
    { address: '127.0.0.1:6444', type: 'http' },
    { address: '127.0.0.1:2379', type: 'passthrough', pool: 'etcd' },
  ] as const;
  expect(formatStatus({ ...status, listeners: [...listeners] })).toContain(
    'listening on 127.0.0.1:6443, 127.0.0.1:6444 (http), 127.0.0.1:2379 (etcd)\n',
  );
});

test('the first line counts API servers that the cluster no longer lists', () => {
  const [first, second] = status.endpoints;
  const gone = { ...second!, tier: 'remembered', sources: ['memory'], gone: true };
  const headline = (...endpoints: ShownStatus['endpoints']) =>
    formatStatus({ ...status, endpoints }).split('\n')[0];
  expect(headline(first!, gone)).toContain('ready, 1 API server no longer listed by the cluster, fairlead');
  expect(headline(first!, gone, gone)).toContain('2 API servers no longer listed');
  expect(headline(first!, { ...gone, gone: false })).toBe('node-1: ready, fairlead 1.2.3, up 1h1m');
});

test('an endpoint that is tried as nothing better is there is shown as used', () => {
  const [first, second] = status.endpoints;
  if (!first || !second) throw new Error('two endpoints');
  const endpoints = [
    { ...first, usable: false, verdict: 'unready', lastResort: true },
    { ...second, usable: false, tier: 'removed' },
  ];
  const shown = formatStatus({ ...status, endpoints })
    .split('\n')
    .slice(6, 8);
  expect(shown.map((line) => line.split(/ {2,}/)[1])).toEqual([
    'unready (used: nothing better)',
    'unready (not used)',
  ]);
});

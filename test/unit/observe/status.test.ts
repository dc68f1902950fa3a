import { makeEndpoint } from '../../../src/model/endpoint.ts';
import type { JudgedEndpoint } from '../../../src/model/snapshot.ts';
import { makeStatus, type StatusInput } from '../../../src/observe/status.ts';

const judged = (last: number, over: Partial<JudgedEndpoint> = {}): JudgedEndpoint => ({
  endpoint: { ...makeEndpoint(`10.0.0.${last}`, 6443), tier: 'discovered', sources: ['watch'] },
  verdict: 'ready',
  reason: { code: 'L7OK', status: 200 },
  sinceMs: 0,
  isUsable: true,
  isVerified: true,
  ...over,
});

const status = (
  listed: readonly JudgedEndpoint[],
  leaving: readonly JudgedEndpoint[] = [],
  more: Partial<StatusInput> = {},
) =>
  makeStatus({
    version: '1.2.3',
    node: 'node-1',
    pid: 7,
    startedAt: new Date(0).toISOString(),
    wallMs: 60_000,
    deployment: 'host',
    policy: 'rendezvous',
    listeners: [],
    discovery: { watch: 'synced' },
    credentials: 'none',
    tunnels: { active: 0, max: 10 },
    held: [],
    traffic: () => ({ activeTunnels: 1, totalTunnels: 1, bytesUp: 0, bytesDown: 0 }),
    snapshot: {
      version: 1,
      atMs: 0,
      endpoints: listed,
      candidates: listed.map(({ endpoint }) => endpoint),
      usableCount: listed.filter(({ isUsable }) => isUsable).length,
    },
    problems: [],
    leaving,
    ...more,
  });

test('an endpoint that left discovery is shown last, as removed, while it carries tunnels', () => {
  const { endpoints, isReady } = status([judged(1)], [judged(2, { isUsable: false })]);
  expect(endpoints.map(({ id, tier, usable, rank }) => ({ id, tier, usable, rank }))).toEqual([
    { id: '10.0.0.1:6443', tier: 'discovered', usable: true, rank: 1 },
    { id: '10.0.0.2:6443', tier: 'removed', usable: false, rank: 2 },
  ]);
  expect(isReady).toBe(true);
});

test('readiness that is not visible comes with a hint how to fix it', () => {
  const reason = { code: 'L7OK', status: 401, text: 'readiness not visible' } as const;
  expect(status([judged(1, { reason })]).endpoints[0]?.hint).toContain('--kubeconfig');
  expect(status([judged(1)]).endpoints[0]?.hint).toBeUndefined();
});

test('an agent that is stopping is not ready, whatever its endpoints are', () => {
  const stopping = { since: new Date(1).toISOString(), until: new Date(2).toISOString() };
  expect(status([judged(1)], [], { stopping })).toMatchObject({ isReady: false, stopping });
  expect(status([judged(1)])).not.toHaveProperty('stopping');
});

test('without a usable endpoint the agent is not ready', () => {
  expect(status([judged(1, { verdict: 'dead', isUsable: false })]).isReady).toBe(false);
});

test('with nothing usable, what is tried is marked as a last resort; with something usable nothing is', () => {
  const bad = { verdict: 'unready', isUsable: false } as const;
  const marks = (listed: readonly JudgedEndpoint[], leaving: readonly JudgedEndpoint[] = []) =>
    status(listed, leaving).endpoints.map(({ lastResort }) => lastResort);
  expect(marks([judged(1, bad), judged(2, bad)], [judged(3, bad)])).toEqual([true, true, undefined]);
  expect(marks([judged(1), judged(2, bad)])).toEqual([undefined, undefined]);
});

test('what takes tunnels and could not be verified is marked, and nothing else', () => {
  const { endpoints } = status([judged(1), judged(2, { isVerified: false, isUnverified: true })]);
  expect(endpoints.map(({ unverified, verified }) => ({ unverified, verified }))).toEqual([
    { unverified: undefined, verified: true },
    { unverified: true, verified: false },
  ]);
});

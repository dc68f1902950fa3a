// Attack: a worker that was taken over writes what it likes into fairlead-reports: every worker holds the token for it.
// Bound: what an operator reads is about the node that an object is named for, on one line, without control characters
// and of a bounded length; and a report that is old, or from the future, never counts as an agent that is there.
import { judgeListeners, readCluster } from '../../src/adopt/cluster-wide/listeners.ts';
import { formatReports, readReports } from '../../src/installer/report.ts';
import { RolloutSemaphore } from '../../src/installer/rollout-semaphore.ts';
import type { KubeApi, KubeObject } from '../../src/kubernetes/kube-api.ts';

const nowMs = Date.parse('2026-11-30T12:00:00Z');
const minutesMs = 60_000;
const at = (ms: number) => new Date(nowMs + ms).toISOString();

const reportOf = (node: string, data: object = {}, name = `fairlead-node-${node}`): KubeObject => ({
  metadata: { name },
  data: {
    node,
    state: 'serving',
    slot: 'fairlead-a',
    message: 'fairlead-a is serving',
    reportedAt: at(0),
    ...data,
  },
});

const apiOf = (reports: readonly KubeObject[]): Pick<KubeApi, 'list'> => ({
  async list(path) {
    if (path === '/api/v1/nodes') return [{ metadata: { name: 'worker-1' } }];
    return path.includes('fairlead-reports') ? [...reports] : [];
  },
});

/** What an operator would be told before every node is pointed at 127.0.0.1:6443. */
async function missing(...reports: KubeObject[]): Promise<readonly string[]> {
  const seen = await readCluster(apiOf(reports), [], nowMs);
  return judgeListeners({ host: '127.0.0.1', port: 6443 }, seen).missing;
}

const escapes = [
  ['clears the screen', '\u001b[2J\u001b[H'],
  ['sets the title of the window', '\u001b]0;owned\u0007'],
  ['a one-byte escape (C1)', '\u009b2J'],
  ['goes back over the line', 'failed\rserving'],
  ['a line of its own', 'x\nworker-2  serving  fairlead-a  pointed'],
  ['runs backwards', '\u202egnivres'],
  ['a separator of lines', 'x\u2028worker-2  serving'],
] as const;

test.each(escapes)('text that %s is shown as text', async (_what, text) => {
  const { reports } = await readReports(
    apiOf([
      reportOf('worker-1', {
        message: text,
        slot: text,
        kubelet: text,
        image: text,
        version: text,
        state: text,
      }),
    ]),
    nowMs,
  );
  const table = formatReports(reports);
  expect(table.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e]/u);
  expect(table.split('\n')).toHaveLength(3);
  expect(reports[0]?.state).toBe('unknown');
});

test('the reason for a halted rollout is shown as text', async () => {
  const api = { find: async () => ({ data: { halted: `worker-1: \u001b[2J${'x'.repeat(100_000)}` } }) };
  const halted = await new RolloutSemaphore(api as unknown as KubeApi, 'worker-2', () => nowMs).halted();
  expect(halted).toMatch(/^worker-1: {2}\[2Jx+\.\.\.$/);
  expect(halted?.length).toBe(1_000);
});

test('a message of a megabyte is a line of a kilobyte', async () => {
  const { reports } = await readReports(
    apiOf([reportOf('worker-1', { message: 'x'.repeat(1 << 20) })]),
    nowMs,
  );
  expect(formatReports(reports).length).toBeLessThan(2_000);
});

test.each([
  ['another name in it', reportOf('worker-1', {}, 'fairlead-node-worker-9')],
  ['the rollout', reportOf('worker-1', {}, 'fairlead-rollout')],
  ['no name', { metadata: { name: 'fairlead-node-' }, data: { state: 'serving', reportedAt: at(0) } }],
  ['a name that no node has', reportOf('Worker 1\u001b[2J')],
  ['a name that is too long', reportOf('x'.repeat(254))],
  ['no data', { metadata: { name: 'fairlead-node-worker-1' } }],
])('an object with %s is no report', async (_what, object) => {
  expect(await readReports(apiOf([object]), nowMs)).toEqual({ reports: [], foreign: 1 });
  expect(await missing(object)).toHaveLength(1);
});

test.each([
  ['from the future', at(6 * minutesMs)],
  ['from the year 9999', '9999-12-31T23:59:59Z'],
  ['of yesterday', at(-24 * 60 * minutesMs)],
  ['half an hour old', at(-30 * minutesMs)],
  ['without a time', undefined],
  ['with a time that is none', 'lately'],
  ['with a time before all times', '-271821-04-19T00:00:00Z'],
])('a report %s does not count as an agent', async (_what, reportedAt) => {
  const report = reportOf('worker-1', { reportedAt });
  expect(await missing(report)).toEqual([expect.stringContaining('worker-1: its agent is not ready')]);
  const { reports } = await readReports(apiOf([report]), nowMs);
  expect(formatReports(reports)).toMatch(/worker-1 {2}stale {2}.*serving at /);
});

test.each(['failed', 'refused', 'removed', 'SERVING', undefined])(
  'nor does one whose state is %s, whatever its label says',
  async (state) => {
    const report = reportOf('worker-1', { state });
    const labelled = { ...report, metadata: { ...report.metadata, labels: { 'fairlead/state': 'serving' } } };
    expect(await missing(labelled)).toHaveLength(1);
  },
);

test('an honest report counts, with a clock that is a little wrong as well', async () => {
  for (const ms of [0, -20 * minutesMs, 4 * minutesMs])
    expect(await missing(reportOf('worker-1', { reportedAt: at(ms) }))).toEqual([]);
});

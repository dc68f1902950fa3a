// A run as Markdown: one table, and a reason for every cell that Fairlead lost.
import { fleetSize } from './at-rest.ts';
import { type MetricId, metrics } from './metrics.ts';
import type { PeerName } from './options.ts';
import type { FaultBenchResult, Lost, ScenarioResult } from './results.ts';
import { type Figure, tolerances, type Verdict } from './verdicts.ts';

const titles: Readonly<Record<PeerName, string>> = {
  fairlead: 'Fairlead',
  'haproxy-tuned': 'HAProxy, tuned',
  haproxy: 'HAProxy, Kubespray',
  nginx: 'nginx, Kubespray',
};

export function figureText(metric: MetricId, { value, isAtLeast }: Figure): string {
  if (metric === 'slowestNew' && isAtLeast) return 'never';
  const more = isAtLeast ? '> ' : '';
  switch (metrics[metric].unit) {
    case 'ms':
      return more + (value < 1_000 ? `${value} ms` : `${(value / 1_000).toFixed(1)} s`);
    case 'per minute':
      return value.toFixed(value < 1 ? 2 : 1);
    case 'CPU s/node/h':
      return value.toFixed(2);
    case 'count':
      return more + String(value);
  }
}

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

function scenarioRows({ title, rows }: ScenarioResult, peers: readonly PeerName[]): readonly string[] {
  return rows.map(({ metric, cells }, index) => {
    const texts = peers.map((peer) => {
      const cell = cells[peer];
      if (!cell) return '-';
      const verdict = cell.verdict === 'lost' ? ' **lost**' : cell.verdict ? ` ${cell.verdict}` : '';
      return figureText(metric, cell.figure) + verdict;
    });
    const { unit } = metrics[metric];
    const shown = unit === 'ms' || unit === 'count' ? '' : ` (${unit})`;
    return row([index === 0 ? title : '', metrics[metric].title + shown, ...texts]);
  });
}

function tally({ scenarios, peers }: FaultBenchResult): string {
  const lines = peers.flatMap((peer) => {
    const verdicts = scenarios.flatMap(({ rows }) => rows.flatMap(({ cells }) => cells[peer]?.verdict ?? []));
    const count = (wanted: Verdict): number => verdicts.filter((verdict) => verdict === wanted).length;
    if (verdicts.length === 0) return [];
    return [row([titles[peer], String(count('win')), String(count('tie')), String(count('lost'))])];
  });
  return [
    row(['Fairlead against', 'win', 'tie', 'lost']),
    row(['---', '---:', '---:', '---:']),
    ...lines,
  ].join('\n');
}

/** Cells with the same reason together. */
function lostSection(lost: readonly Lost[], scenarios: readonly ScenarioResult[]): string {
  if (lost.length === 0) return 'None.';
  const groups = Map.groupBy(lost, ({ scenario, why }) => why ?? `${scenario}: **not explained**`);
  return [...groups]
    .map(([why, cells]) => {
      const names = cells.map(({ scenario, metric, peer, ours, theirs }) => {
        const title = scenarios.find((result) => result.scenario === scenario)?.title ?? scenario;
        const figures = `${figureText(metric, ours)}, and ${figureText(metric, theirs)} of ${titles[peer]}`;
        return `- ${title}: ${metrics[metric].title}, ${figures}`;
      });
      return `${names.join('\n')}\n\n${why}`;
    })
    .join('\n\n');
}

function hostSection(result: FaultBenchResult): string {
  const { host } = result;
  const versions = Object.entries(host.versions).map(([name, version]) => `${name} ${version}`);
  const standstills = result.scenarios.flatMap(({ standstillsMs }) => Object.values(standstillsMs).flat());
  return [
    `- ${host.date}, commit ${host.commit}${host.isDirty ? ' with uncommitted changes' : ''}`,
    `- ${host.cpuCount} x ${host.cpu}, ${host.memoryGiB} GiB, ${host.distribution}, kernel ${host.kernel}`,
    `- Node ${host.node}; ${versions.join(', ')}`,
    `- load average at the start: ${host.loadAverage}; longest wait of the lab's processes for a CPU within ` +
      `half a second: ${Math.max(0, ...standstills)} ms`,
    `- rounds: ${result.rounds}; ${result.restSeconds} s at rest; ${result.minutes.toFixed(0)} minutes; ` +
      `command: \`${result.command}\``,
  ].join('\n');
}

export function toMarkdown(result: FaultBenchResult): string {
  const { peers, scenarios } = result;
  const { ms, count } = tolerances;
  const note = result.isPartial
    ? ' (not finished)'
    : result.isQuick
      ? ' (quick run: shows that everything works)'
      : '';
  return [
    `# Faults, side by side${note}`,
    hostSection(result),
    'Three API servers and one node in network namespaces. On the node a client opens a new TLS connection every ' +
      '50 ms, six ask every 200 ms on connections that they keep, and three hold watches. Lower is better everywhere. ' +
      '"never": a new connection failed, or had no answer within its limit (5 s; 4 s and 8 s where answers are slow by ' +
      'design). "> 8.0 s": still so when the measurement ended. A word behind a figure says how Fairlead did against it; ' +
      `differences within ${ms.absolute} ms or ${ms.ratio * 100}% (counts: ${count.ratio * 100}%) are ties. ` +
      `Figures at rest are those of ${fleetSize} nodes for a peer, divided by the nodes and the API servers.`,
    tally(result),
    [
      row(['what happens', 'what the client sees', ...peers.map((peer) => titles[peer])]),
      row(['---', '---', ...peers.map(() => '---:')]),
      ...scenarios.flatMap((scenario) => scenarioRows(scenario, peers)),
    ].join('\n'),
    `## Where Fairlead loses\n\n${lostSection(result.lost, scenarios)}`,
  ]
    .join('\n\n')
    .concat('\n');
}

// A run as Markdown: one table a stage, medians with their range, and what Fairlead is over the others.
import type { Summary } from './statistics.ts';
import type { BenchResult, StageResult } from './results.ts';

/** Three significant digits, without an exponent. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const magnitude = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.min(3, Math.max(0, 2 - magnitude)));
}

const withRange = ({ median, min, max }: Summary): string =>
  min === max ? figure(median) : `${figure(median)} (${figure(min)} to ${figure(max)})`;

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

function stageTable(stage: StageResult): string {
  const others = stage.participants.filter((name) =>
    stage.metrics.some(({ id }) => stage.ratios[id]?.[name] !== undefined),
  );
  const head = ['metric', 'unit', ...stage.participants, ...others.map((name) => `Fairlead / ${name}`)];
  const rows = stage.metrics.map(({ id, title, unit, better }) => {
    const values = stage.participants.map((name) => {
      const summary = stage.summaries[id]?.[name];
      return summary ? withRange(summary) : '-';
    });
    const quotients = others.map((name) => {
      const ratio = stage.ratios[id]?.[name];
      return ratio ? `${figure(ratio.median)} (${figure(ratio.min)} to ${figure(ratio.max)})` : '-';
    });
    return row([`${title} (${better} is better)`, unit, ...values, ...quotients]);
  });
  const separator = head.map((_, index) => (index < 2 ? '---' : '---:'));
  return [row(head), row(separator), ...rows].join('\n');
}

function hostSection(result: BenchResult): string {
  const { host, pinning, sizes } = result;
  const pins =
    pinning.proxy === undefined
      ? 'none: every process on every CPU'
      : `proxy on CPU ${pinning.proxy}, backend on ${pinning.backend}, load on ${pinning.load}`;
  const versions = Object.entries(host.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `- ${host.date}, commit ${host.commit}${host.isDirty ? ' with uncommitted changes' : ''}`,
    `- ${host.cpuCount} x ${host.cpu}, ${host.memoryGiB} GiB, ${host.distribution}, kernel ${host.kernel}`,
    `- Node ${host.node}; ${versions.join(', ')}`,
    `- load average at the start: ${host.loadAverage}; pinning: ${pins}`,
    `- ${sizes.rounds} rounds (memory and parts at most 3), ${sizes.seconds} s a load, ${sizes.bulkMiB} MiB a ` +
      `bulk transfer, ${sizes.openConnections} connections open`,
    `- agent: \`${result.fairlead}\`; command: \`${result.command}\``,
  ].join('\n');
}

export function toMarkdown(result: BenchResult): string {
  const promises = result.promises.map(({ title, wanted, measured, isKept }) =>
    row([title, wanted, figure(measured), isKept ? 'yes' : '**no**']),
  );
  const sections = result.stages.map((stage) => `## ${stage.name}\n\n${stage.note}\n\n${stageTable(stage)}`);
  return [
    `# Bench${result.isQuick ? ' (quick run: shows that everything works, not how fast it is)' : ''}`,
    hostSection(result),
    'Each cell is the median over the rounds (lowest to highest). Quotients are taken round by round; the ' +
      'median of them is given, which is not the quotient of the medians.',
    ...(promises.length
      ? [
          [
            '## Promises',
            '',
            row(['figure', 'wanted', 'measured', 'kept']),
            row(['---', '---', '---:', '---']),
            ...promises,
          ].join('\n'),
        ]
      : []),
    ...sections,
  ]
    .join('\n\n')
    .concat('\n');
}

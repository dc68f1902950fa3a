import { explain } from '../../../bench/faults/explanations.ts';
import { parseOptions } from '../../../bench/faults/options.ts';
import { figureText, toMarkdown } from '../../../bench/faults/report.ts';
import {
  type FaultBenchResult,
  lostCells,
  makeRows,
  type ScenarioResult,
} from '../../../bench/faults/results.ts';
import { benchHost } from '../../support/fakes/bench-host.ts';

const kill = (fairlead: number, nginx: number): ScenarioResult => ({
  scenario: 'kill',
  title: 'one is killed',
  rows: makeRows(['gap'], {
    fairlead: [{ gap: { value: fairlead } }],
    nginx: [{ gap: { value: nginx, isAtLeast: true } }],
    haproxy: [],
  }),
  standstillsMs: { fairlead: [12] },
});

function result(scenarios: readonly ScenarioResult[]): FaultBenchResult {
  return {
    schema: 1,
    host: benchHost,
    command: 'npm run bench:faults',
    isQuick: false,
    isPartial: false,
    rounds: 1,
    restSeconds: 60,
    peers: ['fairlead', 'haproxy', 'nginx'],
    minutes: 1,
    scenarios,
    lost: lostCells(scenarios),
  };
}

describe('results of the fault bench', () => {
  test('every other peer that was measured has a verdict, Fairlead has none', () => {
    const [row] = kill(200, 8_000).rows;
    expect(Object.keys(row?.cells ?? {})).toEqual(['fairlead', 'nginx']);
    expect(row?.cells.fairlead?.verdict).toBeUndefined();
    expect(row?.cells.nginx?.verdict).toBe('win');
  });

  test('without Fairlead there are figures and no verdicts', () => {
    const [row] = makeRows(['gap'], { nginx: [{ gap: { value: 1 } }] });
    expect(row?.cells.nginx).toEqual({ rounds: [{ value: 1 }], figure: { value: 1 } });
  });

  test('a lost cell without an explanation is named as such', () => {
    const rows = makeRows(['gap'], { fairlead: [{ gap: { value: 900 } }], nginx: [{ gap: { value: 10 } }] });
    const lost = result([{ ...kill(0, 0), rows }]);
    expect(lost.lost).toEqual([
      {
        scenario: 'kill',
        metric: 'gap',
        peer: 'nginx',
        ours: { value: 900 },
        theirs: { value: 10 },
        why: undefined,
      },
    ]);
    expect(toMarkdown(lost)).toContain('10 ms **lost**');
    expect(toMarkdown(lost)).toContain('kill: **not explained**');
  });

  test('an explanation holds for its scenario, metrics and peers only', () => {
    expect(explain('at-rest', 'requests', 'nginx')).toMatch(/\w/);
    expect(explain('kill', 'requests', 'nginx')).toBeUndefined();
    expect(explain('at-rest', 'gap', 'nginx')).toBeUndefined();
    expect(explain('at-rest', 'cpuFleet', 'haproxy')).toBeUndefined();
  });

  test('the report has a row for each metric, a tally, and says when the run did not finish', () => {
    const text = toMarkdown(result([kill(200, 8_000)]));
    expect(text).toContain('| one is killed | longest established gap | 200 ms | - | > 8.0 s win |');
    expect(text).toContain('| nginx, Kubespray | 1 | 0 | 0 |');
    expect(text).toContain('## Where Fairlead loses\n\nNone.');
    expect(text).toMatch(/^# Faults, side by side\n/);
    expect(toMarkdown({ ...result([]), isPartial: true })).toMatch(
      /^# Faults, side by side \(not finished\)/,
    );
  });

  test('figures are shown with their unit; a connection that was never served as such', () => {
    expect(figureText('gap', { value: 999 })).toBe('999 ms');
    expect(figureText('gap', { value: 1_000, isAtLeast: true })).toBe('> 1.0 s');
    expect(figureText('slowestNew', { value: 5_000, isAtLeast: true })).toBe('never');
    expect(figureText('slowestNew', { value: 5_000 })).toBe('5.0 s');
    expect(figureText('failedNew', { value: 12 })).toBe('12');
    expect(figureText('requests', { value: 10.66 })).toBe('10.7');
    expect(figureText('handshakes', { value: 0.034 })).toBe('0.03');
    expect(figureText('cpu', { value: 0.123 })).toBe('0.12');
  });
});

describe('options of the fault bench', () => {
  test('all scenarios and peers once, by default', () => {
    const { only, peers, rounds, restSeconds, name } = parseOptions([]);
    expect([only.length > 15, peers.length, rounds, restSeconds, name]).toEqual([true, 4, 1, 60, 'latest']);
  });

  test('chosen scenarios run in the order of the table, the one at rest last', () => {
    expect(parseOptions(['--only', 'at-rest,freeze,kill']).only).toEqual(['kill', 'freeze', 'at-rest']);
    expect(parseOptions(['--peers', 'nginx,fairlead']).peers).toEqual(['fairlead', 'nginx']);
  });

  test('a scenario that does not exist is refused with those that do', () => {
    expect(() => parseOptions(['--only', 'fire'])).toThrow(/--only: "fire" is not one of kill, black-hole/);
    expect(() => parseOptions(['--rounds', '0'])).toThrow('--rounds: "0" is not a positive number');
  });

  test('a quick run is short', () => {
    const { isQuick, only, restSeconds } = parseOptions(['--quick']);
    expect([isQuick, only.includes('kill'), only.length < 6, restSeconds]).toEqual([true, true, true, 10]);
  });
});

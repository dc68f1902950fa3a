import { figure, toMarkdown } from '../../../bench/report.ts';
import { type BenchResult, judgePromises, stageResult } from '../../../bench/results.ts';
import { benchHost } from '../../support/fakes/bench-host.ts';

const metric = { id: 'singleP50Us', title: 'p50', unit: 'us', better: 'lower' } as const;

function latencyOf(fairlead: number[], nginx: number[]) {
  const samples = { singleP50Us: { fairlead, nginx } };
  return stageResult(
    { name: 'latency', note: 'a note', metrics: [metric] },
    ['fairlead', 'nginx', 'direct'],
    samples,
  );
}

describe('bench results', () => {
  test('Fairlead is compared with every other participant that has the figure', () => {
    const { ratios, summaries } = latencyOf([50, 60, 70], [100, 100, 100]);
    expect(Object.keys(ratios.singleP50Us ?? {})).toEqual(['nginx']);
    expect(ratios.singleP50Us?.nginx?.median).toBe(0.6);
    expect(summaries.singleP50Us?.fairlead).toEqual({ median: 60, min: 50, max: 70 });
  });

  test('a promise is judged by the quotient, in its direction', () => {
    const title = 'single-connection p50 over nginx';
    const kept = judgePromises([latencyOf([99], [100])]);
    expect(kept).toEqual([{ title, wanted: 'at most 1', measured: 0.99, isKept: true }]);
    expect(judgePromises([latencyOf([130], [100])])[0]?.isKept).toBe(false);
  });

  test('a promise without figures is not judged', () => {
    expect(judgePromises([])).toEqual([]);
  });

  test('the report shows medians, ranges, quotients and what was not measured', () => {
    const sizes = {
      rounds: 3,
      seconds: 1,
      warmupSeconds: 1,
      bulkMiB: 1,
      memoryMiB: 1,
      openConnections: 1,
      settleMs: 1,
      partsSeconds: 1,
    };
    const stages = [latencyOf([50, 60, 70], [100, 100, 100])];
    const result: BenchResult = {
      schema: 1,
      host: { ...benchHost, isDirty: true },
      command: 'npm run bench',
      isQuick: true,
      sizes,
      pinning: { proxy: '1', load: '0', backend: '0' },
      fairlead: 'node dist/fairlead.js run',
      stages,
      promises: judgePromises(stages),
    };
    const text = toMarkdown(result);
    expect(text).toContain(
      '| p50 (lower is better) | us | 60.0 (50.0 to 70.0) | 100 | - | 0.600 (0.500 to 0.700) |',
    );
    expect(text).toContain('commit abc with uncommitted changes');
    expect(text).toContain('proxy on CPU 1');
    expect(text).toContain('haproxy 2.6');
  });

  test('figures have three significant digits and no exponent', () => {
    expect([123456, 12.345, 0.5, 0.01234, 0, Number.NaN].map(figure)).toEqual([
      '123456',
      '12.3',
      '0.500',
      '0.012',
      '0.00',
      '-',
    ]);
  });
});

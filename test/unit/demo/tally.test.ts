import { columnMs, Tally } from '../../../scripts/demo-parts/tally.ts';

const startMs = 1_000_000;

describe('what a client of the demo counts', () => {
  let tally: Tally;

  beforeEach(() => {
    tally = new Tally(startMs);
  });

  test('the longest pause is the longest time without a success, the present one too', () => {
    tally.worked('cp-1', 5, startMs + 100);
    tally.worked('cp-1', 5, startMs + 1_100);
    tally.hasFailed('reset', startMs + 1_200);
    expect(tally.longestPauseMs(startMs + 1_300)).toBe(1_000);
    expect(tally.longestPauseMs(startMs + 9_100)).toBe(8_000);
  });

  test('a pause before the first success counts', () => {
    tally.worked('cp-1', 5, startMs + 700);
    expect(tally.longestPauseMs(startMs + 800)).toBe(700);
  });

  test('after the end no pause grows', () => {
    tally.worked('cp-1', 5, startMs + 100);
    tally.stop(startMs + 200);
    expect(tally.longestPauseMs(startMs + 60_000)).toBe(100);
  });

  test('the slowest success is kept, and how many failed', () => {
    tally.worked('cp-1', 7, startMs + 1);
    tally.worked('cp-1', 900, startMs + 2);
    tally.worked('cp-1', 3, startMs + 3);
    tally.hasFailed('refused', startMs + 4);
    expect([tally.ok, tally.failed, tally.slowestMs, tally.failures]).toEqual([3, 1, 900, ['refused']]);
  });

  test('a column of the strip shows who answered most, a failure before all, or that nobody did', () => {
    const at = (column: number) => startMs + column * columnMs + 1;
    tally.worked('cp-1', 1, at(0));
    tally.worked('cp-2', 1, at(0));
    tally.worked('cp-2', 1, at(0));
    // Nobody in column 1.
    tally.worked('cp-3', 1, at(2));
    tally.hasFailed('reset', at(2));
    expect(tally.strip(at(2))).toEqual([{ server: 'cp-2' }, 'nobody', 'failed']);
  });

  test('a column that has only begun is not called empty', () => {
    tally.worked('cp-1', 1, startMs + 1);
    expect(tally.strip(startMs + columnMs + 1)).toEqual([{ server: 'cp-1' }]);
    expect(tally.strip(startMs + 2 * columnMs + 1)).toEqual([{ server: 'cp-1' }, 'nobody']);
  });
});

import { judge, medianFigure, tolerances } from '../../../bench/faults/verdicts.ts';

const ms = (value: number) => ({ value });
const atLeast = (value: number) => ({ value, isAtLeast: true }) as const;
const verdict = (ours: Parameters<typeof judge>[0], theirs: Parameters<typeof judge>[1]) =>
  judge(ours, theirs, tolerances.ms);

describe('verdicts of the fault bench', () => {
  test('less is better, in both directions', () => {
    expect(verdict(ms(200), ms(4_000))).toBe('win');
    expect(verdict(ms(4_000), ms(200))).toBe('lost');
  });

  test('small differences are ties: 50 ms, or a tenth of the smaller figure', () => {
    expect(verdict(ms(10), ms(60))).toBe('tie');
    expect(verdict(ms(60), ms(10))).toBe('tie');
    expect(verdict(ms(61), ms(10))).toBe('lost');
    expect(verdict(ms(1_000), ms(1_100))).toBe('tie');
    expect(verdict(ms(1_000), ms(1_101))).toBe('win');
    expect(verdict(ms(1_101), ms(1_000))).toBe('lost');
  });

  test('one failure more than none is no tie', () => {
    expect(judge(ms(1), ms(0), tolerances.count)).toBe('lost');
    expect(judge(ms(0), ms(1), tolerances.count)).toBe('win');
    expect(judge(ms(100), ms(109), tolerances.count)).toBe('tie');
  });

  test('what had not ended beats nobody, and loses to whoever was done earlier', () => {
    expect(verdict(ms(1_000), atLeast(8_000))).toBe('win');
    expect(verdict(atLeast(8_000), ms(1_000))).toBe('lost');
    expect(verdict(atLeast(8_000), ms(9_000))).toBe('tie');
    expect(verdict(ms(9_000), atLeast(8_000))).toBe('tie');
    expect(verdict(atLeast(8_000), atLeast(5_000))).toBe('tie');
    expect(verdict(atLeast(5_000), atLeast(8_000))).toBe('tie');
  });

  test('rounds are shown by their median, with what it was', () => {
    expect(medianFigure([ms(3), atLeast(9), ms(1)])).toEqual(ms(3));
    expect(medianFigure([ms(3), atLeast(9), ms(1), atLeast(8)])).toEqual(atLeast(8));
    expect(medianFigure([])).toBeUndefined();
  });
});

import { median, ratioByRound, summarize } from '../../../bench/statistics.ts';

describe('bench statistics', () => {
  test('the median of an even count lies between the two middle values', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([9, 1, 5])).toBe(5);
    expect(median([])).toBeNaN();
  });

  test('a summary does not depend on the order of the rounds', () => {
    expect(summarize([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
  });

  test('quotients are taken round by round: a round that slows both sides changes nothing', () => {
    const calm = ratioByRound([10, 10, 10], [5, 5, 5]);
    const disturbed = ratioByRound([10, 90, 10], [5, 45, 5]);
    expect(disturbed).toEqual(calm);
    expect(calm).toEqual({ median: 2, min: 2, max: 2 });
  });

  test('rounds that one side lacks are left out, and without any there is no quotient', () => {
    expect(ratioByRound([2, 8], [1])).toEqual({ median: 2, min: 2, max: 2 });
    expect(ratioByRound([2], [])).toBeUndefined();
    expect(ratioByRound([2], [0])).toBeUndefined();
  });
});

import { TokenBucket } from '../../../src/lib/token-bucket.ts';

test('so many at once, then one per interval, and never more than the burst is saved up', () => {
  let nowMs = 0;
  const bucket = new TokenBucket({ clock: { nowMs: () => nowMs }, burst: 3, everyMs: 100 });
  const taken = (tries: number) => Array.from({ length: tries }, () => bucket.take()).filter(Boolean).length;
  expect(taken(10)).toBe(3);
  nowMs = 99;
  expect(taken(1)).toBe(0);
  nowMs = 100;
  expect(taken(2)).toBe(1);
  nowMs = 100_000;
  expect(taken(10)).toBe(3);
});

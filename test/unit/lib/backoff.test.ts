// Waits that grow with each failure, and stop growing.
import { type Backoff, backoffMs, grownMs, watchBackoff } from '../../../src/lib/backoff.ts';

const doubled: Backoff = { firstMs: 100, capMs: 1_000 };

test('the first failure waits for the first time, each further one twice as long, up to the cap', () => {
  expect([1, 2, 3, 4, 5, 6].map((failures) => grownMs(failures, doubled))).toEqual([
    100, 200, 400, 800, 1_000, 1_000,
  ]);
});

test('the factor may be another one', () => {
  expect([1, 2, 3].map((failures) => grownMs(failures, { ...doubled, factor: 1.5 }))).toEqual([
    100, 150, 225,
  ]);
});

test('no failure waits as the first one, and ten thousand wait for the cap', () => {
  expect([0, -1, 10_000].map((failures) => grownMs(failures, doubled))).toEqual([100, 100, 1_000]);
});

test('a fleet comes apart: between half of the wait and all of it', () => {
  expect([0, 0.5, 1].map((chance) => backoffMs(2, () => chance, doubled))).toEqual([100, 150, 200]);
});

test('the watch waits half a minute at most', () => {
  expect([1, 7, 50].map((rounds) => backoffMs(rounds, () => 1))).toEqual([500, 30_000, 30_000]);
  expect(watchBackoff.capMs).toBe(30_000);
});

import { ReplayBudget } from '../../../src/passthrough/connect/replay-budget.ts';

function takeAll(budget: ReplayBudget, nowMs: number): number {
  let count = 0;
  while (budget.tryTake(nowMs)) count += 1;
  return count;
}

test('time alone gives five replays a second', () => {
  const budget = new ReplayBudget({ replayBudgetPercent: 20, replayMinPerSecond: 5 }, 0);
  takeAll(budget, 0);
  let count = 0;
  for (let nowMs = 10; nowMs <= 10_000; nowMs += 10) count += takeAll(budget, nowMs);
  expect(count).toBeGreaterThanOrEqual(49);
  expect(count).toBeLessThanOrEqual(50);
});

test('tunnels add a fifth of their number', () => {
  const budget = new ReplayBudget({ replayBudgetPercent: 20, replayMinPerSecond: 5 }, 0);
  takeAll(budget, 0);
  let count = 0;
  for (let tunnel = 0; tunnel < 1000; tunnel += 1) {
    budget.addTunnel();
    count += takeAll(budget, 0);
  }
  expect(count).toBeGreaterThanOrEqual(199);
  expect(count).toBeLessThanOrEqual(200);
});

test('quiet hours save up two seconds of replays and no more', () => {
  const budget = new ReplayBudget({ replayBudgetPercent: 20, replayMinPerSecond: 5 }, 0);
  for (let tunnel = 0; tunnel < 1000; tunnel += 1) budget.addTunnel();
  expect(takeAll(budget, 3_600_000)).toBe(10);
});

// Waiting by looking again and again: when it looks, and when it gives up.
import { waitUntil } from '../../../src/lib/wait-until.ts';

const limits = { withinMs: 1_000, everyMs: 300 };

/** A clock that moves only while something is waited for. */
function pace(isStopped?: () => boolean) {
  let nowMs = 5_000;
  const looksMs: number[] = [];
  const pause = async (ms: number) => {
    nowMs += ms;
  };
  const look = (found: (elapsedMs: number) => string | undefined) => async () => {
    looksMs.push(nowMs - 5_000);
    return found(nowMs - 5_000);
  };
  return { looksMs, look, pace: { nowMs: () => nowMs, pause, ...(isStopped && { isStopped }) } };
}

test('what is there already costs no wait', async () => {
  const world = pace();
  expect(
    await waitUntil(
      world.look(() => 'there'),
      limits,
      world.pace,
    ),
  ).toBe('there');
  expect(world.looksMs).toEqual([0]);
});

test('looks until it is there', async () => {
  const world = pace();
  const look = world.look((elapsedMs) => (elapsedMs >= 600 ? 'there' : undefined));
  expect(await waitUntil(look, limits, world.pace)).toBe('there');
  expect(world.looksMs).toEqual([0, 300, 600]);
});

test('looks for the last time when the time is up, and no later', async () => {
  const world = pace();
  expect(
    await waitUntil(
      world.look(() => undefined),
      limits,
      world.pace,
    ),
  ).toBeUndefined();
  expect(world.looksMs).toEqual([0, 300, 600, 900, 1_000]);
});

test('with no time at all it looks once', async () => {
  const world = pace();
  const none = { withinMs: 0, everyMs: 300 };
  expect(
    await waitUntil(
      world.look(() => undefined),
      none,
      world.pace,
    ),
  ).toBeUndefined();
  expect(world.looksMs).toEqual([0]);
});

test('a program that is to end waits no longer, and still takes what it finds', async () => {
  let isStopped = false;
  const world = pace(() => isStopped);
  const look = world.look((elapsedMs) => {
    isStopped = elapsedMs >= 300;
    return undefined;
  });
  expect(await waitUntil(look, limits, world.pace)).toBeUndefined();
  expect(world.looksMs).toEqual([0, 300]);
  expect(
    await waitUntil(
      world.look(() => 'there'),
      limits,
      world.pace,
    ),
  ).toBe('there');
});

test('an error of the look is the caller’s', async () => {
  const world = pace();
  const look = () => Promise.reject(new Error('gone'));
  await expect(waitUntil(look, limits, world.pace)).rejects.toThrow('gone');
});

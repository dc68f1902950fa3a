// Two tiers: every kind of case runs each time; its longer variants run with `scripts/test --full` only.

/** `FAIRLEAD_TEST_FULL=1`, which `scripts/test --full` sets. */
export const isFullTier = process.env.FAIRLEAD_TEST_FULL === '1';

/** Those of `cases` that run now: all of them in the full tier, those that `isQuick` picks otherwise. */
export function casesOfTier<T>(cases: readonly T[], isQuick: (one: T) => boolean): T[] {
  return cases.filter((one) => isFullTier || isQuick(one));
}

/** A test of the full tier. Otherwise it is not there: a skip is what a machine lacks something for. */
export function longTest(name: string, run: () => Promise<unknown>, timeoutMs: number): void {
  if (isFullTier) test(name, async () => void (await run()), timeoutMs);
}

// Skips that nobody overlooks: jest hides the console of suites in which every test is skipped.

/** Registers a skipped test and says why on standard error. */
export function skipLoudly(name: string, reason: string): void {
  process.stderr.write(`SKIPPED (${reason}): ${name}\n`);
  test.skip(name, () => {});
}

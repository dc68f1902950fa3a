// Whether this Node can run Fairlead. On an older one it would fail somewhere in the middle with a TypeError.

/** The oldest Node that has all that is used: `setKeepAlive` with interval and count came in 24.19. */
export const oldestNode = '24.19.0';

/** What is wrong with a Node of this version, or undefined. */
export function nodeProblem(version: string): string | undefined {
  const isOlder = compare(parts(version), parts(oldestNode)) < 0;
  return isOlder ? `needs Node ${oldestNode} or newer; this is ${version}` : undefined;
}

function parts(version: string): number[] {
  return version.split('.').map((part) => Number.parseInt(part, 10));
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, part] of a.entries()) {
    const difference = part - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

// Waits for a condition, never for a time.
import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves with the first value of `probe` that is neither false nor undefined; fails with `what`. */
export async function eventually<T>(
  what: string,
  probe: () => T | false | undefined,
  timeoutMs = 15_000,
): Promise<T> {
  const dueMs = performance.now() + timeoutMs;
  for (;;) {
    const value = probe();
    if (value !== false && value !== undefined) return value;
    if (performance.now() > dueMs) throw new Error(`never came true: ${what}`);
    await sleep(10);
  }
}

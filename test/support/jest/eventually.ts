// Waiting for a condition instead of a time.
import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves with the first truthy value of `probe`; rejects with `what` and the last value after `timeoutMs`. */
export async function eventually<T>(
  what: string | (() => string),
  probe: () => T | Promise<T>,
  timeoutMs = 15_000,
): Promise<NonNullable<T>> {
  const untilMs = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (performance.now() > untilMs)
      throw new Error(`never happened: ${typeof what === 'string' ? what : what()}`);
    await sleep(10);
  }
}

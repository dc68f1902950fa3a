// Waits for something that can only be asked for: what a command does while another program gets there.

/** How a loop waits; a test's has no clock. */
export interface Pace {
  readonly nowMs: () => number;
  readonly pause: (ms: number) => Promise<void>;
  /** The program is to end: nothing is waited for any more. */
  readonly isStopped?: () => boolean;
}

export interface WaitLimits {
  /** From now. */
  readonly withinMs: number;
  /** Between two looks. */
  readonly everyMs: number;
}

/**
 * The first answer of `look` that is not undefined. Looks at once, every `everyMs`, and once more when the time is up;
 * undefined when that was in vain, or when the program is to end. What `look` rejects with is passed on.
 */
export async function waitUntil<T>(
  look: () => Promise<T | undefined>,
  { withinMs, everyMs }: WaitLimits,
  { nowMs, pause, isStopped = () => false }: Pace,
): Promise<T | undefined> {
  const untilMs = nowMs() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    const leftMs = untilMs - nowMs();
    if (isStopped() || leftMs <= 0) return undefined;
    await pause(Math.min(everyMs, leftMs));
  }
}

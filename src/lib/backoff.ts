// How long to wait before the next attempt, when attempts keep failing. Pure: the caller waits on its Clock.
import type { Random } from '../model/clock.ts';

export interface Backoff {
  readonly firstMs: number;
  readonly capMs: number;
  /** By how much each wait is longer than the one before it; 2 unless it says otherwise. */
  readonly factor?: number;
}

/** As client-go's reflector: doubled each time up to about half a minute. */
export const watchBackoff: Backoff = { firstMs: 500, capMs: 30_000 };

/** Beyond any cap, and far from an overflow. */
const maxSteps = 64;

/** The wait after `failures` failures in a row (1 and up), without jitter: for a fleet, see `backoffMs`. */
export function grownMs(failures: number, { firstMs, capMs, factor = 2 }: Backoff): number {
  const steps = Math.min(maxSteps, Math.max(0, failures - 1));
  return Math.min(capMs, firstMs * factor ** steps);
}

/**
 * The wait after `rounds` failed rounds (1 and up): between half of the grown wait and all of it, so that
 * the nodes of a cluster come apart while none of them hurries.
 */
export function backoffMs(rounds: number, random: Random, backoff: Backoff = watchBackoff): number {
  return grownMs(rounds, backoff) * (0.5 + random() / 2);
}

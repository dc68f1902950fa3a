// How long to wait before the next round of attempts. Pure.
import type { Random } from '../model/clock.ts';

export interface Backoff {
  readonly firstMs: number;
  readonly capMs: number;
}

/** As client-go's reflector: doubled each time up to about half a minute. */
export const watchBackoff: Backoff = { firstMs: 500, capMs: 30_000 };

/**
 * The wait after `rounds` failed rounds (1 and up): between half of the doubled base and all of it, so that
 * the nodes of a cluster come apart while none of them hurries.
 */
export function backoffMs(
  rounds: number,
  random: Random,
  { firstMs, capMs }: Backoff = watchBackoff,
): number {
  const fullMs = Math.min(capMs, firstMs * 2 ** Math.min(30, Math.max(0, rounds - 1)));
  return fullMs * (0.5 + random() / 2);
}

// What a soak must not leave behind in the agent. Pure.
import type { SoakResult } from './soak.ts';

/** Room for what a long run warms up: compiled code, caches, one more log line; far below a leak of every fault. */
const maxHeapGainMb = 4;
/** New connections come and go while we look. */
const maxMore = 20;

export function leftBehind({ before, after }: SoakResult): string[] {
  const gains = [
    ['live heap (MB)', after.liveHeapMb - before.liveHeapMb, maxHeapGainMb],
    ['timers', after.timers - before.timers, maxMore],
    ['sockets', after.sockets - before.sockets, maxMore],
    ['descriptors', after.descriptors - before.descriptors, maxMore],
    ['tunnels', after.tunnels - before.tunnels, maxMore],
  ] as const;
  return gains.flatMap(([what, gain, most]) =>
    gain <= most ? [] : [`${what}: ${Math.round(gain * 10) / 10} more, at most ${most}`],
  );
}

// What a soak must not leave behind in the agent. Pure.
import { failed } from './measures.ts';
import type { Call } from './clients/target.ts';
import type { SoakResult, Struck } from './soak.ts';

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

/** After a fault an API server has to start and to be found ready. */
const recoveryMs = 5_000;

/**
 * Failed new connections although an API server had been well for a while and stayed so, and none struck that
 * answers clients wrongly. A connection that a fault met under way may have been answered already.
 */
export function unexcused({ seen, faults }: SoakResult, servers: number): Call[] {
  return failed(seen.newConnections).filter(({ askedMs, doneMs }) => {
    const met = faults.filter(({ fromMs, toMs }) => fromMs <= doneMs && toMs + recoveryMs >= askedMs);
    const isUnderWay = ({ fromMs }: Struck): boolean => fromMs >= askedMs - 50 && fromMs <= doneMs;
    if (met.some((fault) => fault.server === undefined || fault.isVisible || isUnderWay(fault))) return false;
    return new Set(met.map(({ server }) => server)).size < servers;
  });
}

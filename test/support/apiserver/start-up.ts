// The phases of a start: TCP is accepted before anything answers, then 403, then 500, then 200.
import type { Phase } from './request-handler.ts';
import type { Timers } from './timers.ts';
import type { Timings } from './timings.ts';

/** Calls `enter` with each phase in its time; at once for phases that take none. */
export function startUp(
  { silentMs, forbiddenMs, hooksMs }: Timings,
  timers: Timers,
  enter: (phase: Phase) => void,
): void {
  const steps: [Phase, number][] = [
    ['silent', silentMs],
    ['forbidden', forbiddenMs],
    ['hooks', hooksMs],
    ['ready', 0],
  ];
  const next = () => {
    const [phase, durationMs] = steps.shift() ?? [];
    if (!phase) return;
    enter(phase);
    if (durationMs) timers.after(durationMs, next);
    else next();
  };
  next();
}

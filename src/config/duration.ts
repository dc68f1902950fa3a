// Durations as people write them (`250ms`, `2s`, `1h30m`) and as the program counts them (milliseconds).
import type { Parsed } from '../model/endpoint.ts';

/** Largest units first: the order in which they may follow one another and in which they are written. */
const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const;

const form = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?$/;

/** Parses `250ms`, `2s`, `1.5s`, `10m`, `3h`, `1d` and sums such as `1h30m`. A number without a unit is refused. */
export function parseDuration(text: string): Parsed<number> {
  const parts = form.exec(text);
  if (!parts || text === '')
    return { ok: false, problem: 'a duration with its unit, such as 250ms, 2s, 10m or 3h' };
  const ms = units.reduce((sum, [, unitMs], index) => sum + Number(parts[index + 1] ?? 0) * unitMs, 0);
  return { ok: true, value: Math.round(ms) };
}

/** The shortest writing of whole milliseconds: 90000 is `1m30s`, 0 is `0s`. */
export function formatDuration(durationMs: number): string {
  let rest = durationMs;
  let text = '';
  for (const [name, unitMs] of units) {
    const count = Math.floor(rest / unitMs);
    if (count > 0) text += `${count}${name}`;
    rest -= count * unitMs;
  }
  return text || '0s';
}

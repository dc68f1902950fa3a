// "Did you mean": the known name nearest to what was written.
import { distance } from 'fastest-levenshtein';

const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/**
 * The candidate nearest to `name`, or undefined when none is near. Case and separators do not count
 * (`node_name` is `nodeName`), nor does a unit at the end (`intervalMs`, `timeoutSeconds`).
 */
export function suggest(name: string, candidates: readonly string[]): string | undefined {
  const wanted = plain(name);
  const unitless = plain(name.replace(/(_?ms|Millis|_?[sS]econds)$/, ''));
  let best: string | undefined;
  // A third of the letters may be wrong, but two always: a swap counts as two (`tpc` for `tcp`).
  let bestDistance = Math.max(2, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of candidates) {
    const target = plain(candidate);
    const away = Math.min(distance(wanted, target), target === unitless ? 0 : Number.POSITIVE_INFINITY);
    if (away < bestDistance) {
      bestDistance = away;
      best = candidate;
    }
  }
  return best;
}

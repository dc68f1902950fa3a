// Figures of one cell and who is better. Pure.

export type Unit = 'ms' | 'count' | 'per minute' | 'CPU s/node/h';

/** Lower is better for every one of them. */
export interface Figure {
  readonly value: number;
  /** Still going on when the measurement ended: it was at least that much. */
  readonly isAtLeast?: true;
}

/** Of Fairlead against another. */
export type Verdict = 'win' | 'tie' | 'lost';

/** Differences that a run cannot tell from chance: the larger of the two. */
export interface Tolerance {
  readonly absolute: number;
  readonly ratio: number;
}

export const tolerances: Readonly<Record<Unit, Tolerance>> = {
  ms: { absolute: 50, ratio: 0.1 },
  count: { absolute: 0, ratio: 0.1 },
  'per minute': { absolute: 0.1, ratio: 0.1 },
  'CPU s/node/h': { absolute: 0.1, ratio: 0.1 },
};

/** The figure of several rounds: the median, the upper one of an even number. Undefined without rounds. */
export function medianFigure(rounds: readonly Figure[]): Figure | undefined {
  return rounds.toSorted((a, b) => a.value - b.value)[rounds.length >> 1];
}

export function judge(ours: Figure, theirs: Figure, { absolute, ratio }: Tolerance): Verdict {
  const tolerance = Math.max(absolute, ratio * Math.min(ours.value, theirs.value));
  // What ended unfinished may have become anything above: it loses to less, and beats nothing.
  if (theirs.value - ours.value > tolerance && !ours.isAtLeast) return 'win';
  if (ours.value - theirs.value > tolerance && !theirs.isAtLeast) return 'lost';
  return 'tie';
}

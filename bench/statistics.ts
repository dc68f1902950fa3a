// Figures over rounds. Pure.

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Of an empty list: NaN. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function summarize(values: readonly number[]): Summary {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * `values` over `base`, round by round, then summed up: what disturbs the machine for a whole round
 * disturbs both sides of a quotient. Rounds that one side lacks are left out; undefined when none is left.
 */
export function ratioByRound(values: readonly number[], base: readonly number[]): Summary | undefined {
  const ratios = values.flatMap((value, round) => {
    const other = base[round];
    return other === undefined || other === 0 ? [] : [value / other];
  });
  return ratios.length ? summarize(ratios) : undefined;
}

// What a run found, in the shape of its JSON file, and the verdicts on it. Pure.
import type { HostFacts } from '../host.ts';
import { explain } from './explanations.ts';
import { type Figures, type MetricId, metrics } from './metrics.ts';
import type { PeerName, ScenarioName } from './options.ts';
import { type Figure, judge, medianFigure, tolerances, type Verdict } from './verdicts.ts';

export interface Cell {
  /** One a round. */
  readonly rounds: readonly Figure[];
  readonly figure: Figure;
  /** Fairlead's, against this peer; none in Fairlead's own cell, or without it. */
  readonly verdict?: Verdict;
}

export interface Row {
  readonly metric: MetricId;
  readonly cells: Readonly<Partial<Record<PeerName, Cell>>>;
}

export interface ScenarioResult {
  readonly scenario: ScenarioName;
  readonly title: string;
  readonly rows: readonly Row[];
  /** Most time that the lab's processes waited for a CPU within half a second, by peer, one a round. */
  readonly standstillsMs: Readonly<Partial<Record<PeerName, readonly number[]>>>;
}

export interface Lost {
  readonly scenario: ScenarioName;
  readonly metric: MetricId;
  readonly peer: PeerName;
  readonly ours: Figure;
  readonly theirs: Figure;
  readonly why: string | undefined;
}

/** Bump `schema` when a reader of old files would misread new ones. */
export interface FaultBenchResult {
  readonly schema: 1;
  readonly host: HostFacts;
  readonly command: string;
  readonly isQuick: boolean;
  /** The run is still going on, or was stopped. */
  readonly isPartial: boolean;
  readonly rounds: number;
  readonly restSeconds: number;
  readonly peers: readonly PeerName[];
  readonly minutes: number;
  readonly scenarios: readonly ScenarioResult[];
  readonly lost: readonly Lost[];
}

/** Rows of one scenario out of the figures of each peer, one a round. */
export function makeRows(
  ids: readonly MetricId[],
  figures: Readonly<Partial<Record<PeerName, readonly Figures[]>>>,
): readonly Row[] {
  return ids.map((metric) => {
    const tolerance = tolerances[metrics[metric].unit];
    const roundsOf = (peer: PeerName) =>
      (figures[peer] ?? []).flatMap((round) => (round[metric] ? [round[metric]] : []));
    const ours = medianFigure(roundsOf('fairlead'));
    const cells: Partial<Record<PeerName, Cell>> = {};
    for (const peer of Object.keys(figures) as PeerName[]) {
      const rounds = roundsOf(peer);
      const figure = medianFigure(rounds);
      if (!figure) continue;
      const verdict = ours && peer !== 'fairlead' ? judge(ours, figure, tolerance) : undefined;
      cells[peer] = { rounds, figure, ...(verdict && { verdict }) };
    }
    return { metric, cells };
  });
}

export function lostCells(scenarios: readonly ScenarioResult[]): readonly Lost[] {
  return scenarios.flatMap(({ scenario, rows }) =>
    rows.flatMap(({ metric, cells }) => {
      const ours = cells.fairlead?.figure;
      return Object.entries(cells).flatMap(([name, { figure: theirs, verdict }]) => {
        if (!ours || verdict !== 'lost') return [];
        const peer = name as PeerName;
        return [{ scenario, metric, peer, ours, theirs, why: explain(scenario, metric, peer) }];
      });
    }),
  );
}

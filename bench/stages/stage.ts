// One thing that is measured, on every peer in turn, round after round.
import type { TargetKind } from '../backend.ts';
import type { PeerName, Sizes, StageName } from '../options.ts';
import type { Field, Peer, RunningPeer } from '../peers/peer.ts';

export interface Metric {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly better: 'lower' | 'higher';
}

/** Values by metric id; a metric that makes no sense for a peer (CPU of "direct") is left out. */
export type Sample = Readonly<Record<string, number>>;

export interface StageContext {
  readonly field: Field;
  readonly sizes: Sizes;
  /** A long-lived instance of the peer whose output has been checked; started at its first use. */
  running(peer: Peer, target: TargetKind): Promise<RunningPeer>;
  readonly helloFile: string;
}

export interface Stage {
  readonly name: StageName;
  /** What the figures mean, for the report. */
  readonly note: string;
  readonly metrics: readonly Metric[];
  /** Rounds as asked, or fewer where a round is long. */
  rounds(sizes: Sizes): number;
  /** Who takes part: the chosen peers, or some of them, or variants. */
  participants(peers: readonly Peer[]): readonly Peer[];
  /** Runs once for each peer before the first round and is not counted. */
  warmUp?(context: StageContext, peer: Peer): Promise<void>;
  measure(context: StageContext, peer: Peer): Promise<Sample>;
}

export const withoutDirect = (peers: readonly Peer[]): readonly Peer[] =>
  peers.filter(({ name }) => name !== ('direct' satisfies PeerName));

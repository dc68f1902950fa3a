// What every source of endpoints looks like to the composition, and what it says.
import type { Endpoint, SourceName } from '../model/endpoint.ts';

/** What a source says. Only the synced watch speaks for removal; everything else only adds (see merge.ts). */
export interface Proposal {
  readonly source: SourceName;
  readonly endpoints: readonly Endpoint[];
  /** Wall time of the list or event; set by the watch alone, and only when its picture is complete. */
  readonly syncedAtMs?: number;
}

export type Propose = (proposal: Proposal) => void;

/** Proposes endpoints from `start` until `stop`; `stop` is idempotent and nothing is proposed after it. */
export interface Source {
  start(propose: Propose): void;
  stop(): Promise<void>;
}

// What the test says to its client process, and what that answers.
import type { EstablishedOptions, EstablishedReport } from './established.ts';
import type { NewConnectionsOptions } from './new-connections.ts';
import type { Call, Target } from './target.ts';
import type { WatchesReport } from './watches.ts';

export type Command =
  | { readonly op: 'target'; readonly target: Target }
  | { readonly op: 'start-new'; readonly options: NewConnectionsOptions }
  | { readonly op: 'peek-new'; readonly handle: number; readonly last: number }
  | { readonly op: 'stop-new'; readonly handle: number }
  | { readonly op: 'start-established'; readonly options: EstablishedOptions }
  | { readonly op: 'peek-established'; readonly handle: number; readonly last: number }
  | { readonly op: 'stop-established'; readonly handle: number }
  | { readonly op: 'start-watches'; readonly count: number }
  | { readonly op: 'open-watches'; readonly handle: number }
  | { readonly op: 'stop-watches'; readonly handle: number }
  | { readonly op: 'start-crowd' }
  | { readonly op: 'grow-crowd'; readonly handle: number; readonly count: number }
  | { readonly op: 'crowd-open'; readonly handle: number }
  | { readonly op: 'stop-crowd'; readonly handle: number }
  | { readonly op: 'burst'; readonly count: number; readonly path: string; readonly timeoutMs: number }
  | { readonly op: 'fetch'; readonly url: string };

export interface Answers {
  readonly target: null;
  readonly 'start-new': number;
  readonly 'peek-new': Call[];
  readonly 'stop-new': Call[];
  readonly 'start-established': number;
  readonly 'peek-established': Call[];
  readonly 'stop-established': EstablishedReport;
  readonly 'start-watches': number;
  readonly 'open-watches': number;
  readonly 'stop-watches': WatchesReport;
  readonly 'start-crowd': number;
  readonly 'grow-crowd': number;
  readonly 'crowd-open': number;
  readonly 'stop-crowd': null;
  readonly burst: Call[];
  readonly fetch: { readonly status: number; readonly body: string };
}

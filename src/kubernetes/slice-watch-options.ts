// What the EndpointSlice watch takes and tells: its options, its sink, its state and its timings.
import type { Logger } from 'pino';
import type { Clock, Random } from '../model/clock.ts';
import type { Endpoint, EndpointId } from '../model/endpoint.ts';
import type { WatchState } from '../model/status.ts';
import { defaultTimings, type SessionTimings } from './api-session.ts';
import { type Backoff, watchBackoff } from '../lib/backoff.ts';
import type { CredentialSource } from './credentials.ts';
import type { SliceChange } from './slice-events.ts';

/** Takes what the watch learns, with the wall time of it and the API server that said it. */
export interface SliceSink {
  /** A complete list: slices that it lacks are gone. */
  listed(objects: readonly unknown[], atMs: number, from: Endpoint): void;
  changed(change: SliceChange, object: unknown, atMs: number, from: Endpoint): void;
  /** Nothing has changed, and that is known (a bookmark). */
  confirmed(atMs: number): void;
}

/** For status and metrics. */
export interface SliceWatchState {
  readonly state: WatchState;
  /** Wall time of the last list, event or bookmark. */
  readonly syncedAtMs?: number;
  /** The endpoint that is being followed. */
  readonly through?: EndpointId;
  /** Why it is not synced, or what was wrong last. */
  readonly message?: string;
  /** Failed attempts in a row. */
  readonly failures: number;
}

export interface SliceWatchTimings extends SessionTimings {
  /** How long an API server is asked to keep a watch open; jittered between the two. */
  readonly minWatchMs: number;
  readonly maxWatchMs: number;
  /** How much later than that a watch may end by itself. */
  readonly watchGraceMs: number;
  /** A watch that lasted this long was a success: the next failure starts a new backoff. */
  readonly goodWatchMs: number;
  /** A watch may last forever, but an etcd restored from a backup counts from an older revision. */
  readonly relistMs: number;
  /** Longest jitter of an attempt that `kick` asks for: a whole cluster hears of a recovery at once. */
  readonly kickJitterMs: number;
  /** Shortest wait after a round in which the credentials had no right to list or watch. */
  readonly forbiddenMs: number;
  readonly backoff: Backoff;
}

export const defaultWatchTimings: SliceWatchTimings = {
  ...defaultTimings,
  minWatchMs: 300_000,
  maxWatchMs: 600_000,
  watchGraceMs: 15_000,
  goodWatchMs: 10_000,
  relistMs: 1_800_000,
  kickJitterMs: 1_000,
  forbiddenMs: 60_000,
  backoff: watchBackoff,
};

export interface SliceWatchOptions {
  readonly namespace: string;
  readonly service: string;
  readonly credentials: Pick<CredentialSource, 'current' | 'started' | 'problem' | 'reload' | 'subscribe'>;
  /** Every known endpoint, in pick order. */
  readonly order: () => readonly Endpoint[];
  /** Whether health would use it; a watch moves away from one that is not, if another one is. */
  readonly isUsable?: (endpoint: EndpointId) => boolean;
  readonly sink: SliceSink;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>;
  readonly userAgent?: string;
  readonly timings?: SliceWatchTimings;
}

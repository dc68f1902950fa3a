// What a run found, in the shape of its JSON file, and what is derived from it. Pure.
import type { HostFacts } from './host.ts';
import type { Sizes } from './options.ts';
import type { Pinning } from './processes.ts';
import { ratioByRound, type Summary, summarize } from './statistics.ts';
import type { Metric } from './stages/stage.ts';

export interface StageResult {
  readonly name: string;
  readonly note: string;
  readonly metrics: readonly Metric[];
  /** In the order of the report. */
  readonly participants: readonly string[];
  /** Values by metric id and participant, one a round. */
  readonly samples: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;
  /** Median, lowest and highest of the samples. */
  readonly summaries: Readonly<Record<string, Readonly<Record<string, Summary>>>>;
  /** Fairlead over the others, round by round, by metric id and the other's name. */
  readonly ratios: Readonly<Record<string, Readonly<Record<string, Summary>>>>;
}

/** Bump `schema` when a reader of old files would misread new ones. */
export interface BenchResult {
  readonly schema: 1;
  readonly host: HostFacts;
  readonly command: string;
  readonly isQuick: boolean;
  readonly sizes: Sizes;
  readonly pinning: Pinning;
  readonly fairlead: string;
  readonly stages: readonly StageResult[];
  readonly promises: readonly PromiseResult[];
}

type Samples = Record<string, Record<string, number[]>>;

export function stageResult(
  { name, note, metrics }: Pick<StageResult, 'name' | 'note' | 'metrics'>,
  participants: readonly string[],
  samples: Samples,
): StageResult {
  const summaries: Record<string, Record<string, Summary>> = {};
  const ratios: Record<string, Record<string, Summary>> = {};
  for (const { id } of metrics) {
    const byPeer = samples[id] ?? {};
    const summary: Record<string, Summary> = {};
    const ratio: Record<string, Summary> = {};
    for (const [peer, values] of Object.entries(byPeer)) {
      if (values.length) summary[peer] = summarize(values);
      const found = peer === 'fairlead' ? undefined : ratioByRound(byPeer.fairlead ?? [], values);
      if (found) ratio[peer] = found;
    }
    summaries[id] = summary;
    ratios[id] = ratio;
  }
  return { name, note, metrics, participants, samples, summaries, ratios };
}

/** A figure that the project promises. */
interface Promised {
  readonly title: string;
  readonly stage: string;
  readonly metric: string;
  /** The other side of the quotient; undefined: the value itself counts. */
  readonly over?: string;
  readonly atMost?: number;
  readonly atLeast?: number;
}

export interface PromiseResult {
  readonly title: string;
  readonly wanted: string;
  readonly measured: number;
  readonly isKept: boolean;
}

const promised: readonly Promised[] = [
  { title: 'start to listening, ms', stage: 'startup', metric: 'startMs', atMost: 300 },
  {
    title: 'single-connection p50 over nginx',
    stage: 'latency',
    metric: 'singleP50Us',
    over: 'nginx',
    atMost: 1,
  },
  {
    title: 'TLS connections per second over HAProxy',
    stage: 'connections',
    metric: 'tlsPerSecond',
    over: 'haproxy',
    atLeast: 0.6,
  },
  {
    title: 'hello connections per second over HAProxy',
    stage: 'connections',
    metric: 'helloPerSecond',
    over: 'haproxy',
    atLeast: 0.6,
  },
  {
    title: 'TLS download over HAProxy',
    stage: 'bulk',
    metric: 'tlsDownMBPerSecond',
    over: 'haproxy',
    atLeast: 0.85,
  },
  {
    title: 'plain download over HAProxy',
    stage: 'bulk',
    metric: 'plainDownMBPerSecond',
    over: 'haproxy',
    atLeast: 0.85,
  },
  {
    title: '4 downloads at once over HAProxy',
    stage: 'parallel',
    metric: 'downMBPerSecond',
    over: 'haproxy',
    atLeast: 0.95,
  },
  {
    title: '4 uploads at once over HAProxy',
    stage: 'parallel',
    metric: 'upMBPerSecond',
    over: 'haproxy',
    atLeast: 0.95,
  },
  {
    title: 'new connections of 64 clients over HAProxy',
    stage: 'parallel',
    metric: 'connectionsPerSecond',
    over: 'haproxy',
    atLeast: 0.8,
  },
  { title: 'anonymous memory after transfers, MiB', stage: 'parallel', metric: 'afterAnon', atMost: 40 },
  { title: 'resident memory after transfers, MiB', stage: 'parallel', metric: 'afterRss', atMost: 90 },
  { title: 'highest anonymous memory, MiB', stage: 'memory', metric: 'peakAnon', atMost: 40 },
  { title: 'highest resident memory, MiB', stage: 'memory', metric: 'peakRss', atMost: 90 },
];

/** The promises that this run has figures for. */
export function judgePromises(stages: readonly StageResult[]): readonly PromiseResult[] {
  return promised.flatMap(({ title, stage, metric, over, atMost, atLeast }) => {
    const found = stages.find(({ name }) => name === stage);
    const measured =
      over === undefined ? found?.summaries[metric]?.fairlead?.median : found?.ratios[metric]?.[over]?.median;
    if (measured === undefined) return [];
    const isKept = measured <= (atMost ?? Infinity) && measured >= (atLeast ?? -Infinity);
    const wanted = atMost === undefined ? `at least ${atLeast}` : `at most ${atMost}`;
    return [{ title, wanted, measured, isKept }];
  });
}

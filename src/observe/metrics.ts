// The metrics that /metrics serves. Everything is read from plain counters when it is scraped; prom-client
// formats it and is loaded at the first scrape. docs/metrics.md lists these definitions; a test compares.
// Over 400 lines because it is one table, in the order of that page.
import type { EndpointId } from '../model/endpoint.ts';
import { certificateMetrics, type CertificateNumbers } from './certificate-metrics.ts';
import type { EndpointTraffic } from '../model/outcome.ts';
import type { Snapshot, Verdict } from '../model/snapshot.ts';

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
  /** For histograms: the sample's own name (`_bucket`, `_sum`, `_count`). */
  readonly metricName?: string;
}

interface MetricHead {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
}

/** Of the process as a whole, or of each pool: then series of all but the API servers' pool have a label `pool`. */
export type MetricDefinition = MetricHead &
  (
    | { readonly of: 'process'; collect(sources: MetricSources): readonly Sample[] }
    | { readonly of: 'pool'; collect(sources: PoolMetricSources): readonly Sample[] }
  );

/** Where the numbers come from; all live, all read-only. */
export interface MetricSources {
  readonly version: string;
  /** Wall time of the last complete list or watch event. */
  syncedAtMs(): number | undefined;
  /** Failures of the watch since it last worked. */
  watchFailures(): number;
  wallMs(): number;
  tunnelLimit(): number;
  /** Bytes that clients make the process hold, by kind, and their limits. */
  held(): readonly { readonly kind: string; readonly bytes: number; readonly maxBytes: number }[];
  readonly pools: readonly { readonly labels: Labels; readonly sources: PoolMetricSources }[];
}

/** The numbers of one pool of endpoints. */
export interface PoolMetricSources {
  snapshot(): Snapshot;
  traffic(endpoint: EndpointId): EndpointTraffic;
  /** Endpoints that have ever carried a tunnel, removed ones among them. */
  endpointsWithTraffic(): Iterable<EndpointId>;
  /** Dials by endpoint and result. */
  dials(): Iterable<{ readonly endpoint: EndpointId; readonly result: string; readonly count: number }>;
  probes: ProbeCounters;
  /** Clients and tunnels that did not end by their own FINs, by reason. */
  closings(): Iterable<{ readonly reason: string; readonly count: number }>;
  /** First flights sent to a second endpoint, by how it ended. */
  replays(): Iterable<{ readonly result: string; readonly count: number }>;
  acceptFailures(): number;
  /** What the configuration asks for and the agent does not have. */
  /** What is known of certificates: the endpoints' and our own. */
  certificates(): CertificateNumbers;
  problems(): readonly { readonly code: string }[];
  /** Endpoints are to be verified. */
  isVerificationAsked(): boolean;
  /** Undefined: no http listener leads to the pool. */
  http(): HttpRequestNumbers | undefined;
}

/** The numbers of the http listeners of a pool. */
export interface HttpRequestNumbers {
  readonly inFlight: number;
  readonly cut: number;
  readonly retries: Readonly<Record<string, number>>;
  requests(): Iterable<{
    readonly verb: string;
    readonly code: string;
    readonly endpoint: string;
    readonly count: number;
  }>;
}

const probeBucketsSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

interface ProbeSeries {
  readonly buckets: number[];
  sumSeconds: number;
  readonly results: Map<string, number>;
}

/** Probe durations and results by endpoint; forgotten with the endpoint. */
export class ProbeCounters {
  readonly #series = new Map<EndpointId, ProbeSeries>();

  observe(endpoint: EndpointId, resultCode: string, durationMs: number): void {
    let series = this.#series.get(endpoint);
    if (!series) {
      series = { buckets: probeBucketsSeconds.map(() => 0).concat(0), sumSeconds: 0, results: new Map() };
      this.#series.set(endpoint, series);
    }
    const seconds = durationMs / 1000;
    const index = probeBucketsSeconds.findIndex((bound) => seconds <= bound);
    const slot = index < 0 ? probeBucketsSeconds.length : index;
    series.buckets[slot] = (series.buckets[slot] ?? 0) + 1;
    series.sumSeconds += seconds;
    series.results.set(resultCode, (series.results.get(resultCode) ?? 0) + 1);
  }

  /** Keeps only these endpoints. */
  retain(endpoints: ReadonlySet<EndpointId>): void {
    for (const id of this.#series.keys()) if (!endpoints.has(id)) this.#series.delete(id);
  }

  results(): Sample[] {
    return [...this.#series].flatMap(([endpoint, { results }]) =>
      [...results].map(([result, value]) => ({ labels: { endpoint, result }, value })),
    );
  }

  durations(name: string): Sample[] {
    return [...this.#series].flatMap(([endpoint, { buckets, sumSeconds }]) => {
      let cumulative = 0;
      const samples: Sample[] = buckets.map((count, index) => {
        cumulative += count;
        const le = String(probeBucketsSeconds[index] ?? '+Inf');
        return { labels: { endpoint, le }, value: cumulative, metricName: `${name}_bucket` };
      });
      samples.push({ labels: { endpoint }, value: sumSeconds, metricName: `${name}_sum` });
      samples.push({ labels: { endpoint }, value: cumulative, metricName: `${name}_count` });
      return samples;
    });
  }
}

const verdicts: readonly Verdict[] = ['unknown', 'ready', 'suspect', 'unready', 'dead'];

function one(value: number, labels: Labels = {}): Sample[] {
  return [{ labels, value }];
}

function byTraffic(sources: PoolMetricSources, value: (traffic: EndpointTraffic) => number): Sample[] {
  return [...sources.endpointsWithTraffic()].map((endpoint) => ({
    labels: { endpoint },
    value: value(sources.traffic(endpoint)),
  }));
}

export const metricDefinitions: readonly MetricDefinition[] = [
  {
    name: 'fairlead_build_info',
    of: 'process',
    type: 'gauge',
    help: 'Always 1; the version of Fairlead and of Node.',
    labels: ['version', 'node_version'],
    collect: ({ version }) => one(1, { version, node_version: process.version }),
  },
  {
    name: 'fairlead_endpoint_verdict',
    of: 'pool',
    type: 'gauge',
    help: 'Verdict of each endpoint: 1 for the current verdict, 0 for the others.',
    labels: ['endpoint', 'verdict'],
    collect: ({ snapshot }) =>
      snapshot().endpoints.flatMap(({ endpoint, verdict: held }) =>
        verdicts.map((verdict) => ({
          labels: { endpoint: endpoint.id, verdict },
          value: verdict === held ? 1 : 0,
        })),
      ),
  },
  {
    name: 'fairlead_endpoint_verified',
    of: 'pool',
    type: 'gauge',
    help: 'Whether the latest answer of each endpoint came over verified TLS. Absent if verification is not configured.',
    labels: ['endpoint'],
    collect: ({ snapshot, isVerificationAsked }) =>
      isVerificationAsked()
        ? snapshot().endpoints.map(({ endpoint, isVerified }) => ({
            labels: { endpoint: endpoint.id },
            value: isVerified ? 1 : 0,
          }))
        : [],
  },
  {
    name: 'fairlead_problem',
    of: 'pool',
    type: 'gauge',
    help: 'Always 1, for something that the configuration requires and the agent does not have, by code (docs/errors.md).',
    labels: ['code'],
    collect: ({ problems }) =>
      [...new Set(problems().map(({ code }) => code))].map((code) => ({ labels: { code }, value: 1 })),
  },
  {
    name: 'fairlead_endpoints_usable',
    of: 'pool',
    type: 'gauge',
    help: 'Endpoints that take new tunnels.',
    labels: [],
    collect: ({ snapshot }) => one(snapshot().usableCount),
  },
  {
    name: 'fairlead_endpoints_known',
    of: 'pool',
    type: 'gauge',
    help: 'Known endpoints by tier: discovered, seed (configured, but not listed by the cluster), or remembered (verified once, and neither listed nor configured now).',
    labels: ['tier'],
    collect: ({ snapshot }) =>
      (['discovered', 'seed', 'remembered'] as const).map((tier) => ({
        labels: { tier },
        value: snapshot().endpoints.filter(({ endpoint }) => endpoint.tier === tier).length,
      })),
  },
  {
    name: 'fairlead_endpoints_gone',
    of: 'pool',
    type: 'gauge',
    help: 'API servers that were verified once, but that the cluster no longer lists and has not replaced.',
    labels: [],
    collect: ({ snapshot }) => one(snapshot().endpoints.filter(({ endpoint }) => endpoint.isGone).length),
  },
  {
    name: 'fairlead_snapshot_version',
    of: 'pool',
    type: 'gauge',
    help: 'Version of the published snapshot; grows with every change of endpoints or verdicts.',
    labels: [],
    collect: ({ snapshot }) => one(snapshot().version),
  },
  {
    name: 'fairlead_discovery_age_seconds',
    of: 'process',
    type: 'gauge',
    help: 'Time since the endpoint watch was last known to be complete. Absent if it never was.',
    labels: [],
    collect: ({ syncedAtMs, wallMs }) => {
      const at = syncedAtMs();
      return at === undefined ? [] : one(Math.max(0, wallMs() - at) / 1000);
    },
  },
  {
    name: 'fairlead_discovery_watch_failures',
    of: 'process',
    type: 'gauge',
    help: 'Failed attempts of the endpoint watch since it last worked.',
    labels: [],
    collect: ({ watchFailures }) => one(watchFailures()),
  },
  {
    name: 'fairlead_tunnels',
    of: 'pool',
    type: 'gauge',
    help: 'Open tunnels by endpoint.',
    labels: ['endpoint'],
    collect: (sources) => byTraffic(sources, ({ activeTunnels }) => activeTunnels),
  },
  {
    name: 'fairlead_tunnels_max',
    of: 'process',
    type: 'gauge',
    help: 'Maximum number of tunnels that this process accepts.',
    labels: [],
    collect: ({ tunnelLimit }) => one(tunnelLimit()),
  },
  {
    name: 'fairlead_held_bytes',
    of: 'process',
    type: 'gauge',
    help: 'Bytes of buffers that clients make this process hold, by kind.',
    labels: ['kind'],
    collect: ({ held }) => held().map(({ kind, bytes }) => ({ labels: { kind }, value: bytes })),
  },
  {
    name: 'fairlead_held_bytes_max',
    of: 'process',
    type: 'gauge',
    help: 'Limits of fairlead_held_bytes, by kind.',
    labels: ['kind'],
    collect: ({ held }) => held().map(({ kind, maxBytes }) => ({ labels: { kind }, value: maxBytes })),
  },
  {
    name: 'fairlead_tunnels_total',
    of: 'pool',
    type: 'counter',
    help: 'Tunnels opened by endpoint.',
    labels: ['endpoint'],
    collect: (sources) => byTraffic(sources, ({ totalTunnels }) => totalTunnels),
  },
  {
    name: 'fairlead_tunnel_bytes_total',
    of: 'pool',
    type: 'counter',
    help: 'Bytes relayed by endpoint: up to the endpoint, down to the clients.',
    labels: ['endpoint', 'direction'],
    collect: (sources) =>
      [...sources.endpointsWithTraffic()].flatMap((endpoint) => {
        const { bytesUp, bytesDown } = sources.traffic(endpoint);
        return [
          { labels: { endpoint, direction: 'up' }, value: bytesUp },
          { labels: { endpoint, direction: 'down' }, value: bytesDown },
        ];
      }),
  },
  {
    name: 'fairlead_dials_total',
    of: 'pool',
    type: 'counter',
    help: 'Attempts to connect to an endpoint for a client, by result.',
    labels: ['endpoint', 'result'],
    collect: ({ dials }) =>
      [...dials()].map(({ endpoint, result, count }) => ({ labels: { endpoint, result }, value: count })),
  },
  {
    name: 'fairlead_first_flight_replays_total',
    of: 'pool',
    type: 'counter',
    help: "Clients' first flights that were tried on a second endpoint, by result.",
    labels: ['result'],
    collect: ({ replays }) =>
      [...replays()].map(({ result, count }) => ({ labels: { result }, value: count })),
  },
  {
    name: 'fairlead_accept_failures_total',
    of: 'pool',
    type: 'counter',
    help: 'Clients that could not be accepted, most likely because of a lack of file descriptors.',
    labels: [],
    collect: ({ acceptFailures }) => one(acceptFailures()),
  },
  {
    name: 'fairlead_closings_total',
    of: 'pool',
    type: 'counter',
    help: 'Clients and tunnels that were not closed cleanly (without FIN), by reason.',
    labels: ['reason'],
    collect: ({ closings }) =>
      [...closings()].map(({ reason, count }) => ({ labels: { reason }, value: count })),
  },
  {
    name: 'fairlead_http_requests_total',
    of: 'pool',
    type: 'counter',
    help: 'Requests of http listeners by verb (WATCH and CONNECT among them), status code (0: the client left first) and endpoint (empty: none answered).',
    labels: ['verb', 'code', 'endpoint'],
    collect: ({ http }) =>
      [...(http()?.requests() ?? [])].map(({ verb, code, endpoint, count }) => ({
        labels: { verb, code, endpoint },
        value: count,
      })),
  },
  {
    name: 'fairlead_http_requests_in_flight',
    of: 'pool',
    type: 'gauge',
    help: 'Requests and upgraded connections of http listeners that have not ended.',
    labels: [],
    collect: ({ http }) => (http() ? one(http()?.inFlight ?? 0) : []),
  },
  {
    name: 'fairlead_http_retries_total',
    of: 'pool',
    type: 'counter',
    help: 'Requests tried on another endpoint: unsent (no connection), unanswered (it closed first), stopping (503 while shutting down).',
    labels: ['reason'],
    collect: ({ http }) =>
      Object.entries(http()?.retries ?? {}).map(([reason, value]) => ({ labels: { reason }, value })),
  },
  {
    name: 'fairlead_http_answers_cut_total',
    of: 'pool',
    type: 'counter',
    help: 'Answers that ended early because their endpoint did.',
    labels: [],
    collect: ({ http }) => (http() ? one(http()?.cut ?? 0) : []),
  },
  {
    name: 'fairlead_probes_total',
    of: 'pool',
    type: 'counter',
    help: 'Health probes by endpoint and result, in HAProxy notation.',
    labels: ['endpoint', 'result'],
    collect: ({ probes }) => probes.results(),
  },
  {
    name: 'fairlead_probe_duration_seconds',
    of: 'pool',
    type: 'histogram',
    help: 'Duration of health probes by endpoint.',
    labels: ['endpoint'],
    collect: ({ probes }) => probes.durations('fairlead_probe_duration_seconds'),
  },
  ...certificateMetrics,
  {
    name: 'process_resident_memory_bytes',
    of: 'process',
    type: 'gauge',
    help: 'Resident memory of the agent.',
    labels: [],
    collect: () => one(process.memoryUsage.rss()),
  },
  {
    name: 'process_cpu_seconds_total',
    of: 'process',
    type: 'counter',
    help: 'User and system CPU time of the agent.',
    labels: [],
    collect: () => {
      const { user, system } = process.cpuUsage();
      return one((user + system) / 1e6);
    },
  },
  {
    name: 'process_start_time_seconds',
    of: 'process',
    type: 'gauge',
    help: 'Start of the agent since the epoch.',
    labels: [],
    collect: () => one(Math.round(Date.now() / 1000 - process.uptime())),
  },
];

export interface RenderedMetrics {
  readonly contentType: string;
  readonly body: string;
}

/** All samples of a metric: of the process, or of each pool with its label. */
export function samplesOf(definition: MetricDefinition, sources: MetricSources): readonly Sample[] {
  if (definition.of === 'process') return definition.collect(sources);
  return sources.pools.flatMap((pool) =>
    definition
      .collect(pool.sources)
      .map((sample) => ({ ...sample, labels: { ...sample.labels, ...pool.labels } })),
  );
}

/** The metrics in Prometheus text format. */
export async function renderMetrics(sources: MetricSources): Promise<RenderedMetrics> {
  const { Registry } = await import('prom-client');
  const registry = new Registry();
  for (const definition of metricDefinitions) {
    const { name, help, type } = definition;
    const metric = {
      name,
      get: () =>
        Promise.resolve({ name, help, type, values: samplesOf(definition, sources), aggregator: 'sum' }),
    };
    // prom-client asks no more of a metric than its name and get().
    registry.registerMetric(metric as never);
  }
  return { contentType: registry.contentType, body: await registry.metrics() };
}

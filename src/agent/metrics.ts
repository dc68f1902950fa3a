// The metrics' view of the running agent: live counters of the data path beside what discovery and health know.
import { defaultPoolName } from '../config/config.ts';
import type { PoolMetricSources, MetricSources } from '../observe/metrics.ts';
import type { TunnelTable } from '../passthrough/tunnel-table.ts';

type FromElsewhere = Pick<
  PoolMetricSources,
  'probes' | 'snapshot' | 'http' | 'problems' | 'isVerificationAsked' | 'certificates'
>;

export function poolMetricSources(table: TunnelTable, elsewhere: FromElsewhere): PoolMetricSources {
  const { counters } = table;
  return {
    ...elsewhere,
    traffic: (id) => table.traffic(id),
    endpointsWithTraffic: () => [...table.records()].map(({ id }) => id),
    dials: () =>
      [...table.records()].flatMap(({ id, dials }) =>
        Object.entries(dials).map(([result, count]) => ({ endpoint: id, result, count })),
      ),
    closings: () => Object.entries(counters.closed).map(([reason, count]) => ({ reason, count })),
    replays: () => [
      { result: 'sent', count: counters.replays },
      { result: 'denied', count: counters.replaysDenied },
      { result: 'moved-on', count: counters.movedOn },
    ],
    acceptFailures: () => counters.acceptFailures,
  };
}

interface MetricPool {
  readonly name: string;
  readonly table: TunnelTable;
  metrics(): PoolMetricSources;
}

type OfProcess = Pick<MetricSources, 'version' | 'syncedAtMs' | 'watchFailures' | 'wallMs' | 'held'>;

/** `pools`: the API servers' one first; its series have no label `pool`. */
export function agentMetrics(pools: readonly MetricPool[], ofProcess: OfProcess): MetricSources {
  return {
    ...ofProcess,
    tunnelLimit: () => pools[0]?.table.options.maxTunnels ?? 0,
    pools: pools.map((pool) => ({
      labels: pool.name === defaultPoolName ? {} : { pool: pool.name },
      sources: pool.metrics(),
    })),
  };
}

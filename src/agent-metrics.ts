// The metrics' view of the running agent: live counters of the data path beside what discovery and health know.
import type { MetricSources } from './observe/metrics.ts';
import type { ConnectionTable } from './passthrough/connection-table.ts';

type FromElsewhere = Pick<
  MetricSources,
  'version' | 'probes' | 'snapshot' | 'syncedAtMs' | 'watchFailures' | 'wallMs'
>;

export function metricSources(table: ConnectionTable, elsewhere: FromElsewhere): MetricSources {
  const { counters } = table;
  return {
    ...elsewhere,
    traffic: (id) => table.traffic(id),
    endpointsWithTraffic: () => [...table.records()].map(({ id }) => id),
    dials: () =>
      [...table.records()].flatMap(({ id, dials }) =>
        Object.entries(dials).map(([result, count]) => ({ endpoint: id, result, count })),
      ),
    tunnelLimit: () => table.options.maxTunnels,
    closings: () => Object.entries(counters.closed).map(([reason, count]) => ({ reason, count })),
    replays: () => [
      { result: 'sent', count: counters.replays },
      { result: 'denied', count: counters.replaysDenied },
      { result: 'moved-on', count: counters.movedOn },
    ],
  };
}

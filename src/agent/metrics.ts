// The metrics' view of the running agent: live counters of the data path beside what discovery and health know.
import { defaultGroupName } from '../config/config.ts';
import type { GroupMetricSources, MetricSources } from '../observe/metrics.ts';
import type { ConnectionTable } from '../passthrough/tunnel-table.ts';

type FromElsewhere = Pick<
  GroupMetricSources,
  'probes' | 'snapshot' | 'http' | 'problems' | 'isVerificationAsked' | 'certificates'
>;

export function groupMetricSources(table: ConnectionTable, elsewhere: FromElsewhere): GroupMetricSources {
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

interface MetricGroup {
  readonly name: string;
  readonly table: ConnectionTable;
  metrics(): GroupMetricSources;
}

type OfProcess = Pick<MetricSources, 'version' | 'syncedAtMs' | 'watchFailures' | 'wallMs'>;

/** `groups`: the API servers' one first; its series have no label `group`. */
export function agentMetrics(groups: readonly MetricGroup[], ofProcess: OfProcess): MetricSources {
  return {
    ...ofProcess,
    tunnelLimit: () => groups[0]?.table.options.maxTunnels ?? 0,
    groups: groups.map((group) => ({
      labels: group.name === defaultGroupName ? {} : { group: group.name },
      sources: group.metrics(),
    })),
  };
}

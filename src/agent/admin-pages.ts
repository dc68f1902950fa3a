// The pages of the admin server and the metrics listener: made once, however many addresses offer them.
import type { Clock } from '../model/clock.ts';
import type { Status } from '../model/status.ts';
import type { AdminPages } from '../observe/admin.ts';
import { type MetricSources, renderMetrics } from '../observe/metrics.ts';
import { Rendering } from '../observe/rendering.ts';

/** A status costs a fraction of what the metrics cost, and who asks for it wants to see what has just happened. */
const statusesPerSecond = 10;

export function adminPages(
  clock: Pick<Clock, 'nowMs'>,
  status: () => Status,
  metrics: MetricSources,
): AdminPages {
  return {
    status: new Rendering({
      clock,
      perSecond: statusesPerSecond,
      render: async () => ({
        contentType: 'application/json',
        body: `${JSON.stringify(status(), null, 2)}\n`,
      }),
    }),
    metrics: new Rendering({ clock, perSecond: 1, render: () => renderMetrics(metrics) }),
  };
}

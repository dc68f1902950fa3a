// Memory of a new process: idle, with many connections open, after a bulk transfer, after many short requests.
import { setTimeout as sleep } from 'node:timers/promises';
import { bulkTransfer } from '../load/curl.ts';
import { wrk } from '../load/wrk.ts';
import { openConnections } from '../load/open-connections.ts';
import { type Memory, memory } from '../usage.ts';
import { type Sample, type Stage, withoutDirect } from './stage.ts';

/** Highest memory seen while `work` runs. */
async function peakDuring(pid: number, work: () => Promise<void>): Promise<Memory> {
  let peak: Memory = { rssMiB: 0, anonymousMiB: 0, pssMiB: 0 };
  const look = async (): Promise<void> => {
    const now = await memory(pid);
    peak = {
      rssMiB: Math.max(peak.rssMiB, now.rssMiB),
      anonymousMiB: Math.max(peak.anonymousMiB, now.anonymousMiB),
      pssMiB: Math.max(peak.pssMiB, now.pssMiB),
    };
  };
  const watching = new AbortController();
  const watch = async (): Promise<void> => {
    while (!watching.signal.aborted) {
      await look();
      await sleep(50);
    }
  };
  const watcher = watch();
  try {
    await work();
  } finally {
    watching.abort();
    await watcher;
  }
  await look();
  return peak;
}

function figures(prefix: string, { rssMiB, anonymousMiB, pssMiB }: Memory): Sample {
  return { [`${prefix}Rss`]: rssMiB, [`${prefix}Anon`]: anonymousMiB, [`${prefix}Pss`]: pssMiB };
}

const moments = [
  ['idle', 'idle'],
  ['open', 'with connections'],
  ['bulk', 'after the bulk transfer'],
  ['load', 'after requests and connections'],
  ['peak', 'highest of the whole run'],
] as const;

export const memoryUse: Stage = {
  name: 'memory',
  note:
    'A new process each round, workers summed up. Resident counts shared pages once for each worker, ' +
    'proportional (PSS) divides them; anonymous is heap and stacks.',
  metrics: moments.flatMap(([prefix, title]) => [
    { id: `${prefix}Rss`, title: `${title}, resident`, unit: 'MiB', better: 'lower' as const },
    { id: `${prefix}Anon`, title: `${title}, anonymous`, unit: 'MiB', better: 'lower' as const },
    { id: `${prefix}Pss`, title: `${title}, proportional`, unit: 'MiB', better: 'lower' as const },
  ]),
  rounds: ({ rounds }) => Math.min(rounds, 3),
  participants: withoutDirect,
  async measure({ field, sizes }, peer) {
    const { workspace, pinning } = field;
    const running = await peer.start(field, 'tls');
    try {
      const { address, pid } = running;
      if (pid === undefined) return {};
      await sleep(sizes.settleMs);
      const sample: Record<string, number> = { ...figures('idle', await memory(pid)) };
      const peak = await peakDuring(pid, async () => {
        const clients = await openConnections({ workspace, address, count: sizes.openConnections });
        try {
          await sleep(1_000);
          if (clients.openCount !== sizes.openConnections) {
            throw new Error(`${peer.name}: ${clients.openCount} of ${sizes.openConnections} are still open`);
          }
          Object.assign(sample, figures('open', await memory(pid)));
        } finally {
          await clients.close();
        }
        const load = { workspace, address, target: 'tls', direction: 'download', cpu: pinning.load } as const;
        await bulkTransfer({ ...load, totalMiB: sizes.memoryMiB });
        Object.assign(sample, figures('bulk', await memory(pid)));
        const { seconds } = sizes;
        const requests = { scheme: 'https', address, seconds, cpu: pinning.load } as const;
        await wrk({ ...requests, connections: 64 });
        await wrk({ ...requests, connections: 16, closes: true });
        Object.assign(sample, figures('load', await memory(pid)));
      });
      return { ...sample, ...figures('peak', peak) };
    } finally {
      await running.stop();
    }
  },
};

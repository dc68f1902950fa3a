// Several connections at once, as a node has them: downloads from a backend that sends files without reading them
// (sendfile), uploads, new connections, and what the process holds afterwards. A new process each round, so
// that its memory is that of this load.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { sinkPath } from '../backend.ts';
import { checkOutput } from '../check.ts';
import { openConnections } from '../load/open-connections.ts';
import { type WrkResult, wrk } from '../load/wrk.ts';
import type { Peer, RunningPeer } from '../peers/peer.ts';
import { memory } from '../usage.ts';
import { withCpu } from './cpu.ts';
import type { Sample, Stage, StageContext } from './stage.ts';

const transfersAtATime = 4;
const newConnectionsAtATime = 64;
/** Small enough that an upload which is cut short by the end of the run does not count. */
const uploadMiB = 8;
/** Memory that a process frees within this time is not counted. */
const afterLoadMs = 3_000;

type Load = { readonly result: WrkResult; readonly seconds: number | undefined };

function throughput(prefix: string, { result, seconds }: Load, bytes: number): Sample {
  return {
    [`${prefix}MBPerSecond`]: bytes / result.durationUs,
    ...(seconds === undefined ? {} : { [`${prefix}CpuPerGB`]: seconds / (bytes / 1e9) }),
  };
}

async function underLoad({ field, sizes }: StageContext, running: RunningPeer): Promise<Sample> {
  const { address } = running;
  const { seconds } = sizes;
  const base = { scheme: 'http', address, seconds, cpu: field.pinning.load } as const;
  const transfers = { ...base, connections: transfersAtATime };
  const down = await withCpu(running, () => wrk({ ...transfers, path: '/bulk' }));
  const up = await withCpu(running, () => wrk({ ...transfers, path: sinkPath, uploadMiB }));
  const opened = await withCpu(running, () =>
    wrk({ ...base, connections: newConnectionsAtATime, closes: true }),
  );
  const { requests, durationUs } = opened.result;
  return {
    ...throughput('down', down, down.result.bytes),
    ...throughput('up', up, up.result.requests * uploadMiB * 2 ** 20),
    connectionsPerSecond: requests / (durationUs / 1e6),
    ...(opened.seconds === undefined ? {} : { connectionCpuUs: (opened.seconds * 1e6) / requests }),
  };
}

export const parallel: Stage = {
  name: 'parallel',
  note:
    `${transfersAtATime} connections at once download 64 MiB files again and again, then upload; then ` +
    `${newConnectionsAtATime} clients open a connection, ask once and close. No TLS, so that the proxy sets the pace. ` +
    'Before that the open connections of the stage "memory" were there and have closed; memory is taken 3 s after ' +
    'the load. Pinned to one CPU, HAProxy has one thread. With --no-pin HAProxy and nginx use every CPU, and a relay on ' +
    'Node uses one.',
  metrics: [
    { id: 'downMBPerSecond', title: 'downloads', unit: 'MB/s', better: 'higher' },
    { id: 'downCpuPerGB', title: 'downloads, proxy CPU', unit: 's/GB', better: 'lower' },
    { id: 'upMBPerSecond', title: 'uploads', unit: 'MB/s', better: 'higher' },
    { id: 'upCpuPerGB', title: 'uploads, proxy CPU', unit: 's/GB', better: 'lower' },
    { id: 'connectionsPerSecond', title: 'new connections', unit: '/s', better: 'higher' },
    { id: 'connectionCpuUs', title: 'proxy CPU per new connection', unit: 'us', better: 'lower' },
    { id: 'beforeAnon', title: 'before the load, anonymous', unit: 'MiB', better: 'lower' },
    { id: 'afterAnon', title: 'after the load, anonymous', unit: 'MiB', better: 'lower' },
    { id: 'afterRss', title: 'after the load, resident', unit: 'MiB', better: 'lower' },
  ],
  rounds: ({ rounds }) => rounds,
  participants: (peers) => peers,
  async measure(context, peer: Peer): Promise<Sample> {
    const { field, sizes, helloFile } = context;
    const { workspace, backend } = field;
    const [direct] = backend.endpoints.plain;
    if (direct === undefined) throw new Error('the backend has no endpoint');
    const running = await peer.start(field, 'plain');
    try {
      const { address, pid } = running;
      const hello = await readFile(helloFile);
      await checkOutput(peer.name, { workspace, target: 'plain', address, direct, hello });
      const before = pid === undefined ? undefined : await memory(pid);
      const clients = await openConnections({
        workspace,
        address,
        target: 'plain',
        count: sizes.openConnections,
      });
      await clients.close();
      // A runtime that compiles what is hot must have done so: else a short load shows its compiler.
      const { warmupSeconds: seconds } = sizes;
      const warmUp = { scheme: 'http', address, seconds, cpu: field.pinning.load, closes: true } as const;
      if (seconds > 0) await wrk({ ...warmUp, connections: newConnectionsAtATime });
      const figures = await underLoad(context, running);
      if (pid === undefined || before === undefined) return figures;
      await sleep(afterLoadMs);
      const after = await memory(pid);
      return {
        ...figures,
        beforeAnon: before.anonymousMiB,
        afterAnon: after.anonymousMiB,
        afterRss: after.rssMiB,
      };
    } finally {
      await running.stop();
    }
  },
};

// Many bytes through one connection.
import type { TargetKind } from '../backend.ts';
import { bulkTransfer, type Transfer } from '../load/curl.ts';
import type { Peer } from '../peers/peer.ts';
import { withCpu } from './cpu.ts';
import type { Sample, Stage, StageContext } from './stage.ts';

const gigabyte = 1e9;

interface Load {
  readonly result: Transfer;
  readonly seconds: number | undefined;
}

async function transfer(
  context: StageContext,
  peer: Peer,
  what: { target: TargetKind; direction: 'download' | 'upload'; totalMiB: number },
): Promise<Load> {
  const running = await context.running(peer, what.target);
  const { workspace, pinning } = context.field;
  const load = { workspace, address: running.address, cpu: pinning.load, ...what };
  return withCpu(running, () => bulkTransfer(load));
}

function figures(prefix: string, { result, seconds }: Load): Sample {
  return {
    [`${prefix}MBPerSecond`]: result.bytes / 1e6 / result.seconds,
    ...(seconds === undefined ? {} : { [`${prefix}CpuPerGB`]: seconds / (result.bytes / gigabyte) }),
  };
}

export const bulk: Stage = {
  name: 'bulk',
  note:
    'One connection. "TLS download" is paced by encryption and decryption on the CPU of client and backend; ' +
    '"plain download" has none, and shows the proxy; uploads are paced by the client (64 KB reads of a file).',
  metrics: [
    { id: 'tlsDownMBPerSecond', title: 'TLS download', unit: 'MB/s', better: 'higher' },
    { id: 'tlsDownCpuPerGB', title: 'TLS download, proxy CPU', unit: 's/GB', better: 'lower' },
    { id: 'plainDownMBPerSecond', title: 'plain download', unit: 'MB/s', better: 'higher' },
    { id: 'plainDownCpuPerGB', title: 'plain download, proxy CPU', unit: 's/GB', better: 'lower' },
    { id: 'upMBPerSecond', title: 'plain upload', unit: 'MB/s', better: 'higher' },
    { id: 'upCpuPerGB', title: 'plain upload, proxy CPU', unit: 's/GB', better: 'lower' },
  ],
  rounds: ({ rounds }) => rounds,
  participants: (peers) => peers,
  async warmUp(context, peer) {
    await transfer(context, peer, { target: 'plain', direction: 'download', totalMiB: 64 });
  },
  async measure(context, peer) {
    const totalMiB = context.sizes.bulkMiB;
    const down = { direction: 'download', totalMiB } as const;
    const up = { direction: 'upload', totalMiB: totalMiB / 4 } as const;
    return {
      ...figures('tlsDown', await transfer(context, peer, { ...down, target: 'tls' })),
      ...figures('plainDown', await transfer(context, peer, { ...down, target: 'plain' })),
      ...figures('up', await transfer(context, peer, { ...up, target: 'plain' })),
    };
  },
};

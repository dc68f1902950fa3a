// New connections: whole TLS handshakes, where the cryptography of both ends sets the pace, and played-back
// ClientHellos, where the proxy does.
import { type WrkResult, wrk } from '../load/wrk.ts';
import type { Peer } from '../peers/peer.ts';
import { withCpu } from './cpu.ts';
import type { Sample, Stage, StageContext } from './stage.ts';

const atATime = 16;

interface Load {
  readonly result: WrkResult;
  readonly seconds: number | undefined;
}

async function handshakes(context: StageContext, peer: Peer, seconds: number): Promise<Load> {
  const running = await context.running(peer, 'tls');
  const { address } = running;
  const base = { address, connections: atATime, seconds, cpu: context.field.pinning.load };
  return withCpu(running, () => wrk({ ...base, scheme: 'https', closes: true }));
}

async function hellos(context: StageContext, peer: Peer, seconds: number): Promise<Load> {
  const running = await context.running(peer, 'plain');
  const { address } = running;
  const base = { address, connections: atATime, seconds, cpu: context.field.pinning.load };
  return withCpu(running, () => wrk({ ...base, scheme: 'http', helloFile: context.helloFile }));
}

function figures(prefix: string, { result, seconds }: Load): Sample {
  const perSecond = result.requests / (result.durationUs / 1e6);
  return {
    [`${prefix}PerSecond`]: perSecond,
    ...(seconds === undefined ? {} : { [`${prefix}CpuUs`]: (seconds * 1e6) / result.requests }),
  };
}

export const connections: Stage = {
  name: 'connections',
  note:
    '16 clients that each open a connection, get one answer and close. "TLS" is a full TLS 1.3 handshake and a ' +
    'request, paced by the cryptography of client and backend. "Hello" plays back a recorded ClientHello to a ' +
    'backend that answers without cryptography: the most that the proxy itself can carry.',
  metrics: [
    { id: 'tlsPerSecond', title: 'TLS connections', unit: '/s', better: 'higher' },
    { id: 'tlsCpuUs', title: 'proxy CPU per TLS connection', unit: 'us', better: 'lower' },
    { id: 'helloPerSecond', title: 'hello connections', unit: '/s', better: 'higher' },
    { id: 'helloCpuUs', title: 'proxy CPU per hello connection', unit: 'us', better: 'lower' },
  ],
  rounds: ({ rounds }) => rounds,
  participants: (peers) => peers,
  async warmUp(context, peer) {
    const { warmupSeconds } = context.sizes;
    if (warmupSeconds > 0) await hellos(context, peer, warmupSeconds);
  },
  async measure(context, peer) {
    const { seconds } = context.sizes;
    return {
      ...figures('tls', await handshakes(context, peer, seconds)),
      ...figures('hello', await hellos(context, peer, seconds)),
    };
  },
};

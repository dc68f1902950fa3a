// Requests over kept-alive TLS connections: one at a time, and 64 connections that never rest.
import { wrk } from '../load/wrk.ts';
import { withCpu } from './cpu.ts';
import type { Sample, Stage, StageContext } from './stage.ts';
import type { Peer } from '../peers/peer.ts';

const manyConnections = 64;

async function load(context: StageContext, peer: Peer, connections: number, seconds: number) {
  const running = await context.running(peer, 'tls');
  const { address } = running;
  const cpu = context.field.pinning.load;
  return withCpu(running, () => wrk({ scheme: 'https', address, connections, seconds, cpu }));
}

export const latency: Stage = {
  name: 'latency',
  note:
    'GET of 1 KB over kept-alive TLS 1.3. The single connection shows what a relay adds; 64 connections in a ' +
    'closed loop saturate load generator and backend, so that their times are mostly queueing.',
  metrics: [
    { id: 'singleP50Us', title: '1 connection, p50', unit: 'us', better: 'lower' },
    { id: 'singleP99Us', title: '1 connection, p99', unit: 'us', better: 'lower' },
    { id: 'singleCpuUs', title: '1 connection, proxy CPU per request', unit: 'us', better: 'lower' },
    { id: 'manyP50Us', title: '64 connections, p50', unit: 'us', better: 'lower' },
    { id: 'manyP99Us', title: '64 connections, p99', unit: 'us', better: 'lower' },
    { id: 'manyPerSecond', title: '64 connections, requests', unit: '/s', better: 'higher' },
    { id: 'manyCpuUs', title: '64 connections, proxy CPU per request', unit: 'us', better: 'lower' },
  ],
  rounds: ({ rounds }) => rounds,
  participants: (peers) => peers,
  async warmUp(context, peer) {
    const { warmupSeconds } = context.sizes;
    if (warmupSeconds > 0) await load(context, peer, manyConnections, warmupSeconds);
  },
  async measure(context, peer): Promise<Sample> {
    const single = await load(context, peer, 1, context.sizes.seconds);
    const many = await load(context, peer, manyConnections, context.sizes.seconds);
    const cpuUs = (seconds: number | undefined, requests: number): number | undefined =>
      seconds === undefined ? undefined : (seconds * 1e6) / requests;
    const singleCpuUs = cpuUs(single.seconds, single.result.requests);
    const manyCpuUs = cpuUs(many.seconds, many.result.requests);
    return {
      singleP50Us: single.result.p50Us,
      singleP99Us: single.result.p99Us,
      ...(singleCpuUs === undefined ? {} : { singleCpuUs }),
      manyP50Us: many.result.p50Us,
      manyP99Us: many.result.p99Us,
      manyPerSecond: many.result.requests / (many.result.durationUs / 1e6),
      ...(manyCpuUs === undefined ? {} : { manyCpuUs }),
    };
  },
};

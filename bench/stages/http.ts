// Requests through proxies that end TLS: Fairlead's http listener beside HAProxy in `mode http` and nginx's http
// proxy. Each measurement has a new process, so that its memory is that of this work.
import { checkOutput } from '../check.ts';
import { wrk } from '../load/wrk.ts';
import { httpProxies } from '../peers/http-proxies.ts';
import { memory } from '../usage.ts';
import { withCpu } from './cpu.ts';
import type { Stage } from './stage.ts';

const connections = 64;

export const http: Stage = {
  name: 'http',
  note:
    'GET of 1 KB by clients with kept-alive TLS connections, through proxies that end TLS and balance requests over ' +
    'kept, verified TLS connections. Memory is taken right after the load. The relay of the stage "latency" carries the same ' +
    'requests without looking at them.',
  metrics: [
    { id: 'singleP50Us', title: '1 connection, p50', unit: 'us', better: 'lower' },
    { id: 'singleP99Us', title: '1 connection, p99', unit: 'us', better: 'lower' },
    { id: 'manyPerSecond', title: '64 connections, requests', unit: '/s', better: 'higher' },
    { id: 'manyP50Us', title: '64 connections, p50', unit: 'us', better: 'lower' },
    { id: 'manyP99Us', title: '64 connections, p99', unit: 'us', better: 'lower' },
    { id: 'cpuUs', title: 'proxy CPU per request', unit: 'us', better: 'lower' },
    { id: 'rss', title: 'resident', unit: 'MiB', better: 'lower' },
    { id: 'anon', title: 'anonymous', unit: 'MiB', better: 'lower' },
  ],
  rounds: ({ rounds }) => rounds,
  participants: httpProxies,
  async measure({ field, sizes }, peer) {
    const running = await peer.start(field, 'tls');
    try {
      const { address, pid } = running;
      const { workspace, backend, pinning } = field;
      const [direct] = backend.endpoints.tls;
      if (direct === undefined || pid === undefined) throw new Error('no endpoint, or no process');
      const hello = Buffer.alloc(0);
      await checkOutput(`${peer.name}-http`, {
        workspace,
        target: 'tls',
        address,
        direct,
        hello,
        endsTls: true,
      });
      const load = (count: number, seconds: number) =>
        wrk({ scheme: 'https', address, connections: count, seconds, cpu: pinning.load });
      if (sizes.warmupSeconds > 0) await load(connections, sizes.warmupSeconds);
      const single = await load(1, sizes.seconds);
      const many = await withCpu(running, () => load(connections, sizes.seconds));
      const { rssMiB, anonymousMiB } = await memory(pid);
      return {
        singleP50Us: single.p50Us,
        singleP99Us: single.p99Us,
        manyPerSecond: many.result.requests / (many.result.durationUs / 1e6),
        manyP50Us: many.result.p50Us,
        manyP99Us: many.result.p99Us,
        ...(many.seconds === undefined ? {} : { cpuUs: (many.seconds * 1e6) / many.result.requests }),
        rss: rssMiB,
        anon: anonymousMiB,
      };
    } finally {
      await running.stop();
    }
  },
};

// What a fleet's checks cost an API server. Ten nodes cannot show it: a process that is woken five times a second spends
// most of its time on waking up. So the rates that were measured with ten are played to one API server as
// those of a fleet, from this process.
import { Agent, request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ProcessControlPlane,
  startProcessControlPlane,
} from '../../test/support/apiserver/control-plane-processes.ts';
import { realisticTimings } from '../../test/support/apiserver/timings.ts';
import { cpuSeconds } from '../usage.ts';
import type { PeerName } from './options.ts';

export const fleetNodes = 1_000;

/** More than that in a second would measure this machine: a part of the fleet is played then. */
const maxHandshakesPerSecond = 200;

/** Of a real API server: a busy moment is not yet a lost etcd. */
const { storeCheck } = realisticTimings;

/** Of one node at one API server, a minute. */
export interface Rates {
  readonly handshakes: number;
  readonly requests: number;
}

/** What a check looks like on the wire. */
const checks: Readonly<Record<PeerName, { readonly path: string; readonly hasCertificate: boolean }>> = {
  fairlead: { path: '/readyz', hasCertificate: true },
  'haproxy-tuned': { path: '/readyz', hasCertificate: true },
  haproxy: { path: '/healthz', hasCertificate: false },
  nginx: { path: '/healthz', hasCertificate: false },
};

class Replay {
  readonly #plane: ProcessControlPlane;
  readonly #peer: PeerName;
  /** As many connections as nodes that use this API server, taken in turn. */
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Math.ceil(fleetNodes / 3), scheduling: 'fifo' });
  readonly #pending = new Set<Promise<void>>();
  #problem: unknown;

  constructor(plane: ProcessControlPlane, peer: PeerName) {
    this.#plane = plane;
    this.#peer = peer;
  }

  async run({ handshakes, requests }: Rates, nodes: number, forMs: number): Promise<void> {
    const perSecond = (perMinute: number): number => (perMinute * nodes) / 60;
    const timers = [
      this.#every(perSecond(Math.max(0, requests - handshakes)), this.#agent),
      this.#every(perSecond(handshakes), false),
    ];
    await sleep(forMs);
    for (const timer of timers) clearInterval(timer);
    await Promise.all(this.#pending);
    if (this.#problem) throw new Error(`a replayed check failed: ${this.#problem}`);
  }

  stop(): void {
    this.#agent.destroy();
  }

  /** Asks at that rate, in portions of 20 ms. */
  #every(perSecond: number, agent: Agent | false): NodeJS.Timeout {
    const startedMs = performance.now();
    let asked = 0;
    return setInterval(() => {
      const due = ((performance.now() - startedMs) / 1_000) * perSecond;
      for (; asked < Math.floor(due); asked += 1) {
        const call = this.#ask(agent).catch((error: unknown) => {
          this.#problem = error;
        });
        this.#pending.add(call);
        void call.then(() => this.#pending.delete(call));
      }
    }, 20);
  }

  #ask(agent: Agent | false): Promise<void> {
    const { path, hasCertificate } = checks[this.#peer];
    const [server] = this.#plane.servers;
    const { ca, clients } = this.#plane.pki;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const call = request(
      {
        host: server?.host,
        port: server?.port,
        servername: 'localhost',
        ca: ca.cert,
        ...(hasCertificate && clients.fairlead),
        agent,
        path,
        headers: agent ? {} : { connection: 'close' },
      },
      (response) => {
        response.resume();
        response.on('error', reject);
        response.on('end', () =>
          response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`)),
        );
      },
    );
    call.on('error', reject);
    call.end();
    return promise;
  }
}

/** CPU seconds of one API server for the checks of one node in an hour, by peer. */
export async function replayFleet(
  rates: Readonly<Partial<Record<PeerName, Rates>>>,
  seconds: number,
): Promise<Readonly<Partial<Record<PeerName, number>>>> {
  const costs: Partial<Record<PeerName, number>> = {};
  const plane = await startProcessControlPlane({ servers: 1, timings: { storeCheck } });
  try {
    const pid = plane.servers[0]?.pid ?? 0;
    const spentIn = async (work: () => Promise<unknown>): Promise<number> => {
      const before = await cpuSeconds(pid);
      await work();
      return (await cpuSeconds(pid)) - before;
    };
    const base = await spentIn(() => sleep(seconds * 1_000));
    for (const [name, rate] of Object.entries(rates)) {
      const peer = name as PeerName;
      if (rate.requests === 0) {
        costs[peer] = 0;
        continue;
      }
      const replay = new Replay(plane, peer);
      const nodes = Math.min(fleetNodes, (maxHandshakesPerSecond * 60) / rate.handshakes);
      try {
        // The first moments are the just-in-time compiler's and the handshakes' of the kept connections.
        await replay.run(rate, nodes, 3_000);
        const spent = await spentIn(() => replay.run(rate, nodes, seconds * 1_000));
        costs[peer] = (Math.max(0, spent - base) / nodes) * (3_600 / seconds);
      } finally {
        replay.stop();
      }
    }
    return costs;
  } finally {
    await plane.stop();
  }
}

// What checks cost the API servers while nothing happens: control planes side by side, one for each peer with a small
// fleet of nodes in front, and one with none, whose CPU time is the base line for all.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientProcess } from '../../test/support/faults/clients/client-process.ts';
import { Lab } from '../../test/support/faults/lab.ts';
import type { RunningSubject } from '../../test/support/faults/subject.ts';
import { cpuSeconds } from '../usage.ts';
import type { Figures } from './metrics.ts';
import type { PeerName } from './options.ts';
import { makePeer } from './peers.ts';
import { replayFleet } from './replay.ts';

/** One node's checks would drown in the noise of an API server's own work. */
export const fleetSize = 10;
/** HAProxy's first checks are spread over 10 s; connections of the start are over by then too. */
const settleMs = 12_000;

interface Counts {
  readonly handshakes: number;
  readonly requests: number;
  readonly cpuSeconds: number;
}

/** Sums over the lab's API servers. */
async function count(lab: Lab): Promise<Counts> {
  let handshakes = 0;
  let requests = 0;
  let seconds = 0;
  for (const server of lab.servers) {
    const stats = await server.stats();
    handshakes += stats.tlsHandshakes;
    requests += stats.requests;
    seconds += await cpuSeconds(server.pid ?? 0);
  }
  return { handshakes, requests, cpuSeconds: seconds };
}

class Fleet {
  readonly lab: Lab;
  readonly #clients: ClientProcess;
  readonly #stops: (() => Promise<void>)[];

  private constructor(lab: Lab, clients: ClientProcess) {
    this.lab = lab;
    this.#clients = clients;
    this.#stops = [() => clients.kill(), () => lab.stop()];
  }

  static async start(peer: PeerName | undefined): Promise<Fleet> {
    const lab = await Lab.start();
    const fleet = new Fleet(lab, await lab.startClients());
    try {
      for (let node = 0; peer && node < fleetSize; node += 1) await fleet.#add(peer, node);
    } catch (error) {
      await fleet.stop();
      throw error;
    }
    return fleet;
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0)) await stop();
  }

  async #add(peer: PeerName, node: number): Promise<void> {
    const { remove, ...place } = await this.lab.place(this.#clients, { host: `127.0.0.${node + 1}` });
    this.#stops.unshift(remove);
    const running: RunningSubject = await makePeer(peer, `node-${node + 1}`).start(place);
    this.#stops.unshift(() => running.stop());
  }
}

/** Figures of each peer, for one node and one API server of three. */
export async function measureAtRest(
  peers: readonly PeerName[],
  seconds: number,
): Promise<Readonly<Record<string, Figures>>> {
  const fleets = new Map<PeerName | undefined, Fleet>();
  try {
    for (const peer of [undefined, ...peers]) fleets.set(peer, await Fleet.start(peer));
    await sleep(settleMs);
    const before = new Map<PeerName | undefined, Counts>();
    for (const [peer, { lab }] of fleets) before.set(peer, await count(lab));
    const startedMs = performance.now();
    await sleep(seconds * 1_000);
    const spent = new Map<PeerName | undefined, Counts>();
    for (const [peer, { lab }] of fleets) {
      const from = before.get(peer) ?? { handshakes: 0, requests: 0, cpuSeconds: 0 };
      const to = await count(lab);
      spent.set(peer, {
        handshakes: to.handshakes - from.handshakes,
        requests: to.requests - from.requests,
        cpuSeconds: to.cpuSeconds - from.cpuSeconds,
      });
    }
    const minutes = (performance.now() - startedMs) / 60_000;
    const base = spent.get(undefined)?.cpuSeconds ?? 0;
    const measured = new Map<PeerName, Figures>(
      peers.map((peer) => {
        const counts = spent.get(peer);
        if (!counts) throw new Error(`no counts of ${peer}`);
        const nodes = fleetSize * (fleets.get(peer)?.lab.servers.length ?? 0) * minutes;
        const figure = (value: number) => ({ value: Number((value / nodes).toFixed(3)) });
        const cpu = Math.max(0, counts.cpuSeconds - base) * 60;
        return [
          peer,
          { handshakes: figure(counts.handshakes), requests: figure(counts.requests), cpu: figure(cpu) },
        ];
      }),
    );
    await stopAll(fleets);
    return await withFleetCosts(measured, seconds);
  } finally {
    await stopAll(fleets);
  }
}

async function stopAll(fleets: Map<PeerName | undefined, Fleet>): Promise<void> {
  for (const fleet of fleets.values()) await fleet.stop();
  fleets.clear();
}

async function withFleetCosts(
  measured: ReadonlyMap<PeerName, Figures>,
  seconds: number,
): Promise<Readonly<Record<string, Figures>>> {
  const rates = Object.fromEntries(
    [...measured].map(([peer, { handshakes, requests }]) => [
      peer,
      { handshakes: handshakes?.value ?? 0, requests: requests?.value ?? 0 },
    ]),
  );
  const costs = await replayFleet(rates, Math.min(seconds, 15));
  return Object.fromEntries(
    [...measured].map(([peer, figures]) => [
      peer,
      { ...figures, cpuFleet: { value: Number((costs[peer] ?? 0).toFixed(3)) } },
    ]),
  );
}

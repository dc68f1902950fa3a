// Random faults for a while, with a couple of hundred connections, and a look at the agent before and after. The seed
// decides which faults come in which order; when exactly they strike is the machine's.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiServerProcess } from '../apiserver/api-server-process.ts';
import { goodBehaviour, type Misbehaviour } from '../apiserver/misbehaviour.ts';
import { eventually } from '../jest/eventually.ts';
import { monotonicMs } from './clients/monotonic.ts';
import { isGood } from './clients/target.ts';
import { Fairlead, type RunningFairlead } from './fairlead.ts';
import type { Inspection } from './inspector.ts';
import type { Lab } from './lab.ts';
import { type Footprint, type Observation, runTrial, type Trial, type TrialOptions } from './trial.ts';

export interface SoakOptions {
  readonly forMs: number;
  readonly seed: number;
  readonly say?: (line: string) => void;
}

export type Look = Inspection & Footprint & { readonly tunnels: number };

/** A fault as it struck. */
export interface Struck {
  readonly name: string;
  /** The API server that suffered; undefined when all did. */
  readonly server: string | undefined;
  /** Connection failures of clients are no wonder while it lasts, whoever balances them: see `unexcused`. */
  readonly isVisible: boolean;
  readonly fromMs: number;
  toMs: number;
}

export interface SoakResult {
  readonly seen: Observation;
  readonly faults: readonly Struck[];
  /** With the usual connections and every API server well, before the first fault and after the last. */
  readonly before: Look;
  readonly after: Look;
}

/** 200 connections that stay, and new ones on top. */
export const soakLoad = { http1: 60, http2: 60, askEveryMs: 1_000, watches: 80, newEveryMs: 200 };

type SoakTrial = Trial<RunningFairlead>;

interface Fault {
  readonly name: string;
  /** A client that reaches the API server meanwhile gets a bad answer from it, which nobody can take back. */
  readonly isVisible?: true;
  /** Resolves when it is over. */
  run(trial: SoakTrial, server: ApiServerProcess, forMs: number): Promise<void>;
}

const visible = new Set([
  'expired certificate',
  'unknown CA',
  'not TLS',
  'everything is 401',
  'everything is 503',
  'answers cut short',
]);

const misbehaving = (name: string, change: Partial<Misbehaviour>): Fault => ({
  name,
  ...(visible.has(name) && { isVisible: true }),
  async run(_trial, server, forMs) {
    await server.misbehave(change);
    await sleep(forMs);
    await server.misbehave(goodBehaviour);
  },
});

/** Something that is done and undone. */
const between = (
  name: string,
  begin: (trial: SoakTrial, server: ApiServerProcess) => Promise<void>,
  end: (trial: SoakTrial, server: ApiServerProcess) => Promise<void>,
): Fault => ({
  name,
  async run(trial, server, forMs) {
    await begin(trial, server);
    await sleep(forMs);
    await end(trial, server);
  },
});

/** Of one API server; several may suffer at once. */
const serverFaults: readonly Fault[] = [
  between(
    'kill',
    ({ lab }, server) => lab.kill(server),
    ({ lab }, server) => lab.startServer(server),
  ),
  between(
    'terminate',
    ({ lab }, server) => lab.terminate(server, { delayMs: 1_000 }),
    ({ lab }, server) => lab.startServer(server),
  ),
  between(
    'freeze',
    (_trial, server) => server.freeze(),
    (_trial, server) => server.thaw(),
  ),
  between(
    'black hole',
    ({ lab }, server) => lab.wire.unplug(lab.hostOf(server)),
    ({ lab }, server) => lab.wire.plug(lab.hostOf(server)),
  ),
  between(
    'link down',
    ({ lab }, server) => lab.wire.linkDown(lab.hostOf(server)),
    ({ lab }, server) => lab.wire.linkUp(lab.hostOf(server)),
  ),
  between(
    'replies lost',
    ({ lab }, server) => lab.dropReplies(server),
    ({ lab }, server) => lab.sendRepliesAgain(server),
  ),
  misbehaving('etcd failed', { failReadyz: ['etcd'] }),
  misbehaving('late', { delayMs: 1_500 }),
  misbehaving('refuse', { refuse: true }),
  misbehaving('reset on connect', { onConnect: 'reset' }),
  misbehaving('close on connect', { onConnect: 'close' }),
  misbehaving('expired certificate', { tls: 'expired' }),
  misbehaving('unknown CA', { tls: 'unknown-ca' }),
  misbehaving('not TLS', { tls: 'garbage' }),
  misbehaving('silent after ClientHello', { tls: 'silent' }),
  misbehaving('health that never ends', { health: 'endless' }),
  misbehaving('oversized health', { health: 'oversized' }),
  misbehaving('health that is no HTTP', { health: 'not-http' }),
  misbehaving('everything is 401', { unauthorized: 'all' }),
  misbehaving('everything is 503', { answerStatus: 503 }),
  misbehaving('answers cut short', { dropAfterBytes: 1 }),
  misbehaving('slices that are no JSON', { slices: 'not-json' }),
  misbehaving('empty slices', { slices: 'empty-list' }),
  misbehaving('slices of wrong types', { slices: 'wrong-types' }),
  misbehaving('slices with bad addresses', { slices: 'bad-addresses' }),
  { name: 'reset connections', isVisible: true, run: (_trial, server) => server.act('reset-connections') },
  { name: 'end watches', run: (_trial, server) => server.act('end-watches') },
];

/** Of everything at once. */
const commonFaults: readonly Fault[] = [
  between(
    'etcd away',
    async ({ lab }) => lab.plane.storeProcess.signal('SIGSTOP'),
    async ({ lab }) => lab.plane.storeProcess.signal('SIGCONT'),
  ),
  between(
    'own network down',
    ({ lab }) => lab.wire.unplug(lab.node),
    ({ lab }) => lab.wire.plug(lab.node),
  ),
  between(
    'agent stopped',
    async ({ subject }) => subject.signal('SIGSTOP'),
    async ({ subject }) => subject.signal('SIGCONT'),
  ),
  {
    name: 'a crowd that vanishes',
    async run({ lab }) {
      const crowd = await lab.startClients();
      await crowd.do({ op: 'target', target: lab.target() });
      const handle = await crowd.do({ op: 'start-crowd' });
      void crowd.do({ op: 'grow-crowd', handle, count: 100 }).catch(() => {});
      await sleep(1_500);
      await crowd.kill();
    },
  },
];

/** Numbers in [0, 1) that a seed decides (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export async function runSoak(lab: Lab, { forMs, seed, say = () => {} }: SoakOptions): Promise<SoakResult> {
  const random = seededRandom(seed);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  const faults: Struck[] = [];
  const looks: Look[] = [];

  const script = async (trial: SoakTrial): Promise<void> => {
    const { subject, footprint } = trial;
    const look = async (): Promise<void> => {
      await settled(trial);
      const { tunnels } = await subject.status();
      looks.push({ ...footprint(), tunnels: tunnels.active, ...(await subject.inspect()) });
    };
    // The first minute of a process warms caches up: a first fault of each kind would look like a leak.
    await look();
    const untilMs = monotonicMs() + forMs;
    trial.mark('fault');
    while (monotonicMs() < untilMs) {
      const victims = await chooseVictims(trial, random);
      const jobs: readonly (readonly [Fault, ApiServerProcess])[] =
        random() < 0.2
          ? [[pick(commonFaults), victims[0] as ApiServerProcess]]
          : victims.map((server) => [pick(serverFaults), server] as const);
      await Promise.all(
        jobs.map(async ([fault, server]) => {
          const lastsMs = Math.round(500 + random() * 3_500);
          say(`${fault.name} (${server.name}, ${lastsMs} ms)`);
          const struck: Struck = {
            name: fault.name,
            server: commonFaults.includes(fault) ? undefined : server.name,
            isVisible: fault.isVisible ?? false,
            fromMs: monotonicMs(),
            toMs: Number.POSITIVE_INFINITY,
          };
          faults.push(struck);
          await fault.run(trial, server, lastsMs);
          struck.toMs = monotonicMs();
        }),
      );
      await sleep(300 + random() * 1_700);
      if (!subject.isRunning) throw new Error(`the agent has ended after ${faults.at(-1)?.name}`);
    }
    trial.mark('healed');
    await lab.heal();
    await look();
  };

  const options: TrialOptions = { load: soakLoad };
  const subject = new Fairlead({ isInspectable: true, logLevel: 'info' });
  const seen = await runTrial(lab, subject, script, options);
  const [before, after] = looks;
  if (!before || !after) throw new Error('the soak did not come to its end');
  return { seen, faults, before, after };
}

/** One or two API servers; every other time the one that carries the clients is among them. */
async function chooseVictims({ lab, subject }: SoakTrial, random: () => number): Promise<ApiServerProcess[]> {
  const left = [...lab.servers];
  const victims: ApiServerProcess[] = [];
  const take = (index: number): void => void victims.push(...left.splice(index, 1));
  const count = random() < 0.3 ? 2 : 1;
  if (random() < 0.5) {
    const { endpoints } = await subject.status();
    const [busiest] = endpoints.toSorted((a, b) => b.tunnels - a.tunnels);
    take(left.findIndex(({ address }) => address === busiest?.id));
  }
  while (victims.length < count) take(Math.floor(random() * left.length));
  return victims;
}

/** Every endpoint is ready, every watch open, and the connections that stay are as many as there should be. */
async function settled({ subject, openWatches, latestNew }: SoakTrial): Promise<void> {
  const { http1, http2, watches } = soakLoad;
  const wanted = http1 + http2 + watches;
  await eventually(
    'all is well',
    async () => {
      const { endpoints, tunnels } = await subject.status();
      const recent = await latestNew(5);
      return (
        endpoints.length === 3 &&
        endpoints.every(({ verdict }) => verdict === 'ready') &&
        tunnels.active >= wanted &&
        tunnels.active < wanted + 8 &&
        (await openWatches()) === watches &&
        recent.length > 0 &&
        recent.every(isGood)
      );
    },
    90_000,
  );
}

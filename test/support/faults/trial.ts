// One trial: a fresh load balancer in front of the lab's control plane, the usual clients, a script of faults,
// and what the clients saw. Nothing here judges; tests and the bench read the observation.
import type { ApiServerProcess } from '../apiserver/api-server-process.ts';
import { eventually } from '../jest/eventually.ts';
import type { ClientProcess } from './clients/client-process.ts';
import type { EstablishedOptions, EstablishedReport } from './clients/established.ts';
import { monotonicMs } from './clients/monotonic.ts';
import { type Call, isGood } from './clients/target.ts';
import type { WatchesReport } from './clients/watches.ts';
import type { Lab } from './lab.ts';
import { anonymousMb, descriptors } from './processes.ts';
import { StallWatch } from './stalls.ts';
import type { RunningSubject, Subject, SubjectPlace } from './subject.ts';

export interface Load {
  /** A new connection this often; 0: none. */
  readonly newEveryMs: number;
  readonly newTimeoutMs: number;
  readonly path: string;
  /** How many kept connections of each protocol. */
  readonly http1: number;
  readonly http2: number;
  readonly askEveryMs: number;
  readonly watches: number;
}

export const usualLoad: Load = {
  newEveryMs: 50,
  newTimeoutMs: 10_000,
  path: '/version',
  http1: 1,
  http2: 1,
  askEveryMs: 200,
  watches: 2,
};

export interface Footprint {
  readonly descriptors: number;
  readonly anonymousMb: number;
}

export interface Observation {
  /** Moments that the script marked, by name; all times are `monotonicMs()`. */
  readonly marks: Readonly<Record<string, number>>;
  readonly victim: string;
  readonly newConnections: readonly Call[];
  readonly established: readonly EstablishedReport[];
  readonly watches: WatchesReport;
  readonly log: readonly string[];
  readonly stalls: Pick<StallWatch, 'between' | 'worstBetween'>;
}

/** What a script works with. */
export interface Trial<S extends RunningSubject = RunningSubject> {
  readonly lab: Lab;
  /** The one that runs now. */
  readonly subject: S;
  /** Kills the subject and starts it again with nothing but what its directory holds, as after a reboot. */
  restart(): Promise<void>;
  readonly clients: ClientProcess;
  /** The API server that the first established client talks to, or the busiest one (`losesBusiest`). */
  readonly victim: ApiServerProcess;
  readonly others: readonly ApiServerProcess[];
  /** Notes the moment down. */
  mark(name: string): void;
  /** What the subject's process holds now. */
  footprint(): Footprint;
  /** The latest outcomes of the new-connection client. */
  latestNew(last: number): Promise<Call[]>;
  /** Counts these among the new connections. */
  add(calls: readonly Call[]): void;
  /** Watches that are open now. */
  openWatches(): Promise<number>;
}

export type Script<S extends RunningSubject = RunningSubject> = (trial: Trial<S>) => Promise<void>;

export interface StartableSubject<S extends RunningSubject> extends Subject {
  start(place: Parameters<Subject['start']>[0]): Promise<S>;
}

export interface TrialOptions {
  readonly load?: Partial<Load>;
  /** New connections come before the subject listens, and nobody waits until it knows every endpoint. */
  readonly startsEarly?: boolean;
  /**
   * The victim is, among the API servers that established clients talk to, the one that most new connections go to: a
   * balancer that happens to avoid the first client's would not notice its loss.
   */
  readonly losesBusiest?: boolean;
  /** What it returns is changed in the place. */
  readonly beforeStart?: (before: SubjectPlace & { readonly lab: Lab }) => Promise<Partial<SubjectPlace>>;
}

export async function runTrial<S extends RunningSubject>(
  lab: Lab,
  subject: StartableSubject<S>,
  script: Script<S>,
  { load = {}, startsEarly = false, losesBusiest = false, beforeStart }: TrialOptions = {},
): Promise<Observation> {
  const wanted = { ...usualLoad, ...load };
  const marks: Record<string, number> = {};
  const added: Call[] = [];
  const clients = await lab.startClients();
  const { remove, ...usual } = await lab.place(clients);
  let running: S | undefined;
  let stalls: StallWatch | undefined;
  try {
    const place = { ...usual, ...(await beforeStart?.({ ...usual, lab })) };
    await clients.do({ op: 'target', target: lab.target() });
    const early = startsEarly ? await startNew(clients, wanted) : undefined;
    let started = await subject.start(place);
    running = started;
    const log: string[] = [];
    const watch = new StallWatch(() => [started.pid, clients.pid, ...lab.pids()]);
    stalls = watch;
    if (!startsEarly) await started.settled();
    const loads = await startLoad(clients, wanted, early);
    const names = await serversOf(clients, loads, wanted);
    const busiest = losesBusiest ? await busiestServer(clients, loads, names) : undefined;
    const victim = lab.server(busiest ?? names[0] ?? lab.servers[0]?.name ?? '');
    marks.start = monotonicMs();
    await script({
      lab,
      get subject() {
        return started;
      },
      async restart() {
        await started.stop();
        log.push(...started.log);
        started = await subject.start(place);
        running = started;
      },
      clients,
      victim,
      others: lab.servers.filter((server) => server !== victim),
      mark(name) {
        marks[name] = monotonicMs();
      },
      footprint: () => ({ descriptors: descriptors(started.pid), anonymousMb: anonymousMb(started.pid) }),
      add: (calls) => added.push(...calls),
      latestNew: (last) => clients.do({ op: 'peek-new', handle: loads.newConnections ?? 0, last }),
      openWatches: () => clients.do({ op: 'open-watches', handle: loads.watches }),
    });
    marks.stop = monotonicMs();
    const observed = await stopLoad(clients, loads);
    const newConnections = [...observed.newConnections, ...added];
    log.push(...started.log);
    return { marks, victim: victim.name, ...observed, newConnections, log, stalls: watch };
  } finally {
    stalls?.stop();
    await running?.stop();
    await clients.kill();
    await remove();
    await lab.heal();
  }
}

interface Loads {
  readonly newConnections: number | undefined;
  readonly established: readonly number[];
  readonly watches: number;
}

async function startNew(
  clients: ClientProcess,
  { path, newEveryMs: everyMs, newTimeoutMs: timeoutMs }: Load,
): Promise<number | undefined> {
  if (everyMs === 0) return undefined;
  return clients.do({ op: 'start-new', options: { everyMs, path, timeoutMs } });
}

async function startLoad(clients: ClientProcess, load: Load, early: number | undefined): Promise<Loads> {
  const { path, askEveryMs } = load;
  const protocols = [
    ...Array<EstablishedOptions['protocol']>(load.http1).fill('http1'),
    ...Array<EstablishedOptions['protocol']>(load.http2).fill('http2'),
  ];
  const established: number[] = [];
  for (const protocol of protocols) {
    const options = { protocol, everyMs: askEveryMs, path };
    established.push(await clients.do({ op: 'start-established', options }));
  }
  const watches = await clients.do({ op: 'start-watches', count: load.watches });
  const newConnections = early ?? (await startNew(clients, load));
  return { newConnections, established, watches };
}

/** Waits until every client is served; the API servers of the established ones. */
async function serversOf(
  clients: ClientProcess,
  { established, watches }: Loads,
  load: Load,
): Promise<string[]> {
  const names: string[] = [];
  for (const handle of established) {
    const call = await eventually('an established client is served', async () => {
      const calls = await clients.do({ op: 'peek-established', handle, last: 1 });
      return calls.find(isGood);
    });
    if (call.server !== undefined) names.push(call.server);
  }
  if (load.watches > 0) {
    await eventually('watches are open', async () => {
      return (await clients.do({ op: 'open-watches', handle: watches })) > 0;
    });
  }
  return names;
}

const choosingCalls = 20;

/** The one of these that most new connections go to. */
async function busiestServer(
  clients: ClientProcess,
  { newConnections: handle }: Loads,
  names: readonly string[],
): Promise<string | undefined> {
  if (handle === undefined || names.length === 0) return undefined;
  const calls = await eventually('new connections are served', async () => {
    const latest = await clients.do({ op: 'peek-new', handle, last: choosingCalls });
    const served = latest.filter(isGood);
    return served.length >= choosingCalls / 2 ? served : undefined;
  });
  const count = (name: string): number => calls.filter(({ server }) => server === name).length;
  return names.toSorted((a, b) => count(b) - count(a))[0];
}

async function stopLoad(
  clients: ClientProcess,
  { newConnections, established, watches }: Loads,
): Promise<Pick<Observation, 'newConnections' | 'established' | 'watches'>> {
  const reports: EstablishedReport[] = [];
  const watching = await clients.do({ op: 'stop-watches', handle: watches });
  for (const handle of established) reports.push(await clients.do({ op: 'stop-established', handle }));
  const calls =
    newConnections === undefined ? [] : await clients.do({ op: 'stop-new', handle: newConnections });
  return { newConnections: calls, established: reports, watches: watching };
}

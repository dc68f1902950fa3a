// A run of the fault bench from start to end: scenarios, rounds, peers. What is finished is reported at once, so
// that a stopped run keeps it.
import { checkBundle } from '../../test/support/faults/fairlead.ts';
import { Lab } from '../../test/support/faults/lab.ts';
import { takePriority } from '../../test/support/faults/priority.ts';
import { runTrial } from '../../test/support/faults/trial.ts';
import { hostFacts } from '../host.ts';
import type { Tool } from '../tools.ts';
import { measureAtRest } from './at-rest.ts';
import { type Figures, figuresOf, type MetricId } from './metrics.ts';
import type { FaultBenchOptions, PeerName, ScenarioName } from './options.ts';
import { makePeer } from './peers.ts';
import { type FaultBenchResult, lostCells, makeRows, type ScenarioResult } from './results.ts';
import { labTimings, trialScenarios } from './scenarios.ts';

/**
 * A question on a new connection without an answer for 5 s has failed. Nine connections stay: three for each API server
 * where connections are spread evenly, so that the lost one is not the one that new connections avoid anyway.
 */
const usualLoad = { newTimeoutMs: 5_000, http1: 3, http2: 3, watches: 3 };
/** The machine gave the lab's processes no CPU for this long within half a second: the trial says nothing. */
const standstillMs = 1_000;
const maxTries = 3;
const restMetrics: readonly MetricId[] = ['handshakes', 'requests', 'cpu', 'cpuFleet'];

export function neededTools({ peers }: Pick<FaultBenchOptions, 'peers'>): readonly Tool[] {
  const tools: Tool[] = ['ip', 'tc'];
  if (peers.includes('nginx')) tools.push('nginx');
  if (peers.includes('haproxy') || peers.includes('haproxy-tuned')) tools.push('haproxy');
  return tools;
}

interface Measured {
  readonly figures: Figures;
  readonly standstillMs: number;
}

async function measure(
  lab: Lab,
  name: Exclude<ScenarioName, 'at-rest'>,
  peer: PeerName,
  say: (line: string) => void,
): Promise<Measured> {
  const scenario = trialScenarios[name];
  const load = { ...usualLoad, ...scenario.load };
  for (let attempt = 1; ; attempt += 1) {
    const seen = await runTrial(lab, makePeer(peer), scenario.script, {
      losesBusiest: true,
      ...scenario,
      load,
    }).catch((error: unknown) => {
      throw new Error(`${name}: ${peer}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    });
    const worstMs = seen.stalls.worstBetween(seen.marks.start ?? 0, seen.marks.stop ?? 0);
    const isDisturbed = worstMs >= standstillMs && !scenario.isHeavy;
    if (!isDisturbed || attempt === maxTries) {
      return { figures: figuresOf(seen, scenario, load.newTimeoutMs), standstillMs: worstMs };
    }
    say(`  once more: the machine stood still for ${worstMs} ms`);
  }
}

/** `items` turned by `by` places, so that no peer always comes first. */
function rotated<T>(items: readonly T[], by: number): readonly T[] {
  const start = items.length ? by % items.length : 0;
  return [...items.slice(start), ...items.slice(0, start)];
}

async function runScenario(
  lab: Lab | undefined,
  name: ScenarioName,
  { peers, rounds, restSeconds }: FaultBenchOptions,
  say: (line: string) => void,
): Promise<ScenarioResult> {
  const figures: Partial<Record<PeerName, Figures[]>> = Object.fromEntries(peers.map((peer) => [peer, []]));
  const standstillsMs: Partial<Record<PeerName, number[]>> = {};
  for (let round = 0; round < rounds; round += 1) {
    if (name === 'at-rest') {
      say(`${name} ${round + 1}/${rounds}: ${peers.join(', ')}`);
      const measured = await measureAtRest(peers, restSeconds);
      for (const peer of peers) figures[peer]?.push(measured[peer] ?? {});
      continue;
    }
    if (!lab) throw new Error(`${name} needs the lab`);
    for (const peer of rotated(peers, round)) {
      say(`${name} ${round + 1}/${rounds}: ${peer}`);
      const measured = await measure(lab, name, peer, say);
      figures[peer]?.push(measured.figures);
      standstillsMs[peer] = [...(standstillsMs[peer] ?? []), measured.standstillMs];
    }
  }
  const { title, metrics } =
    name === 'at-rest' ? { title: 'nothing happens', metrics: restMetrics } : trialScenarios[name];
  return { scenario: name, title, rows: makeRows(metrics, figures), standstillsMs };
}

/** Runs the chosen scenarios; `keep` gets the result so far after each. The needed tools must be there. */
export async function runFaultBench(
  options: FaultBenchOptions,
  {
    command,
    say,
    keep,
  }: {
    readonly command: string;
    readonly say: (line: string) => void;
    readonly keep: (result: FaultBenchResult) => Promise<void>;
  },
): Promise<FaultBenchResult> {
  if (options.peers.includes('fairlead')) checkBundle();
  const startedMs = performance.now();
  const host = await hostFacts(neededTools(options));
  const scenarios: ScenarioResult[] = [];
  const soFar = (isPartial: boolean): FaultBenchResult => ({
    schema: 1,
    host,
    command,
    isQuick: options.isQuick,
    isPartial,
    rounds: options.rounds,
    restSeconds: options.restSeconds,
    peers: options.peers,
    minutes: (performance.now() - startedMs) / 60_000,
    scenarios,
    lost: lostCells(scenarios),
  });
  const giveBack = takePriority();
  const needsLab = options.only.some((name) => name !== 'at-rest');
  let lab = needsLab ? await Lab.start({ timings: labTimings }) : undefined;
  try {
    for (const name of options.only) {
      if (name === 'at-rest') {
        // Its processes have their own rest to disturb.
        await lab?.stop();
        lab = undefined;
      }
      scenarios.push(await runScenario(lab, name, options, say));
      await keep(soFar(true));
    }
  } finally {
    await lab?.stop();
    giveBack();
  }
  const result = soFar(false);
  await keep(result);
  return result;
}

// A bench run from start to end: field, peers, stages, rounds. Everything that it starts it also stops.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Backend, startBackend, type TargetKind } from './backend.ts';
import { checkOutput } from './check.ts';
import { hostFacts } from './host.ts';
import { recordClientHello } from './load/client-hello.ts';
import type { BenchOptions, PeerName } from './options.ts';
import { direct } from './peers/direct.ts';
import { fairlead } from './peers/fairlead.ts';
import { haproxy } from './peers/haproxy.ts';
import { nginx } from './peers/nginx.ts';
import type { Field, Peer, RunningPeer } from './peers/peer.ts';
import { datapath, pipe } from './peers/yardsticks.ts';
import { allowedCpus, choosePinning } from './processes.ts';
import { type BenchResult, judgePromises, type StageResult, stageResult } from './results.ts';
import { bulk } from './stages/bulk.ts';
import { connections } from './stages/connections.ts';
import { http } from './stages/http.ts';
import { latency } from './stages/latency.ts';
import { memoryUse } from './stages/memory.ts';
import { parallel } from './stages/parallel.ts';
import { parts } from './stages/parts.ts';
import type { Stage, StageContext } from './stages/stage.ts';
import { startup } from './stages/startup.ts';
import type { Tool } from './tools.ts';
import { makeWorkspace } from './workspace.ts';

const allPeers: Readonly<Record<PeerName, Peer>> = { fairlead, haproxy, nginx, direct, pipe, datapath };
const allStages: readonly Stage[] = [startup, memoryUse, latency, connections, bulk, parallel, http, parts];

/** What the chosen peers and the load need; nginx is always there as the backend. */
export function neededTools({ peers, pin }: Pick<BenchOptions, 'peers' | 'pin'>): readonly Tool[] {
  const tools: Tool[] = ['nginx', 'wrk', 'curl'];
  if (peers.includes('haproxy')) tools.push('haproxy');
  if (pin) tools.push('taskset');
  return tools;
}

/** Another order in each round, so that what disturbs the machine does not always meet the same peer. */
function shuffled<T>(items: readonly T[]): readonly T[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

async function runStage(
  stage: Stage,
  context: StageContext,
  peers: readonly Peer[],
  say: (line: string) => void,
): Promise<StageResult | undefined> {
  const participants = stage.participants(peers);
  if (!participants.length) return undefined;
  const samples: Record<string, Record<string, number[]>> = {};
  for (const peer of participants) await stage.warmUp?.(context, peer);
  const rounds = stage.rounds(context.sizes);
  for (let round = 0; round < rounds; round++) {
    for (const peer of shuffled(participants)) {
      say(`${stage.name} ${round + 1}/${rounds}: ${peer.name}`);
      const sample = await stage.measure(context, peer);
      for (const [id, value] of Object.entries(sample)) {
        const byPeer = samples[id] ?? {};
        byPeer[peer.name] = [...(byPeer[peer.name] ?? []), value];
        samples[id] = byPeer;
      }
    }
  }
  const names = participants.map(({ name }) => name);
  return stageResult(stage, names, samples);
}

/** Long-lived instances of the peers, by name and target, each checked before it is measured. */
class RunningPeers {
  readonly #byKey = new Map<string, RunningPeer>();
  readonly #field: Field;
  readonly #hello: Buffer;

  constructor(field: Field, hello: Buffer) {
    this.#field = field;
    this.#hello = hello;
  }

  async get(peer: Peer, target: TargetKind): Promise<RunningPeer> {
    const key = `${peer.name} ${target}`;
    const known = this.#byKey.get(key);
    if (known) return known;
    const running = await peer.start(this.#field, target);
    this.#byKey.set(key, running);
    const { workspace, backend } = this.#field;
    const [server] = backend.endpoints[target];
    if (server === undefined) throw new Error('the backend has no endpoint');
    const { address } = running;
    await checkOutput(peer.name, { workspace, target, address, direct: server, hello: this.#hello });
    return running;
  }

  async stop(): Promise<void> {
    const all = [...this.#byKey.values()];
    this.#byKey.clear();
    const outcomes = await Promise.allSettled(all.map((running) => running.stop()));
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }
}

/** Runs the chosen stages; `say` gets progress lines. The needed tools must be there. */
export async function runBench(
  options: BenchOptions,
  { command, say }: { command: string; say: (line: string) => void },
): Promise<BenchResult> {
  const host = await hostFacts(neededTools(options));
  const none = { proxy: undefined, backend: undefined, load: undefined };
  const pinning = options.pin ? choosePinning(allowedCpus()) : none;
  const workspace = await makeWorkspace();
  let backend: Backend | undefined;
  let running: RunningPeers | undefined;
  try {
    backend = await startBackend(workspace, pinning);
    const { fairlead: agent, nodeFlags, sizes } = options;
    const field: Field = { workspace, backend, pinning, fairlead: agent, nodeFlags };
    const hello = await recordClientHello();
    const helloFile = join(workspace.dir, 'client-hello');
    await writeFile(helloFile, hello);
    const instances = new RunningPeers(field, hello);
    running = instances;
    const context: StageContext = {
      field,
      sizes,
      helloFile,
      running: (peer, target) => instances.get(peer, target),
    };
    const peers = options.peers.map((name) => allPeers[name]);
    const stages: StageResult[] = [];
    for (const stage of allStages.filter(({ name }) => options.only.includes(name))) {
      const result = await runStage(stage, context, peers, say);
      if (result) stages.push(result);
    }
    const agentCommand = [...agent, ...(nodeFlags.length ? ['with', ...nodeFlags] : [])].join(' ');
    return {
      schema: 1,
      host,
      command,
      isQuick: options.isQuick,
      sizes,
      pinning,
      fairlead: agentCommand.replace(process.execPath, 'node'),
      stages,
      promises: judgePromises(stages),
    };
  } finally {
    await running?.stop();
    await backend?.stop();
    await workspace.remove();
  }
}

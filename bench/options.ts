// What a bench run can be told on its command line.
import { parseArgs } from 'node:util';

export const stageNames = [
  'startup',
  'memory',
  'latency',
  'connections',
  'bulk',
  'parallel',
  'http',
  'parts',
] as const;
export type StageName = (typeof stageNames)[number];

export const peerNames = ['fairlead', 'haproxy', 'nginx', 'direct', 'pipe', 'datapath'] as const;
export type PeerName = (typeof peerNames)[number];

/** How much is measured: long enough to be trusted, or just enough to see that everything works. */
export interface Sizes {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmupSeconds: number;
  readonly bulkMiB: number;
  readonly memoryMiB: number;
  readonly openConnections: number;
  readonly settleMs: number;
  readonly partsSeconds: number;
}

const fullSizes: Sizes = {
  rounds: 5,
  seconds: 5,
  warmupSeconds: 2,
  bulkMiB: 1024,
  memoryMiB: 1024,
  openConnections: 500,
  settleMs: 5_000,
  partsSeconds: 30,
};

const quickSizes: Sizes = {
  rounds: 2,
  seconds: 1,
  warmupSeconds: 1,
  bulkMiB: 256,
  memoryMiB: 256,
  openConnections: 100,
  settleMs: 2_000,
  partsSeconds: 5,
};

/** For the test of the harness: says nothing about speed. */
const smokeSizes: Sizes = {
  rounds: 1,
  seconds: 1,
  warmupSeconds: 0,
  bulkMiB: 64,
  memoryMiB: 64,
  openConnections: 20,
  settleMs: 100,
  partsSeconds: 1,
};

export interface BenchOptions {
  readonly isQuick: boolean;
  readonly only: readonly StageName[];
  readonly peers: readonly PeerName[];
  readonly sizes: Sizes;
  /** Pin the proxy and the load to CPUs of their own. */
  readonly pin: boolean;
  /** Install missing Debian packages instead of naming them (root only). */
  readonly install: boolean;
  /** Base name of the result files under `outDir`. */
  readonly name: string;
  readonly outDir: string;
  /** The agent's command up to its flags. */
  readonly fairlead: readonly string[];
  /** Flags for the agent's Node (`--max-semi-space-size=1`). */
  readonly nodeFlags: readonly string[];
  readonly help: boolean;
}

export const usage = `Usage: npm run bench -- [options]
  --quick            short run: says that everything works, not how fast it is
  --smoke            the least that touches everything, for the test of the harness
  --only A,B         stages: ${stageNames.join(', ')} (default: all)
  --peers A,B        peers: ${peerNames.join(', ')} (default: the first four)
  --rounds N         rounds over all peers (default 5, quick 2)
  --seconds N        length of each timed load (default 5, quick 1)
  --no-pin           leave every process on every CPU
  --node-flags="F"   flags for the agent's Node, to compare settings
  --fairlead "CMD"   the agent's command up to its flags (default: node dist/fairlead.js run)
  --install          apt-get install what is missing (root; also when CI=true)
  --name NAME        name of the result files (default: latest, which git ignores)
  --out DIR          where results go (default: bench/results)`;

/** A list such as `a,b`; throws with what would be right. */
export function list<T extends string>(
  flag: string,
  text: string | undefined,
  allowed: readonly T[],
): readonly T[] {
  if (text === undefined) return [];
  return text.split(',').map((item) => {
    const known = allowed.find((name) => name === item.trim());
    if (known === undefined) throw new Error(`${flag}: "${item}" is not one of ${allowed.join(', ')}`);
    return known;
  });
}

export function positive(flag: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${flag}: "${text}" is not a positive number`);
  return value;
}

const words = (text: string | undefined): readonly string[] => text?.split(/\s+/).filter(Boolean) ?? [];

/** `isCi`: the caller runs where missing packages may be installed without asking. */
export function parseOptions(argv: readonly string[], { isCi = false } = {}): BenchOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      quick: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      only: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      'no-pin': { type: 'boolean', default: false },
      'node-flags': { type: 'string' },
      fairlead: { type: 'string' },
      install: { type: 'boolean', default: false },
      name: { type: 'string', default: 'latest' },
      out: { type: 'string', default: 'bench/results' },
      help: { type: 'boolean', default: false },
    },
  });
  const base = values.smoke ? smokeSizes : values.quick ? quickSizes : fullSizes;
  const only = list('--only', values.only, stageNames);
  const peers = list('--peers', values.peers, peerNames);
  return {
    isQuick: values.quick || values.smoke,
    only: only.length ? only : stageNames,
    peers: peers.length ? peers : ['fairlead', 'haproxy', 'nginx', 'direct'],
    sizes: {
      ...base,
      rounds: Math.ceil(positive('--rounds', values.rounds, base.rounds)),
      seconds: Math.ceil(positive('--seconds', values.seconds, base.seconds)),
    },
    pin: !values['no-pin'],
    install: values.install || isCi,
    name: values.name,
    outDir: values.out,
    fairlead: values.fairlead ? words(values.fairlead) : [process.execPath, 'dist/fairlead.js', 'run'],
    nodeFlags: words(values['node-flags']),
    help: values.help,
  };
}

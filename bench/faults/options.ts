// What a run of the fault bench can be told on its command line.
import { parseArgs } from 'node:util';
import { list, positive } from '../options.ts';

export const peerNames = ['fairlead', 'haproxy-tuned', 'haproxy', 'nginx'] as const;
export type PeerName = (typeof peerNames)[number];

export const scenarioNames = [
  'kill',
  'black-hole',
  'link-down',
  'lost-replies',
  'freeze',
  'freeze-burst',
  'etcd-lost-to-one',
  'readyz-hangs',
  'errors',
  'two-down',
  'cold-start',
  'stop',
  'stop-delay',
  'rolling-restart',
  'replaced',
  'hiccup',
  'late-answers',
  'loss',
  'own-network',
  'etcd-away',
  'all-down',
  'unlisted',
  'unlisted-restart',
  'unlisted-reboot',
  'at-rest',
] as const;
export type ScenarioName = (typeof scenarioNames)[number];

const quickScenarios: readonly ScenarioName[] = ['kill', 'freeze', 'hiccup', 'at-rest'];

export interface FaultBenchOptions {
  readonly isQuick: boolean;
  readonly only: readonly ScenarioName[];
  readonly peers: readonly PeerName[];
  readonly rounds: number;
  /** Of the measurement at rest. */
  readonly restSeconds: number;
  /** Install missing Debian packages instead of naming them (root only). */
  readonly install: boolean;
  /** Files are `<outDir>/<name>-faults.md` and `.json`. */
  readonly name: string;
  readonly outDir: string;
  readonly help: boolean;
}

export const usage = `Usage: npm run bench:faults -- [options]
  --quick            ${quickScenarios.join(', ')} only, and a short time at rest
  --only A,B         scenarios: ${scenarioNames.join(', ')}
  --peers A,B        peers: ${peerNames.join(', ')} (default: all)
  --rounds N         rounds over all peers; medians are shown (default 1)
  --rest-seconds N   length of the measurement at rest (default 60, quick 10)
  --install          apt-get install what is missing (root; also when CI=true)
  --name NAME        the result files are NAME-faults.md and .json (default: latest, which git ignores)
  --out DIR          where results go (default: bench/results)`;

/** `isCi`: the caller runs where missing packages may be installed without asking. */
export function parseOptions(argv: readonly string[], { isCi = false } = {}): FaultBenchOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      'rest-seconds': { type: 'string' },
      install: { type: 'boolean', default: false },
      name: { type: 'string', default: 'latest' },
      out: { type: 'string', default: 'bench/results' },
      help: { type: 'boolean', default: false },
    },
  });
  const only = list('--only', values.only, scenarioNames);
  const peers = list('--peers', values.peers, peerNames);
  const usual = values.quick ? quickScenarios : scenarioNames;
  return {
    isQuick: values.quick,
    only: only.length ? scenarioNames.filter((name) => only.includes(name)) : usual,
    peers: peers.length ? peerNames.filter((name) => peers.includes(name)) : peerNames,
    rounds: Math.ceil(positive('--rounds', values.rounds, 1)),
    restSeconds: Math.ceil(positive('--rest-seconds', values['rest-seconds'], values.quick ? 10 : 60)),
    install: values.install || isCi,
    name: values.name,
    outDir: values.out,
    help: values.help,
  };
}

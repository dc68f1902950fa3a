// `fairlead cluster point`: shows, makes or reverts the change that points a whole cluster's clients at Fairlead.
import { isLoopback } from '../model/host.ts';
import { calico } from '../adopt/cluster-wide/calico.ts';
import { cilium } from '../adopt/cluster-wide/cilium.ts';
import { kubeProxy } from '../adopt/cluster-wide/kube-proxy.ts';
import { kubeadm } from '../adopt/cluster-wide/kubeadm.ts';
import { judgeListeners, readCluster } from '../adopt/cluster-wide/listeners.ts';
import {
  applyChange,
  digestOf,
  kubectlFor,
  labelOf,
  type ObjectChange,
} from '../adopt/cluster-wide/object-change.ts';
import { restart } from '../adopt/cluster-wide/restart.ts';
import type { ClusterTarget, Wanted } from '../adopt/cluster-wide/target.ts';
import { knownEndpoints } from '../installer/known-endpoints.ts';
import { chooseName } from '../adopt/server-names.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import { type ApiCommandOptions, type Connection, connectApi } from './connect-api.ts';
import { exitCodes } from './exit-codes.ts';
import { parseServer } from './server-option.ts';
import type { CommandContext } from './command-context.ts';

interface ClusterPointOptions extends ApiCommandOptions {
  readonly arguments?: readonly [string];
  readonly server?: string;
  readonly tlsServerName?: string;
  readonly apply?: boolean;
  readonly undo?: boolean;
  readonly print?: boolean;
  readonly namespace?: string;
  readonly restart?: boolean;
  readonly unchecked?: boolean;
}

const targets: Readonly<Record<string, ClusterTarget>> = { 'kube-proxy': kubeProxy, kubeadm, cilium, calico };

const slices = { namespace: 'default', service: 'kubernetes', portName: 'https' };
const maxListed = 10;

const usage = (message: string) => new FairleadError('CONFIG_INVALID', message);

export async function clusterPoint(options: ClusterPointOptions, context: CommandContext): Promise<number> {
  const { apply = false, undo = false, print = false, arguments: [what] = [''] } = options;
  const target = targets[what];
  if (!target) throw usage(`"${what}" is not a component that can be pointed`);
  if (apply && (undo || print)) throw usage('--apply excludes --undo and --print');
  if (undo && options.server !== undefined)
    throw usage('--undo excludes --server: the annotation contains the previous value');
  if (options.tlsServerName !== undefined && what !== 'kube-proxy')
    throw usage(`--tls-server-name is for kube-proxy: ${what} has no such setting`);
  if (options.namespace !== undefined && what !== 'cilium' && what !== 'calico')
    throw usage(`--namespace is for cilium and calico only: the namespace of ${what} is fixed`);
  const isMade = apply || (undo && !print);
  if (options.restart && !isMade) throw usage('--restart requires --apply or --undo, without --print');
  const connection = await connectApi(options, context);
  if (!connection) throw usage('no API server is known; set --kubeconfig');
  const { api } = connection;

  const changes = undo
    ? await target.planUndo(api, options.namespace)
    : await planPointing(target, options, connection, context);
  for (const change of changes) {
    if (isMade) await applyChange(api, change);
    context.print(describe(change, { isMade, isUndone: undo }));
    for (const warning of change.warnings)
      context.printError(`${labelOf(change.ref)}: warning: ${warning}\n`);
  }
  if (changes.every(({ fingerprint }) => fingerprint === '')) return exitCodes.ok.code;
  if (!isMade && changes.some(({ action }) => action !== 'nothing')) {
    context.print(`Nothing was changed; ${undo ? 'without --print' : 'with --apply'} it is.\n`);
  }
  await restartReaders(target, changes, { isAsked: options.restart === true, isMade }, connection, context);
  if (!undo) for (const note of target.notes) context.print(`Note: ${note}\n`);
  return exitCodes.ok.code;
}

async function planPointing(
  target: ClusterTarget,
  options: ClusterPointOptions,
  { api, servers, ca }: Connection,
  { printError }: CommandContext,
): Promise<readonly ObjectChange[]> {
  const { server: url = 'https://127.0.0.1:6443', tlsServerName, namespace } = options;
  const { address, server } = parseServer(url);
  // A printed change need not work yet: what --apply would refuse is still printed.
  const isForced = options.unchecked === true || options.apply !== true;
  const endpoints: HostPort[] = (await knownEndpoints(api, slices)).map(({ endpoint }) => ({
    host: endpoint.host,
    port: endpoint.port,
  }));
  const { missing, doubts } = isLoopback(address.host)
    ? judgeListeners(address, await readCluster(api, endpoints, Date.now()))
    : { missing: [], doubts: [] };
  for (const doubt of doubts) printError(`warning: ${doubt}\n`);
  if (missing.length > 0) {
    const problem =
      `this setting applies to all nodes, but on these no process listens on ${formatHostPort(address)}:` +
      `${listed(missing)}\n  --unchecked skips this check, for listeners that the API does not show`;
    if (!isForced) throw new FairleadError('CLUSTER_REFUSED', problem);
    printError(`warning: ${problem}\n`);
  }
  const verifiedName: Wanted['verifiedName'] = async (candidates) => {
    const [first = ''] = candidates;
    const [seen = address] = servers;
    const choice = await chooseName({
      address: seen,
      endpoints,
      candidates,
      ...(ca !== undefined && { ca }),
    });
    if (choice.ok) return choice;
    const problem =
      `clients would verify ${candidates.join(' or ')}, but not every certificate is valid for that:\n  ${choice.problem}\n` +
      '  docs/adopt.md says how to add a name to the certificates (certSANs)';
    if (!isForced) throw new FairleadError('SERVER_UNVERIFIED', problem);
    return { name: first, warnings: [problem] };
  };
  return target.plan(api, {
    address,
    server,
    verifiedName,
    isForced,
    ...(tlsServerName !== undefined && { tlsServerName }),
    ...(namespace !== undefined && { namespace }),
  });
}

/** A line each; of a fleet without agents the first few say enough. */
function listed(lines: readonly string[]): string {
  const more = lines.length > maxListed ? [`and ${lines.length - maxListed} more`] : [];
  return [...lines.slice(0, maxListed), ...more].map((line) => `\n  ${line}`).join('');
}

function describe(
  change: ObjectChange,
  { isMade, isUndone }: { isMade: boolean; isUndone: boolean },
): string {
  const label = labelOf(change.ref);
  if (change.action === 'nothing') return `${label} ${change.why}: nothing to do\n`;
  const done = isUndone ? 'is restored' : 'now points at Fairlead';
  if (isMade) return `${change.diff}${label} ${done}\n`;
  const kubectl =
    kubectlFor(change) ?? '(the patch is not shown because the kubeconfig contains credentials)';
  return `${change.diff}\n${kubectl}\n\n`;
}

async function restartReaders(
  target: ClusterTarget,
  changes: readonly ObjectChange[],
  { isAsked, isMade }: { readonly isAsked: boolean; readonly isMade: boolean },
  { api }: Connection,
  { print }: CommandContext,
): Promise<void> {
  const fingerprint = digestOf({ all: changes.map((change) => change.fingerprint) });
  for (const ref of target.readers(changes)) {
    if (!isAsked || !isMade) {
      const isChanged = changes.some(({ action }) => action !== 'nothing');
      const when = isMade ? 'Its pods read it only at start; restart them' : 'Then restart its pods';
      if (isChanged) print(`${when}: kubectl -n ${ref.namespace} rollout restart ${ref.kind} ${ref.name}\n`);
      continue;
    }
    const outcome = await restart(api, ref, { fingerprint, nowMs: Date.now() });
    if (outcome !== 'absent')
      print(
        `${labelOf(ref)} ${outcome === 'restarted' ? 'is restarting its pods' : 'was already restarted for this change'}\n`,
      );
  }
}

// `fairlead kubeconfig point`: plans, shows and applies the pointing of kubeconfigs, or reverts it.
import { resolve } from 'node:path';
import { reachableAt } from '../model/host.ts';
import { loadConfig } from '../config/load.ts';
import { bootSeedsFix, hasBootSeeds } from '../adopt/boot-seeds.ts';
import { refuseDaemonSet } from '../adopt/daemonset-listener.ts';
import { nodePaths, nodeRole } from '../adopt/node-paths.ts';
import { applyPlan, backupSuffix, type FilePlan, planPointing, planRestoring } from '../adopt/point.ts';
import { type HostPort, parseHostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import { type ConfigOptions, loadInput } from './config-options.ts';
import { parseServer, urlOf } from './server-option.ts';
import { exitCodes } from './exit-codes.ts';
import { fetchStatus, type ShownStatus } from './fetch-status.ts';
import { problemsError } from './load-or-fail.ts';
import { adminAddress } from './status.ts';
import type { CommandContext } from './command-context.ts';

interface PointCommandOptions extends ConfigOptions {
  readonly arguments?: readonly [readonly string[]];
  readonly server?: string;
  readonly tlsServerName?: string;
  readonly cluster?: readonly string[];
  readonly allClusters?: boolean;
  readonly controlPlane?: boolean;
  readonly allowDaemonset?: boolean;
  readonly undo?: boolean;
  readonly dryRun?: boolean;
  readonly root?: string;
}

export async function kubeconfigPoint(
  options: PointCommandOptions,
  context: CommandContext,
): Promise<number> {
  const root = resolve(options.root ?? '/');
  const given = options.arguments?.[0] ?? [];
  // Below another root there is no working directory: a relative name is taken from its top.
  const files = (given.length > 0 ? given : [nodePaths.kubeletKubeconfig]).map((file) =>
    root === '/' ? resolve(file) : resolve('/', file),
  );
  if (!options.undo && !options.controlPlane && (await nodeRole(root)) === 'control-plane') {
    context.print(
      `This is a control-plane node (${nodePaths.apiServerManifest} exists). Its kubeconfigs are not changed, ` +
        'because they use the local API server. Use --control-plane to point them anyway.\n',
    );
    return exitCodes.ok.code;
  }
  const plans = options.undo
    ? await planRestoring({ files, root })
    : await planFrom(options, { files, root }, context);

  for (const plan of plans) {
    if (!options.dryRun) await applyPlan(plan, { nowMs: Date.now() });
    context.print(describe(plan, options.dryRun === true));
    for (const warning of plan.warnings) context.printError(`${plan.file}: warning: ${warning}\n`);
  }
  const isChanged = plans.some(({ action }) => action !== 'nothing');
  if (isChanged && !options.dryRun) {
    context.print(
      'Clients read their kubeconfig only at startup. If kubelet has not been restarted yet: systemctl restart kubelet\n',
    );
  }
  return exitCodes.ok.code;
}

async function planFrom(
  options: PointCommandOptions,
  { files, root }: { readonly files: readonly string[]; readonly root: string },
  context: CommandContext,
): Promise<FilePlan[]> {
  const { address, server } = options.server
    ? parseServer(options.server)
    : urlOf(await firstListener(options, context));
  const agent = await runningAgent(options, context);
  if (!options.allowDaemonset) await refuseDaemonSet(files, address, agent);
  const endpoints = endpointsOf(agent);
  return planPointing({
    files,
    root,
    address,
    server,
    endpoints,
    tlsServerName: options.tlsServerName === undefined ? 'auto' : { name: options.tlsServerName },
    clusters: options.allClusters ? 'all' : (options.cluster ?? 'current'),
  });
}

/** Where the agent's configuration makes it listen. */
async function firstListener(options: ConfigOptions, context: CommandContext): Promise<HostPort> {
  const result = await loadConfig({ ...loadInput(options, context), mustFindEndpoints: false });
  // kubelet brings a certificate, which cannot pass an http listener.
  const listener = result.values.listeners?.find(({ type }) => type === 'passthrough');
  if (result.ok && !listener)
    throw new FairleadError('CONFIG_INVALID', 'the configuration has no passthrough listener; give --server');
  if (!listener) throw problemsError(result.ok ? [] : result.problems);
  const { host, port } = listener;
  return { host: reachableAt(host), port };
}

/** What the running agent says of itself; without it only the address can be looked at. */
async function runningAgent(
  options: ConfigOptions,
  context: CommandContext,
): Promise<ShownStatus | undefined> {
  const loaded = await loadConfig({ ...loadInput(options, context), mustFindEndpoints: false });
  try {
    const status = await fetchStatus(await adminAddress(options, context));
    const sources = status.endpoints.flatMap((endpoint) => endpoint.sources);
    if (loaded.ok && !hasBootSeeds(loaded.config, sources)) {
      context.printError(
        `warning: after a restart the agent may not know an API server, because a pointed kubeconfig does not name one. ${bootSeedsFix}\n`,
      );
    }
    return status;
  } catch (error) {
    if (!(error instanceof FairleadError)) throw error;
    context.printError(
      `warning: ${error.message}; only the certificate of one API server was checked, the one that answers now\n`,
    );
    return undefined;
  }
}

/** What the agent relays to: the name must hold for each. */
function endpointsOf(agent: ShownStatus | undefined): HostPort[] {
  return (agent?.endpoints ?? []).flatMap(({ id }) => {
    const parsed = parseHostPort(id);
    return parsed.ok ? [parsed.value] : [];
  });
}

function describe(plan: FilePlan, isDryRun: boolean): string {
  const { file, target, action, clusters, diff, why, write } = plan;
  if (action === 'nothing') return `${file} ${why ?? ''}: nothing to do\n`;
  if (isDryRun) return diff;
  const lines = clusters.map(({ cluster, from, to, tlsServerName }) => {
    const name = tlsServerName === undefined ? '' : ` (tls-server-name: ${tlsServerName})`;
    return `${file}: cluster ${cluster}: ${from} -> ${to}${name}`;
  });
  if (clusters.length === 0) lines.push(`${file} is restored`);
  if (action === 'point' && write?.backup === 'make')
    lines.push(`  the original is ${target}${backupSuffix}`);
  return `${lines.join('\n')}\n`;
}

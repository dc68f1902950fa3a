// `fairlead status`: what the running agent says of itself, as a table or as JSON.
import { loadConfig } from '../config/load.ts';
import { formatDuration } from '../config/duration.ts';
import { FairleadError } from '../model/errors.ts';
import { type ConfigOptions, loadInput } from './config-options.ts';
import { exitCodes } from './exit-codes.ts';
import { fetchStatus, type ShownStatus } from './fetch-status.ts';
import { problemsError } from './load-or-fail.ts';
import type { CommandContext } from './command-context.ts';
import { formatTable } from '../lib/table.ts';

export async function status(
  options: ConfigOptions & { readonly json?: boolean },
  context: CommandContext,
): Promise<number> {
  const answer = await fetchStatus(await adminAddress(options, context));
  context.print(options.json ? `${JSON.stringify(answer, null, 2)}\n` : formatStatus(answer));
  return answer.isReady ? exitCodes.ok.code : exitCodes.notReady.code;
}

/**
 * Where the agent's configuration puts its admin server. Only that setting has to be good: with a
 * broken file, `status` is what shows that the agent still uses the old one.
 */
export async function adminAddress(options: ConfigOptions, context: CommandContext) {
  const result = await loadConfig({ ...loadInput(options, context), mustFindEndpoints: false });
  const { admin } = result.values;
  if (admin) return admin;
  if (!result.ok) throw problemsError(result.problems);
  throw new FairleadError(
    'STATUS_UNREACHABLE',
    'the admin server is off in this configuration (admin: false)',
  );
}

export function formatStatus(status: ShownStatus): string {
  const {
    node,
    version,
    policy,
    tunnels,
    credentials,
    discovery,
    listeners,
    endpoints,
    pools,
    absentAddresses,
    keptCa,
    problems = [],
  } = status;
  const nowMs = Date.parse(status.startedAt) + status.uptimeSeconds * 1000;
  const synced =
    discovery.ageSeconds === undefined ? '' : `, last update ${age(discovery.ageSeconds * 1000)} ago`;
  const lines = [
    `${node}: ${readiness(status)}${shownGone(endpoints)}, fairlead ${version}, up ${age(status.uptimeSeconds * 1000)}`,
    ...(status.deployment === 'daemonset'
      ? ["run by a DaemonSet: must not be kubelet's only address (docs/manifests.md)"]
      : []),
    status.stopping
      ? 'accepts no new clients; open tunnels may finish'
      : `listening on ${listeners.map(shownListener).join(', ') || 'nothing'}`,
    ...(absentAddresses ? [`waiting for the addresses ${absentAddresses.join(', ')}`] : []),
    `tunnels: ${tunnels.active} (limit ${tunnels.max}); policy: ${policy}`,
    `discovery: ${discovery.watch}${synced}${discovery.message ? ` (${discovery.message})` : ''}; credentials: ${credentials}`,
    ...keptCaLines(keptCa),
    ...certificateLines(status),
    ...problems.flatMap(({ code, message, fix, pool }) => [
      `problem: ${code}${pool === undefined ? '' : ` (pool ${pool})`}: ${message}`,
      `  fix: ${fix}`,
    ]),
    '',
    ...endpointLines(endpoints, nowMs),
    ...(pools ?? []).flatMap((pool) => [
      '',
      `pool ${pool.name}: ${pool.isReady ? 'ready' : 'NOT READY'}; policy: ${pool.policy}; credentials: ${pool.credentials}`,
      ...keptCaLines(pool.keptCa),
      ...certificateLines(pool),
      '',
      ...endpointLines(pool.endpoints, nowMs),
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

const keptCaLines = (kept: ShownStatus['keptCa']) =>
  kept
    ? [
        `CA: in use since ${kept.since} is the copy of ${kept.writtenAt} in ${kept.file}, because the configured CA cannot be read`,
      ]
    : [];

function certificateLines({
  missingClientNames,
  clockSuspect,
}: Pick<ShownStatus, 'missingClientNames' | 'clockSuspect'>): string[] {
  return [
    ...(clockSuspect
      ? ['every serving certificate looks expired or not yet valid: check the clock of this node']
      : []),
    ...(missingClientNames
      ? [
          `no certificate of an API server is valid for ${missingClientNames.join(', ')}, which clients verify`,
        ]
      : []),
  ];
}

function readiness({ isReady, stopping }: ShownStatus): string {
  return stopping ? `STOPPING (until ${stopping.until} at the latest)` : isReady ? 'ready' : 'NOT READY';
}

/** API servers that the cluster once listed count, although nothing but this agent knows of them any more. */
function shownGone(endpoints: ShownStatus['endpoints']): string {
  const count = endpoints.filter(({ gone }) => gone).length;
  if (count === 0) return '';
  return `, ${count} ${count === 1 ? 'API server' : 'API servers'} no longer listed by the cluster`;
}

const shownListener = ({ address, type, pool }: ShownStatus['listeners'][number]) => {
  const what = type === 'http' ? type : pool;
  return what === undefined ? address : `${address} (${what})`;
};

function endpointLines(endpoints: ShownStatus['endpoints'], nowMs: number): string[] {
  if (endpoints.length === 0) return ['no endpoints are known'];
  const table = formatTable(
    ['ENDPOINT', 'VERDICT', 'REASON', 'SINCE', 'TUNNELS', 'TIER', 'SOURCES'],
    endpoints.map((endpoint) => [
      endpoint.id,
      shownVerdict(endpoint),
      endpoint.reason,
      age(nowMs - Date.parse(endpoint.since)),
      endpoint.tunnels,
      endpoint.tier,
      endpoint.sources.join(','),
    ]),
  );
  return [
    table,
    ...endpoints.flatMap(({ id, hint, demotedFor }) => [
      ...(demotedFor ? ['', `${id} is used after the others: ${demotedFor}`] : []),
      ...(hint ? ['', `${id}: ${hint}`] : []),
    ]),
  ];
}

function shownVerdict({ verdict, usable, lastResort, unverified }: ShownStatus['endpoints'][number]): string {
  if (usable) return unverified ? `${verdict}, unverified` : verdict;
  return `${verdict} (${lastResort ? 'used: nothing better' : 'not used'})`;
}

/** Whole seconds, and of those the two largest units: `3m12s`, `2d4h`. */
function age(durationMs: number): string {
  const seconds = Math.max(0, Math.floor(durationMs / 1000));
  const parts = formatDuration(seconds * 1000).match(/\d+[a-z]+/g) ?? ['unknown'];
  return parts.slice(0, 2).join('');
}

// `fairlead cluster point`: prints, makes or takes back a change of what names the API server for all nodes.
import { knownEndpoints } from '../install/node/known-endpoints.ts';
import { makeChange, planChange, planUndo } from '../install/cluster/change.ts';
import { nodesWithoutListener } from '../install/cluster/every-node.ts';
import { clusterTargets, type NewServer, type TargetName } from '../install/cluster/target.ts';
import { chooseName, nameCandidates } from '../install/server-names.ts';
import { FairleadError } from '../model/errors.ts';
import { type ApiCommandOptions, type Connection, connectApi } from './connect-api.ts';
import { exitCodes } from './exit-codes.ts';
import { parseServer } from './kubeconfig-point.ts';
import type { Surroundings } from './surroundings.ts';

interface ClusterPointOptions extends ApiCommandOptions {
  readonly arguments?: readonly [TargetName];
  readonly server?: string;
  readonly tlsServerName?: string;
  readonly namespace?: string;
  readonly apply?: boolean;
  readonly undo?: boolean;
  readonly unchecked?: boolean;
}

const slices = { namespace: 'default', service: 'kubernetes', portName: 'https' };

export async function clusterPoint(
  options: ClusterPointOptions,
  surroundings: Surroundings,
): Promise<number> {
  const name = options.arguments?.[0] ?? 'kube-proxy';
  const target = clusterTargets[name];
  const { print, printError } = surroundings;
  const connection = await connectApi(options, surroundings);
  if (!connection) throw new FairleadError('CONFIG_INVALID', 'an API is needed: give --kubeconfig');
  const { api } = connection;
  if (options.undo) {
    const undo = await planUndo(api, target, options.namespace);
    await makeChange(api, undo);
    print(`${name}: ${undo.why}\n`);
    return exitCodes.ok.code;
  }
  const { address } = parseServer(options.server ?? 'https://127.0.0.1:6443');
  const server = { address, ...(await tlsServerName(options, connection, address)) };
  if (target.isForEveryNode) {
    const missing = await nodesWithoutListener(api, address);
    const list = missing.map((line) => `\n  ${line}`).join('');
    const what = `${name} is the same on every node, and these have no listener on that address:${list}`;
    if (missing.length > 0 && options.apply && !options.unchecked)
      throw new FairleadError('INSTALL_REFUSED', `${what}\n  --unchecked applies it all the same`);
    if (missing.length > 0) printError(`warning: ${what}\n`);
  }
  const plan = await planChange(api, target, server, options.namespace);
  if (plan.method === 'nothing') {
    print(`${name}: ${plan.why}\n`);
    return exitCodes.ok.code;
  }
  if (options.apply) {
    await makeChange(api, plan);
    print(`${name}: changed; --undo puts it back\n`);
  } else {
    print(`${plan.method} ${plan.path}\n${JSON.stringify(plan.body, null, 2)}\n`);
  }
  for (const note of target.notes(server)) print(`# ${note}\n`);
  return exitCodes.ok.code;
}

/** As given, else as the certificates of all API servers need it. */
async function tlsServerName(
  { tlsServerName: given }: ClusterPointOptions,
  { api, ca }: Connection,
  { host }: NewServer['address'],
): Promise<Pick<NewServer, 'tlsServerName'>> {
  if (given !== undefined) return { tlsServerName: given };
  const [first, ...others] = (await knownEndpoints(api, slices)).map(({ endpoint }) => endpoint);
  if (!first) throw new FairleadError('API_REFUSED', 'the API lists no API servers; give --tls-server-name');
  const candidates = nameCandidates(host);
  const choice = await chooseName({
    address: first,
    endpoints: others,
    candidates,
    ...(ca !== undefined && { ca }),
  });
  if (!choice.ok) throw new FairleadError('SERVER_UNVERIFIED', choice.problem);
  return choice.name === host ? {} : { tlsServerName: choice.name };
}

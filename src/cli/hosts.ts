// `fairlead hosts`: the load balancer's name in /etc/hosts.
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { isHostName, isLoopback } from '../model/host.ts';
import { applyHosts, defaultHostName, hostsFile, planHosts } from '../adopt/hosts.ts';
import { canonicalHost } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import { exitCodes } from './exit-codes.ts';
import type { CommandContext } from './command-context.ts';

interface HostsCommandOptions {
  readonly name?: string;
  readonly address?: readonly string[];
  readonly undo?: boolean;
  readonly dryRun?: boolean;
  readonly root?: string;
}

export async function hosts(options: HostsCommandOptions, context: CommandContext): Promise<number> {
  const { name = defaultHostName, address = ['127.0.0.1'], undo = false, dryRun = false } = options;
  const problems = [
    ...(isHostName(name) && !isLoopback(name)
      ? []
      : [`--name: "${name}" is not a DNS name, or is a loopback name`]),
    ...address.filter((text) => isIP(text) === 0).map((text) => `--address: "${text}" is not an IP address`),
  ];
  if (problems.length > 0) throw new FairleadError('CONFIG_INVALID', problems.join('\n  '));

  const addresses = undo ? [] : [...new Set(address.map(canonicalHost))];
  const plan = await planHosts({ root: resolve(options.root ?? '/'), name, addresses });
  if (plan.after.equals(plan.before)) {
    const state = undo ? 'has no Fairlead entry for' : 'already has the entry for';
    context.print(`${hostsFile} ${state} ${name}: nothing to do\n`);
    return exitCodes.ok.code;
  }
  if (dryRun) {
    context.print(plan.diff);
    return exitCodes.ok.code;
  }
  const how = await applyHosts(plan, { nowMs: Date.now() });
  const meaning = undo ? 'is restored' : `resolves to ${addresses.join(' and ')}`;
  const note = how === 'in place' ? ' (written in place, because a mounted file cannot be replaced)' : '';
  context.print(`${hostsFile}: ${name} ${meaning}${note}\n`);
  return exitCodes.ok.code;
}

// `fairlead endpoint`: the access address of a role, from the variables of a Kubespray inventory.
import { accessOf, type AccessInput, type AccessRole } from '../import/kubespray/access.ts';
import { type EtcdAccess, etcdAccess } from '../import/kubespray/etcd.ts';
import { type KubesprayVars, readVars, type VarsFile } from '../import/kubespray/vars.ts';
import { readFileText } from '../lib/read-file.ts';
import { messageOf } from '../model/error-text.ts';
import { parseHostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import { exitCodes } from './exit-codes.ts';
import { problemsError } from './load-or-fail.ts';
import type { CommandContext } from './command-context.ts';

interface EndpointOptions {
  readonly vars: readonly string[];
  readonly role: AccessRole | 'etcd';
  readonly firstControlPlane?: string;
  readonly unmanagedLb?: string;
  readonly json?: boolean;
}

const badUsage = (message: string) => new FairleadError('CONFIG_INVALID', message);

export async function endpoint(options: EndpointOptions, context: CommandContext): Promise<number> {
  const read = readVars(await Promise.all(options.vars.map(readVarsFile)));
  if (!read.ok) throw problemsError(read.problems);
  const etcd = etcdAccess(read.value.etcd);
  if (etcd && !etcd.ok) throw badUsage(etcd.problem);

  const { role } = options;
  const access = role === 'etcd' ? undefined : accessFor(read.value, role, options);
  if (role === 'etcd' && !etcd) {
    throw badUsage(
      'the variables set none of etcd_access_addresses, etcd_client_url, etcd_cert_alt_names, etcd_cert_alt_ips',
    );
  }
  if (options.json) {
    const { ok: _, ...rest } = etcd ?? { ok: true };
    const shown = { role, ...access, ...(etcd && { etcd: rest }) };
    context.print(`${JSON.stringify(shown, null, 2)}\n`);
    return exitCodes.ok.code;
  }
  const lines = access?.endpoints ?? etcdLines(etcd);
  context.print(lines.map((line) => `${line}\n`).join(''));
  for (const { trap, text } of access?.warnings ?? []) context.printError(`warning: ${text} (${trap})\n`);
  if (access?.kubespray) {
    context.printError(`warning: Kubespray itself writes ${access.kubespray} for this role\n`);
  }
  for (const text of etcd?.warnings ?? []) context.printError(`warning: ${text}\n`);
  return exitCodes.ok.code;
}

function etcdLines(etcd: EtcdAccess | undefined): readonly string[] {
  const { accessAddresses = [], clientUrl } = etcd ?? {};
  return accessAddresses.length === 0 && clientUrl !== undefined ? [clientUrl] : accessAddresses;
}

async function readVarsFile(name: string): Promise<VarsFile> {
  try {
    return { name, text: await readFileText(name, { mayBePipe: true }) };
  } catch (error) {
    throw new FairleadError('CONFIG_UNREADABLE', messageOf(error), {
      cause: error,
    });
  }
}

function accessFor(
  vars: KubesprayVars,
  role: AccessRole,
  { firstControlPlane, unmanagedLb }: EndpointOptions,
) {
  const input: AccessInput = {
    vars,
    role,
    ...(firstControlPlane !== undefined && {
      firstControlPlane: hostOf('--first-control-plane', firstControlPlane).host,
    }),
    ...(unmanagedLb !== undefined && { unmanagedLb: hostOf('--unmanaged-lb', unmanagedLb) }),
  };
  const result = accessOf(input);
  if (!result.ok) throw badUsage(result.problem);
  const { ok: _, ...access } = result;
  return access;
}

/** A host with or without a port, which the variables give where it is missing. */
function hostOf(flag: string, text: string): { host: string; port?: number } {
  const parsed = parseHostPort(text, { defaultPort: 0 });
  if (!parsed.ok) throw badUsage(`${flag}: ${parsed.problem}`);
  const { host, port } = parsed.value;
  return port === 0 ? { host } : { host, port };
}

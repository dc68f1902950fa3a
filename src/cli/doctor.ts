// `fairlead doctor`: examines the node, and reports what is wrong, why it matters and how to fix it.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { credentialOptions } from '../agent/options.ts';
import type { Config } from '../config/config.ts';
import { type DoctorInput, examine } from '../doctor/doctor.ts';
import { worst } from '../doctor/finding.ts';
import { examinationJson, formatExamination } from '../doctor/report.ts';
import { exists, nodePaths } from '../adopt/node-paths.ts';
import { type CredentialOptions, defaultServiceAccountDir } from '../kubernetes/load-credentials.ts';
import { formatHostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import { type ConfigOptions, loadInput } from './config-options.ts';
import { exitCodes } from './exit-codes.ts';
import { fetchStatus } from './fetch-status.ts';
import { loadOrFail } from './load-or-fail.ts';
import type { CommandContext } from './command-context.ts';

interface DoctorOptions extends ConfigOptions {
  readonly root?: string;
  readonly json?: boolean;
}

const exitCodeFor = {
  ok: exitCodes.ok.code,
  info: exitCodes.ok.code,
  warning: exitCodes.doctorWarns.code,
  error: exitCodes.doctorErrs.code,
} as const;

export async function doctor(options: DoctorOptions, context: CommandContext): Promise<number> {
  const root = resolve(options.root ?? '/');
  const { config } = await loadOrFail({ ...loadInput(options, context), mustFindEndpoints: false });
  const examination = await examine({
    root,
    config,
    credentials: await credentialsOf(config, root, context),
    agent: await agentFacts(config),
    userAgent: `fairlead/${context.version}`,
    nowMs: Date.now(),
  });
  context.print(options.json ? examinationJson(examination) : formatExamination(examination));
  return exitCodeFor[worst(examination.findings)];
}

/** As the agent has them; kubelet's where nothing is configured and no service account is here. */
async function credentialsOf(
  config: Config,
  root: string,
  { env }: CommandContext,
): Promise<CredentialOptions> {
  const dir = defaultServiceAccountDir;
  const host = env.KUBERNETES_SERVICE_HOST;
  const isMounted = existsSync(join(dir, 'token'));
  const found = credentialOptions(config, { dir, exists: isMounted, ...(host !== undefined && { host }) });
  const { kubeconfig, clientCertFile, tokenFile, serviceAccountDir } = found;
  const isConfigured = [kubeconfig, clientCertFile, tokenFile, serviceAccountDir].some(
    (one) => one !== undefined,
  );
  if (isConfigured || !(await exists(root, nodePaths.kubeletKubeconfig))) return found;
  return { ...found, kubeconfig: nodePaths.kubeletKubeconfig };
}

async function agentFacts({ admin }: Config): Promise<DoctorInput['agent']> {
  if (!admin) return undefined;
  try {
    const { listeners, isReady, stopping, deployment, endpoints } = await fetchStatus(admin);
    return {
      listeners: listeners.map(({ address }) => address),
      isReady,
      isStopping: stopping !== undefined,
      deployment,
      admin: formatHostPort(admin),
      endpoints: endpoints.map(({ id }) => id),
      sources: endpoints.flatMap(({ sources }) => sources),
    };
  } catch (error) {
    if (error instanceof FairleadError) return undefined;
    throw error;
  }
}

// `fairlead manifest`: prints the manifests of manifests/ with the user's image and API servers.
import { loadConfig } from '../config/load.ts';
import { readFileText } from '../lib/read-file.ts';
import { checkImageReference } from '../manifest/image-reference.ts';
import { type ManifestName, renderManifest } from '../manifest/manifests.ts';
import { formatHostPort, parseHostPort } from '../model/endpoint.ts';
import { messageOf } from '../model/error-text.ts';
import { FairleadError } from '../model/errors.ts';
import type { CommandContext } from './command-context.ts';
import { exitCodes } from './exit-codes.ts';
import { problemsError } from './load-or-fail.ts';

interface ManifestOptions {
  readonly arguments: readonly [ManifestName];
  readonly image?: string;
  readonly endpoints?: readonly string[];
  readonly config?: string;
}

/** What the user does with the output. */
const uses: Readonly<Record<ManifestName, string>> = {
  'static-pod': 'Save it as /etc/kubernetes/manifests/fairlead.yaml on the node; not for kubectl apply.',
  installer: 'Apply it with: kubectl apply -f FILE',
  'installer-replace-proxy': 'Apply it with: kubectl apply -f FILE',
  'point-kubelets': 'Apply it with: kubectl apply -f FILE',
  remove:
    'Apply it with: kubectl apply -f FILE. Delete it with kubectl delete -f FILE when all nodes are done.',
  agent: 'Apply it with: kubectl apply -f FILE',
  monitoring: 'Needs the Prometheus operator. Apply it with: kubectl apply -f FILE',
};
const installers: readonly ManifestName[] = ['installer', 'installer-replace-proxy', 'point-kubelets'];
const defaultPort = 6443;

export async function manifest(options: ManifestOptions, context: CommandContext): Promise<number> {
  const [name] = options.arguments;
  const { image, config: file } = options;
  const problems: string[] = [];
  const takesConfig = name === 'static-pod' || name === 'agent' || installers.includes(name);

  const checked = image === undefined ? undefined : checkImageReference(image);
  if (name === 'monitoring') {
    if (image !== undefined) problems.push('--image: monitoring runs no image; leave the flag out');
  } else if (!checked) {
    problems.push('--image is missing: name the image that the nodes run, preferably with its digest');
  } else if (!checked.ok) problems.push(`--image: ${checked.problem}`);

  const endpoints: string[] = [];
  for (const text of (options.endpoints ?? []).flatMap((each) => each.split(','))) {
    const parsed = parseHostPort(text.trim(), { defaultPort });
    if (parsed.ok) endpoints.push(formatHostPort(parsed.value));
    else problems.push(`--endpoints: ${parsed.problem}`);
  }
  if (!takesConfig && (options.endpoints || file !== undefined))
    problems.push(`${name} has no configuration of the agent; leave --endpoints and --config out`);
  if (name === 'static-pod' && options.endpoints && file !== undefined)
    problems.push('static-pod takes --endpoints or --config, not both: name the API servers in the file');
  if (name === 'agent' && !options.endpoints && file === undefined)
    problems.push(
      '--endpoints is missing: name at least one API server that the nodes reach, such as --endpoints 10.0.0.11:6443, or a file with --config',
    );
  if (problems.length > 0) throw new FairleadError('CONFIG_INVALID', problems.join('\n  '));

  const config = file === undefined ? undefined : await readAgentConfig(file, name, endpoints);
  if (checked?.ok && !checked.hasDigest) {
    context.printError(
      'warning: --image has no digest. Nodes keep the image that they have under this tag, and the tag can move; add @sha256:…\n',
    );
  }
  const header = `# fairlead manifest ${name}, printed by fairlead ${context.version}. ${uses[name]}\n`;
  const parameters = { ...(image !== undefined && { image }), ...(config !== undefined && { config }) };
  context.print(await renderManifest(name, { ...parameters, endpoints, header }));
  return exitCodes.ok.code;
}

async function readAgentConfig(
  file: string,
  name: ManifestName,
  endpoints: readonly string[],
): Promise<string> {
  const flags = endpoints.length > 0 ? { endpoints } : {};
  const result = await loadConfig({
    file,
    flags,
    env: {},
    hostname: 'node',
    mustFindEndpoints: name === 'agent',
  });
  if (!result.ok) throw problemsError(result.problems);
  if (installers.includes(name) && result.config.discovery.cacheFile === undefined) {
    throw new FairleadError(
      'CONFIG_INVALID',
      `${file}: discovery.cacheFile is not set, and the installer needs it; set it to /var/lib/fairlead/endpoints.json`,
    );
  }
  return readFileText(file).catch((cause: unknown) => {
    throw new FairleadError('CONFIG_UNREADABLE', messageOf(cause), { cause });
  });
}

// The cluster's API for the commands that need it: by a kubeconfig, else by the pod's service account.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { decodeCache } from '../discovery/cache-format.ts';
import { isLoopback } from '../model/host.ts';
import { type ApiOptions, KubeApi } from '../kubernetes/kube-api.ts';
import { resolveBelow } from '../lib/below-root.ts';
import { readFileText } from '../lib/read-file.ts';
import { NodeFiles } from '../installer/node-files.ts';
import { readKubeconfigText } from '../adopt/kubeconfig-text.ts';
import { nodePaths } from '../adopt/node-paths.ts';
import { defaultServiceAccountDir, loadCredentials } from '../kubernetes/load-credentials.ts';
import { formatHostPort, type HostPort, parseHostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import type { CommandContext } from './command-context.ts';

export interface ApiCommandOptions {
  readonly kubeconfig?: string;
}

export interface Connection {
  readonly api: KubeApi;
  /** Where the API answers. */
  readonly servers: readonly HostPort[];
  /** The CA that the credentials brought, PEM. */
  readonly ca?: string;
}

export interface PodContext {
  readonly serviceAccountDir?: string;
  /** Where the node's file system is: the API server that kubelet uses is asked where the ClusterIP does not answer. */
  readonly nodeRoot?: string;
  /** Of the agent: the API servers that it names are asked last. */
  readonly configFile?: string;
}

/** Undefined where there is neither. */
export async function connectApi(
  { kubeconfig }: ApiCommandOptions,
  { env, version }: Pick<CommandContext, 'env' | 'version'>,
  { serviceAccountDir = defaultServiceAccountDir, nodeRoot, configFile }: PodContext = {},
): Promise<Connection | undefined> {
  const isInPod = existsSync(join(serviceAccountDir, 'token'));
  if (kubeconfig === undefined && !isInPod) return undefined;
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '443' } = env;
  const inCluster = parseHostPort(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);
  const read = async (): Promise<ApiOptions> => {
    const { credentials, server } = await loadCredentials(
      kubeconfig === undefined ? { serviceAccountDir } : { kubeconfig },
      new Set(),
    );
    const servers = server ? [server] : inCluster.ok ? [inCluster.value] : [];
    // On a new node kube-proxy, which makes the ClusterIP work, may wait for the very agent that is to be installed.
    if (!server && nodeRoot !== undefined) servers.push(...(await nodeServers(nodeRoot, configFile)));
    return { servers: distinct(servers), credentials, userAgent: `fairlead/${version}` };
  };
  const options = await read();
  const { servers, credentials } = options;
  if (servers.length === 0) {
    throw new FairleadError(
      'CONFIG_INVALID',
      'no API server is known; set --kubeconfig, or run this in a pod with a service account',
    );
  }
  const { ca } = credentials;
  const api = new KubeApi(options, read);
  return { api, servers, ...(ca !== undefined && { ca }) };
}

const distinct = (servers: readonly HostPort[]) => [
  ...new Map(servers.map((server) => [formatHostPort(server), server])).values(),
];

/** The API servers that the node itself knows of: by kubelet, by the agent's configuration, by the agent's list. */
async function nodeServers(root: string, configFile: string | undefined): Promise<HostPort[]> {
  const servers = [
    ...(await kubeletServer(root, nodePaths.kubeletKubeconfig)),
    ...(await kubeletServer(root, nodePaths.bootstrapKubeconfig)),
  ];
  if (configFile === undefined) return servers;
  const loaded = await loadConfig({ file: configFile, env: {}, hostname: 'node', mustFindEndpoints: false });
  if (!loaded.ok) return servers; // installing says what is wrong with it
  const { endpoints, discovery } = loaded.config;
  const cache = decodeCache(await readAgents(root, discovery.cacheFile));
  const cached = cache.ok
    ? cache.value.endpoints.map(({ endpoint: { host, port } }) => ({ host, port }))
    : [];
  return [...servers, ...endpoints, ...cached];
}

/** Empty where it cannot be read. */
async function readBelow(root: string, path: string | undefined): Promise<string> {
  if (path === undefined) return '';
  return readFileText(path, { locate: (file) => resolveBelow(root, file) }).catch(() => '');
}

/** A file that the agent writes: it may be anything, a link or a named pipe among others. */
async function readAgents(root: string, path: string | undefined): Promise<string> {
  if (path === undefined) return '';
  const files = new NodeFiles(root);
  files.distrust([dirname(path)]);
  const bytes = await files.readDistrusted(path).catch(() => undefined);
  return bytes?.toString('utf8') ?? '';
}

/** None where the kubeconfig cannot be read, or names an address of the node itself. */
async function kubeletServer(root: string, path: string): Promise<HostPort[]> {
  const text = await readBelow(root, path);
  const reading = readKubeconfigText(text);
  if (!reading.ok) return [];
  const { clusters, currentCluster } = reading.value;
  const url = clusters.find(({ name }) => name === currentCluster)?.server ?? '';
  if (!url.startsWith('https://')) return [];
  const parsed = parseHostPort(url.slice('https://'.length).replace(/\/.*$/, ''), { defaultPort: 443 });
  return parsed.ok && !isLoopback(parsed.value.host) ? [parsed.value] : [];
}

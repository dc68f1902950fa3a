// The cluster's API for the commands that need it: by a kubeconfig, else by the pod's service account.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isLoopback } from '../config/loopback.ts';
import { KubeApi } from '../install/api.ts';
import { resolveBelow } from '../install/below-root.ts';
import { readKubeconfigText } from '../install/kubeconfig-text.ts';
import { nodePaths } from '../install/node-paths.ts';
import { defaultServiceAccountDir, loadCredentials } from '../kubernetes/load-credentials.ts';
import { type HostPort, parseHostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import type { Surroundings } from './surroundings.ts';

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

export interface PodSurroundings {
  readonly serviceAccountDir?: string;
  /** Where the node's file system is: the API server that kubelet uses is asked where the ClusterIP does not answer. */
  readonly nodeRoot?: string;
}

/** Undefined where there is neither. */
export async function connectApi(
  { kubeconfig }: ApiCommandOptions,
  { env, version }: Pick<Surroundings, 'env' | 'version'>,
  { serviceAccountDir = defaultServiceAccountDir, nodeRoot }: PodSurroundings = {},
): Promise<Connection | undefined> {
  const isInPod = existsSync(join(serviceAccountDir, 'token'));
  if (kubeconfig === undefined && !isInPod) return undefined;
  const { credentials, server } = await loadCredentials(
    kubeconfig === undefined ? { serviceAccountDir } : { kubeconfig },
    new Set(),
  );
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '443' } = env;
  const inCluster = parseHostPort(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);
  const servers = server ? [server] : inCluster.ok ? [inCluster.value] : [];
  // On a new node kube-proxy, which makes the ClusterIP work, may wait for the very agent that is to be installed.
  if (!server && nodeRoot !== undefined) servers.push(...(await kubeletServer(nodeRoot)));
  if (servers.length === 0) {
    throw new FairleadError(
      'CONFIG_INVALID',
      'no API server is named: neither by --kubeconfig nor by the pod',
    );
  }
  const { ca } = credentials;
  const api = new KubeApi({ servers, credentials, userAgent: `fairlead/${version}` });
  return { api, servers, ...(ca !== undefined && { ca }) };
}

/** None where kubelet's kubeconfig cannot be read, or names an address of the node itself. */
async function kubeletServer(root: string): Promise<HostPort[]> {
  const text = await resolveBelow(root, nodePaths.kubeletKubeconfig)
    .then((file) => readFile(file, 'utf8'))
    .catch(() => '');
  const reading = readKubeconfigText(text);
  if (!reading.ok) return [];
  const { clusters, currentCluster } = reading.value;
  const url = clusters.find(({ name }) => name === currentCluster)?.server ?? '';
  if (!url.startsWith('https://')) return [];
  const parsed = parseHostPort(url.slice('https://'.length).replace(/\/.*$/, ''), { defaultPort: 443 });
  return parsed.ok && !isLoopback(parsed.value.host) ? [parsed.value] : [];
}

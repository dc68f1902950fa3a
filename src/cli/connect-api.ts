// The cluster's API for the commands that need it: by a kubeconfig, else by the pod's service account.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { KubeApi } from '../install/api.ts';
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

/** Undefined where there is neither. */
export async function connectApi(
  { kubeconfig }: ApiCommandOptions,
  { env, version }: Surroundings,
): Promise<Connection | undefined> {
  const isInPod = existsSync(join(defaultServiceAccountDir, 'token'));
  if (kubeconfig === undefined && !isInPod) return undefined;
  const { credentials, server } = await loadCredentials(
    kubeconfig === undefined ? { serviceAccountDir: defaultServiceAccountDir } : { kubeconfig },
    new Set(),
  );
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '443' } = env;
  const inCluster = parseHostPort(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);
  const servers = server ? [server] : inCluster.ok ? [inCluster.value] : [];
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

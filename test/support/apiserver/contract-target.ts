// What the contract suite talks to: the stand-in, or real kube-apiservers named by
// FAIRLEAD_TEST_KUBECONFIG (an admin's) and FAIRLEAD_TEST_ENDPOINTS (host:port,host:port).
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { ApiClient, type ApiUser } from '../clients/api-client.ts';
import { startControlPlane } from './control-plane.ts';
import { skipLoudly } from '../jest/skip-loudly.ts';

export interface ContractTarget {
  readonly clients: readonly ApiClient[];
  /** May do everything. */
  readonly admin: ApiUser;
  readonly port: number;
  stop(): Promise<void>;
}

const kubeconfigFile = process.env.FAIRLEAD_TEST_KUBECONFIG;
const endpoints = process.env.FAIRLEAD_TEST_ENDPOINTS;

/** True when the suite is pointed at real API servers. */
export const isReal = kubeconfigFile !== undefined && endpoints !== undefined;

/** For facts that need the stand-in's switches: a test there, a loud skip on real servers. */
export function switchedTest(name: string, fn: () => Promise<void>): void {
  if (isReal) skipLoudly(name, 'needs switches that real API servers do not have');
  else test(name, fn);
}

export async function openTarget(): Promise<ContractTarget> {
  if (kubeconfigFile && endpoints) return realTarget(kubeconfigFile, endpoints.split(','));
  const plane = await startControlPlane({ servers: 3 });
  return {
    clients: plane.endpoints.map((endpoint) => new ApiClient(endpoint, plane.pki.ca.cert)),
    admin: plane.pki.clients.admin,
    port: plane.servers[0]?.port ?? 0,
    stop: () => plane.stop(),
  };
}

interface KubeconfigFile {
  'current-context': string;
  contexts: { name: string; context: { cluster: string; user: string } }[];
  clusters: { name: string; cluster: Record<string, string> }[];
  users: { name: string; user: Record<string, string> }[];
}

function realTarget(file: string, addresses: readonly string[]): ContractTarget {
  const config = parse(readFileSync(file, 'utf8')) as KubeconfigFile;
  const context = config.contexts.find(({ name }) => name === config['current-context'])?.context;
  const cluster = config.clusters.find(({ name }) => name === context?.cluster)?.cluster ?? {};
  const user = config.users.find(({ name }) => name === context?.user)?.user ?? {};
  const read = (fields: Record<string, string>, name: string): string => {
    const data = fields[`${name}-data`];
    const path = fields[name];
    if (data) return Buffer.from(data, 'base64').toString();
    return path ? readFileSync(resolve(dirname(file), path), 'utf8') : '';
  };
  const clients = addresses.map(
    (endpoint) => new ApiClient(endpoint, read(cluster, 'certificate-authority')),
  );
  const { token } = user;
  const admin = token ? { token } : { cert: read(user, 'client-certificate'), key: read(user, 'client-key') };
  return { clients, admin, port: clients[0]?.address.port ?? 0, stop: async () => {} };
}

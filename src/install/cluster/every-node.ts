// Whether an address of the loopback leads to an API server on every node: on workers through Fairlead, on
// control-plane nodes through Fairlead or straight to the API server beside.
import { apiServerAddress } from '../doctor/static-pods.ts';
import { readReports } from '../node/report.ts';
import { isLoopback, isWildcard } from '../../config/loopback.ts';
import type { HostPort } from '../../model/endpoint.ts';
import type { KubeApi, KubeObject } from '../api.ts';

const roles = ['node-role.kubernetes.io/control-plane', 'node-role.kubernetes.io/master'];

interface PodObject extends KubeObject {
  readonly spec?: {
    readonly nodeName?: string;
    readonly containers?: readonly {
      readonly command?: readonly string[];
      readonly args?: readonly string[];
    }[];
  };
}

const itemsOf = <T extends KubeObject>(list: KubeObject): readonly T[] =>
  Array.isArray(list.items) ? (list.items as T[]) : [];

/** Why the address would not do, a line for each node; none: it does. */
export async function nodesWithoutListener(api: KubeApi, address: HostPort): Promise<string[]> {
  if (!isLoopback(address.host) && address.host !== 'localhost') return [];
  const nodes = itemsOf(await api.must({ path: '/api/v1/nodes' }));
  const serving = new Set(
    (await readReports(api)).filter(({ state }) => state === 'serving').map(({ node }) => node),
  );
  const apiServers = await apiServersByNode(api);
  return nodes.flatMap(({ metadata }) => {
    const name = metadata?.name ?? '';
    if (serving.has(name)) return [];
    const isControlPlane = roles.some((role) => metadata?.labels?.[role] !== undefined);
    if (!isControlPlane)
      return [`${name}: no agent has reported that it serves there (fairlead install --report)`];
    const own = apiServers.get(name);
    if (!own)
      return [
        `${name}: a control-plane node whose API server's pod cannot be seen, and no agent serves there`,
      ];
    if (own.port !== address.port)
      return [
        `${name}: a control-plane node; its API server listens on port ${own.port}, nothing on ${address.port}`,
      ];
    if (!isWildcard(own.host) && own.host !== address.host)
      return [
        `${name}: a control-plane node; its API server listens on ${own.host} only, not on the loopback`,
      ];
    return [];
  });
}

async function apiServersByNode(api: KubeApi): Promise<Map<string, HostPort>> {
  const { status, object } = await api.ask({
    path: '/api/v1/namespaces/kube-system/pods?labelSelector=component%3Dkube-apiserver',
  });
  const found = new Map<string, HostPort>();
  for (const { metadata, spec } of status === 200 ? itemsOf<PodObject>(object) : []) {
    const command = (spec?.containers ?? []).flatMap(({ command: words = [], args = [] }) => [
      ...words,
      ...args,
    ]);
    const address = apiServerAddress([{ file: '', name: metadata?.name ?? '', images: [], command }]);
    if (address && spec?.nodeName) found.set(spec.nodeName, address);
  }
  return found;
}

// Whether a process on every node answers on the address that clients of the whole cluster will be pointed at:
// the agent, or, on a control-plane node, its own API server. Reading and judging are apart; judging is pure.
import { isWildcard } from '../../model/host.ts';
import { formatHostPort, type HostPort } from '../../model/endpoint.ts';
import {
  configMapPath,
  installNamespace,
  type KubeApi,
  type KubeObject,
  reportsNamespace,
} from '../../kubernetes/kube-api.ts';
import { readNodeReport, reportLabel, reportsPage, saysServing } from '../../kubernetes/node-reports.ts';

export interface SeenNode {
  readonly name: string;
  readonly isControlPlane: boolean;
  readonly addresses: readonly string[];
}

export interface SeenApiServer {
  readonly node: string;
  readonly port: number;
  /** As `--bind-address` says; undefined: all addresses. */
  readonly bindAddress?: string;
}

export interface SeenCluster {
  readonly nodes: readonly SeenNode[];
  /** Those that run in pods, as kubeadm's and Kubespray's do. */
  readonly apiServers: readonly SeenApiServer[];
  /** Of service `default/kubernetes`. */
  readonly endpoints: readonly HostPort[];
  /** Nodes whose agent is ready, or whose installer has lately reported that it serves. */
  readonly agents: ReadonlySet<string>;
}

export interface Judgement {
  /** Nodes where no process answers, and why. */
  readonly missing: readonly string[];
  /** Nodes where a process should answer, but that cannot be verified. */
  readonly doubts: readonly string[];
}

const controlPlaneLabels = ['node-role.kubernetes.io/control-plane', 'node-role.kubernetes.io/master'];

export function judgeListeners(address: HostPort, seen: SeenCluster): Judgement {
  const missing: string[] = [];
  const doubts: string[] = [];
  for (const node of seen.nodes) {
    if (seen.agents.has(node.name)) continue;
    const { problem, doubt } = node.isControlPlane
      ? apiServerOn(node, address, seen)
      : {
          problem:
            'its agent is not ready, and has not recently reported that it is serving (fairlead install --report)',
        };
    if (problem !== undefined) missing.push(`${node.name}: ${problem}`);
    if (doubt !== undefined) doubts.push(`${node.name}: ${doubt}`);
  }
  return { missing, doubts };
}

function apiServerOn(
  { name, addresses }: SeenNode,
  address: HostPort,
  { apiServers, endpoints }: SeenCluster,
): { readonly problem?: string; readonly doubt?: string } {
  const own = apiServers.find(({ node }) => node === name);
  const where = formatHostPort(address);
  if (own) {
    if (own.port !== address.port)
      return { problem: `its API server listens on port ${own.port}, and no agent is ready on this node` };
    const bound = own.bindAddress ?? '';
    // Go listens on both families for either wildcard.
    const answers = bound === '' || isWildcard(bound) || bound === address.host;
    return answers
      ? {}
      : { problem: `its API server listens on ${bound} only, and no agent is ready on this node` };
  }
  const isThere = endpoints.some(({ host, port }) => addresses.includes(host) && port === address.port);
  if (!isThere) return { problem: `no process is known to listen on ${where}` };
  return { doubt: `its API server does not run as a pod; it is assumed to listen on ${where} too` };
}

/** Rejects with API_REFUSED. */
export async function readCluster(
  api: Pick<KubeApi, 'list'>,
  endpoints: readonly HostPort[],
  nowMs: number,
): Promise<SeenCluster> {
  const label = (text: string) => `labelSelector=${encodeURIComponent(text)}`;
  const [nodes, servers, agents, reports] = await Promise.all([
    // A node lists its images: 20 to 40 KB each.
    api.list('/api/v1/nodes', 20),
    api.list(`/api/v1/namespaces/kube-system/pods?${label('component=kube-apiserver')}`, 50),
    api.list(
      `/api/v1/namespaces/${installNamespace}/pods?${label('app.kubernetes.io/component in (static-pod,daemonset-agent)')}`,
      50,
    ),
    api.list(
      `${configMapPath(reportsNamespace)}?${label(`${reportLabel}=node,fairlead/state=serving`)}`,
      reportsPage,
    ),
  ]);
  return {
    nodes: nodes.map(readNode),
    apiServers: servers.map(readApiServer),
    endpoints,
    agents: new Set([
      ...agents.filter(isReady).map((pod) => (pod as Pod).spec?.nodeName ?? ''),
      ...reports
        .map((object) => readNodeReport(object, nowMs))
        .filter(saysServing)
        .map(({ node }) => node),
    ]),
  };
}

type Node = KubeObject & {
  readonly status?: { readonly addresses?: readonly { readonly address: string }[] };
};

type Pod = KubeObject & {
  readonly spec?: {
    readonly nodeName?: string;
    readonly containers?: readonly {
      readonly command?: readonly string[];
      readonly args?: readonly string[];
    }[];
  };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
};

function readNode(object: KubeObject): SeenNode {
  const { metadata, status } = object as Node;
  return {
    name: metadata?.name ?? '',
    isControlPlane: controlPlaneLabels.some((name) => metadata?.labels?.[name] !== undefined),
    addresses: (status?.addresses ?? []).map(({ address }) => address),
  };
}

function readApiServer(object: KubeObject): SeenApiServer {
  const { spec } = object as Pod;
  const words = (spec?.containers ?? []).flatMap(({ command = [], args = [] }) => [...command, ...args]);
  const flag = (name: string) => words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
  const bindAddress = flag('--bind-address');
  return {
    node: spec?.nodeName ?? '',
    port: Number(flag('--secure-port') ?? 6443),
    ...(bindAddress !== undefined && { bindAddress }),
  };
}

const isReady = (object: KubeObject) =>
  (object as Pod).status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ??
  false;

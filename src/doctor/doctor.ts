// The examination: gathers the facts of a node and of its API servers, and has them judged. Changes nothing;
// it sends reads, and reviews of its own rights, to API servers.
import { join } from 'node:path';
import { type Config, defaultPoolName, healthStepsOf, usedPools } from '../config/config.ts';
import { isLocalhost, isLoopback } from '../model/host.ts';
import { parseSlice, readSlices } from '../discovery/endpointslices.ts';
import { ownListenerCheck } from '../model/own-listener.ts';
import type { Credentials } from '../kubernetes/credentials.ts';
import { useParts } from '../kubernetes/credential-parts.ts';
import { type CredentialOptions, readCredentials } from '../kubernetes/load-credentials.ts';
import { checkIdentity } from '../kubernetes/server-identity.ts';
import { formatHostPort, type HostPort, parseHostPort } from '../model/endpoint.ts';
import { resolveBelow } from '../lib/below-root.ts';
import { readFileBytes } from '../lib/read-file.ts';
import { parseJson } from '../lib/bounded-json.ts';
import { hasBootSeeds } from '../adopt/boot-seeds.ts';
import { hostsFile, maxHostsBytes } from '../adopt/hosts.ts';
import { type NodeRole, nodeRole } from '../adopt/node-paths.ts';
import { backupSuffix } from '../adopt/point.ts';
import { askApiServer } from '../kubernetes/ask-api-server.ts';
import { presentedCertificate } from '../kubernetes/presented-certificate.ts';
import { judgeCredentialCertificates } from './certificates.ts';
import { type EndpointFacts, judgeEndpoints } from './endpoint-checks.ts';
import { type Finding, finding } from './finding.ts';
import {
  findKubeconfigs,
  type FoundKubeconfig,
  judgeHosts,
  judgeKubeconfigs,
  leadsTo,
  readKubeconfigs,
} from './kubeconfig-checks.ts';
import { type AddressFacts, type AgentFacts, judgeNode } from './node-checks.ts';
import { portState } from '../lib/bind.ts';
import { reviewRights } from './rbac.ts';
import { readStaticPods } from './static-pods.ts';
import { fieldsOf, listOf } from '../lib/guards.ts';

export interface DoctorInput {
  readonly root: string;
  readonly config: Config;
  readonly credentials: CredentialOptions;
  /** The running agent, and what it knows. */
  readonly agent: (AgentFacts & { readonly endpoints: readonly string[] }) | undefined;
  readonly userAgent: string;
  readonly nowMs: number;
}

export interface Examination {
  readonly role: NodeRole;
  /** The API servers that were looked at. */
  readonly endpoints: readonly string[];
  readonly findings: readonly Finding[];
}

/** Kubespray's proxies answer health checks there. */
const proxyHealthAddress = { host: '127.0.0.1', port: 8081 };

export async function examine(input: DoctorInput): Promise<Examination> {
  const { root, config, agent } = input;
  const procDir = join(root, 'proc');
  const hosts = await readHosts(root);
  const [role, pods, kubeconfigs] = await Promise.all([
    nodeRole(root),
    readStaticPods(root),
    findKubeconfigs(root, hosts),
  ]);
  const addresses: AddressFacts[] = [];
  for (const { optional, ...listener } of config.listeners) {
    const address = { host: listener.host, port: listener.port };
    addresses.push({
      address,
      purpose: 'listener',
      isOptional: optional,
      port: await portState(address, procDir),
    });
  }
  if (config.admin) {
    const address = config.admin;
    addresses.push({ address, purpose: 'admin', isOptional: false, port: await portState(address, procDir) });
  }
  const healthPort = await portState(proxyHealthAddress, procDir);
  // On a host whose listeners lead to etcd alone, say, findings about API servers do not apply.
  const isForApiServers = usedPools(config).has(defaultPoolName);
  const node = judgeNode({
    role,
    pods,
    addresses,
    healthPort,
    agent,
    hasBootSeeds: !isForApiServers || hasBootSeeds(config, agent?.sources),
  });
  const listeners = config.listeners
    .filter(({ pool }) => pool === defaultPoolName)
    .map(({ host, port }) => ({ host, port }));
  const pointing = judgeKubeconfigs(kubeconfigs, {
    role,
    listeners,
    isAgentRunning: agent !== undefined,
    isDaemonSet: agent?.deployment === 'daemonset',
    isPortHeld: addresses.some(({ purpose, port }) => purpose === 'listener' && port.state === 'held'),
  });

  if (!isForApiServers)
    return { role, endpoints: [], findings: [...node, ...pointing, ...judgeHosts(hosts)] };
  const { credentials, server, findings: credentialFindings } = await examineCredentials(input);
  const originals = await findOriginals(root, kubeconfigs);
  const known = knownEndpoints(input, [...kubeconfigs, ...originals], server);
  const { facts, findings: access } = await examineEndpoints(input, credentials, known);
  const listenerHost = listeners.find(({ host }) => isLoopback(host))?.host ?? '127.0.0.1';
  const [step] = healthStepsOf(config.health);
  const judged = judgeEndpoints(facts, {
    healthPath: step?.path ?? '/readyz',
    expectStatus: step?.expectStatus ?? [{ from: 200, to: 200 }],
    ...(credentials.serverName !== undefined && { serverName: credentials.serverName }),
    clientNames: [
      ...kubeconfigs
        .filter(({ server }) => leadsTo(server, listeners) === 'to Fairlead')
        .map(({ file, name }) => ({ file, name })),
      ...config.health.clientNames.map((name) => ({ file: 'a client (health.clientNames)', name })),
    ],
    listenerHost,
    hasCredentials: credentials.kind !== 'none',
    hasCa: credentials.ca !== undefined,
    nowMs: input.nowMs,
  });
  return {
    role,
    endpoints: facts.map(({ endpoint }) => formatHostPort(endpoint)),
    findings: [...node, ...pointing, ...judgeHosts(hosts), ...credentialFindings, ...judged, ...access],
  };
}

/** Empty where there is none that can be read. */
async function readHosts(root: string): Promise<string> {
  const locate = (file: string) => resolveBelow(root, file);
  return readFileBytes(hostsFile, { locate, maxBytes: maxHostsBytes }).then(
    (bytes) => bytes.toString('latin1'),
    () => '',
  );
}

async function examineCredentials({ root, credentials: options, nowMs }: DoctorInput): Promise<{
  readonly credentials: Credentials;
  /** Of the kubeconfig that the credentials come from. */
  readonly server?: HostPort;
  readonly findings: readonly Finding[];
}> {
  const source = options.kubeconfig ?? options.clientCertFile ?? options.tokenFile ?? options.caFile;
  const located = { ...options, locate: (file: string) => resolveBelow(root, file) };
  const reading = await readCredentials(located, new Set());
  const inUse = await useParts(reading, {}, { serverName: options.serverName, kept: async () => undefined });
  const { credentials, server, problems } = inUse;
  const fix =
    'Fix the file, run the doctor as a user that may read it, or name another kubeconfig with --kubeconfig.';
  const findings: Finding[] = problems.map(({ message }) => finding('credentials', 'error', message, fix));
  // Consequences of an unreadable part are not separate findings.
  const isGone = problems.length > 0;
  if (credentials.ca === undefined && !isGone) {
    const fix =
      'Name a kubeconfig with a CA (--kubeconfig /etc/kubernetes/kubelet.conf), or --ca-file /etc/kubernetes/pki/ca.crt.';
    findings.push(finding('credentials', 'error', 'no CA is configured to verify API servers', fix));
  }
  if (credentials.kind === 'none' && isGone) return { credentials, findings, ...(server && { server }) };
  if (credentials.kind === 'none') {
    const fix =
      'Name a kubeconfig (--kubeconfig /etc/kubernetes/kubelet.conf); docs/credentials.md lists all ways.';
    findings.push(
      finding(
        'credentials',
        'warning',
        'there are no credentials, so there is no watch and health checks are anonymous',
        fix,
      ),
    );
  } else findings.push(finding('credentials', 'ok', `${credentials.kind}${source ? ` of ${source}` : ''}`));
  const all = [...findings, ...judgeCredentialCertificates(credentials, nowMs)];
  return { credentials, findings: all, ...(server && { server }) };
}

/** A kubeconfig that was pointed here still knows an API server: its original does. */
async function findOriginals(root: string, found: readonly FoundKubeconfig[]): Promise<FoundKubeconfig[]> {
  const files = found.map(({ file }) => ({ file: `${file}${backupSuffix}`, client: 'an original' }));
  return readKubeconfigs(root, files, '');
}

/** Every API server that anything here names, without Fairlead itself. */
function knownEndpoints(
  { config, agent, credentials: { serviceHost } }: DoctorInput,
  kubeconfigs: readonly FoundKubeconfig[],
  server: HostPort | undefined,
): HostPort[] {
  const isOwn = ownListenerCheck(config.listeners, () => []);
  const named = [
    ...config.endpoints,
    ...(agent?.endpoints ?? []).flatMap((id) => {
      const parsed = parseHostPort(id);
      return parsed.ok ? [parsed.value] : [];
    }),
    // What is on localhost is a proxy or Fairlead; CNI plugins use the ClusterIP, which needs kube-proxy.
    ...[...kubeconfigs.filter(({ isCni }) => !isCni).map((kubeconfig) => kubeconfig.server), server].filter(
      (endpoint) => endpoint !== undefined && !isLocalhost(endpoint.host) && endpoint.host !== serviceHost,
    ),
  ];
  return unique(named.filter((endpoint) => endpoint !== undefined).filter((endpoint) => !isOwn(endpoint)));
}

function unique(endpoints: readonly HostPort[]): HostPort[] {
  return [...new Map(endpoints.map((endpoint) => [formatHostPort(endpoint), endpoint])).values()];
}

async function examineEndpoints(
  input: DoctorInput,
  credentials: Credentials,
  known: readonly HostPort[],
): Promise<{ readonly facts: readonly EndpointFacts[]; readonly findings: readonly Finding[] }> {
  const factsOf = (endpoint: HostPort) => examineEndpoint(endpoint, input, credentials);
  const facts = await Promise.all(known.map(factsOf));
  const first = facts.find(({ health }) => health?.ok && health.status !== 401);
  if (!first || credentials.kind === 'none' || !input.config.discovery.watch) return { facts, findings: [] };

  const { namespace, service, portName } = input.config.discovery;
  const ask = (question: { readonly path: string; readonly body?: unknown }) =>
    askApiServer({ endpoint: first.endpoint, credentials, userAgent: input.userAgent, ...question });
  const { mayWatch, findings } = await reviewRights({ ask, namespace, credentials });
  if (!mayWatch) return { facts, findings };
  const label = encodeURIComponent(`kubernetes.io/service-name=${service}`);
  const answer = await ask({
    path: `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=${label}`,
  });
  const discovered =
    answer.ok && answer.status === 200 ? endpointsOf(answer.body, portName, first.endpoint) : [];
  const seen = new Set(known.map(formatHostPort));
  const more = await Promise.all(
    discovered.filter((endpoint) => !seen.has(formatHostPort(endpoint))).map(factsOf),
  );
  return { facts: [...facts, ...more], findings };
}

function endpointsOf(body: string, portName: string, from: HostPort): readonly HostPort[] {
  // Not JSON: nothing more is known, and the answers to the other questions stand.
  const { items } = fieldsOf(parseJson(body));
  const options = { mayBeLoopback: isLoopback(from.host) };
  const slices = listOf(items).flatMap((item) => parseSlice(item, portName, options) ?? []);
  return readSlices(slices).endpoints;
}

async function examineEndpoint(
  endpoint: HostPort,
  input: DoctorInput,
  credentials: Credentials,
): Promise<EndpointFacts> {
  const { ca, serverName } = credentials;
  const presented = await presentedCertificate({
    address: endpoint,
    ...(ca !== undefined && { ca }),
    ...(serverName !== undefined && { serverName }),
  });
  const { check } = input.config.health;
  const [step] = healthStepsOf(input.config.health);
  // Credentials are never sent to a server with a certificate for another name.
  const isVerified = presented.ok && !checkIdentity(endpoint, presented.certificate, serverName);
  if (!isVerified || check === 'tcp' || !step) return { endpoint, presented };
  const { userAgent } = input;
  return {
    endpoint,
    presented,
    health: await askApiServer({ endpoint, credentials, path: step.path, userAgent }),
  };
}

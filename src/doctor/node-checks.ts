// Judges the node itself: role, addresses, other load balancers, the agent. Pure: all facts are
// handed in.
import { isWildcard } from '../model/host.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { bootSeedsFix } from '../adopt/boot-seeds.ts';
import type { NodeRole } from '../adopt/node-paths.ts';
import { type Finding, finding } from './finding.ts';
import type { PortState } from '../lib/bind.ts';
import { apiServerAddress, otherLoadBalancers, type StaticPod } from './static-pods.ts';

export interface AgentFacts {
  readonly listeners: readonly string[];
  readonly isReady: boolean;
  /** Takes no new clients and ends soon. */
  readonly isStopping?: boolean;
  /** What started it; missing in an older agent. */
  readonly deployment?: string | undefined;
  readonly admin: string;
  /** Where its endpoints come from. */
  readonly sources: readonly string[];
}

export interface AddressFacts {
  readonly address: HostPort;
  readonly purpose: 'listener' | 'admin';
  /** Left out without an error where the address does not exist. */
  readonly isOptional: boolean;
  readonly port: PortState;
}

export interface NodeFacts {
  readonly role: NodeRole;
  readonly pods: readonly StaticPod[];
  readonly addresses: readonly AddressFacts[];
  /** Port 8081, on which Kubespray's proxies answer health checks. */
  readonly healthPort: PortState;
  /** The agent that answers on the admin address. */
  readonly agent: AgentFacts | undefined;
  /** The configuration, or the agent, has a source beside the kubeconfig. */
  readonly hasBootSeeds: boolean;
}

/** The API server's bind address covers the listener. */
function collides(api: HostPort, listener: HostPort): boolean {
  if (api.port !== listener.port) return false;
  return isWildcard(api.host) || isWildcard(listener.host) || api.host === listener.host;
}

export function judgeNode(facts: NodeFacts): Finding[] {
  return [...judgeRole(facts), ...judgeAddresses(facts), ...judgeOthers(facts), ...judgeAgent(facts)];
}

function* judgeRole({ role, pods, addresses, agent }: NodeFacts): Generator<Finding> {
  yield finding('role', role === 'worker' ? 'ok' : 'info', `this is a ${role} node`);
  const api = apiServerAddress(pods);
  if (!api) return;
  for (const { address } of addresses) {
    if (!collides(api, address)) continue;
    const fix =
      'Do not run Fairlead here: clients on a control-plane node use the local API server. To run it ' +
      `anyway, choose another port: --listen ${formatHostPort({ ...address, port: address.port + 1000 })}`;
    const what = `the API server of this node listens on ${formatHostPort(api)}, the address of a Fairlead listener (${formatHostPort(address)})`;
    yield finding('local-api-server', agent ? 'error' : 'warning', what, fix);
  }
}

function* judgeAddresses({ addresses, agent, pods }: NodeFacts): Generator<Finding> {
  const api = apiServerAddress(pods);
  const others = otherLoadBalancers(pods);
  for (const { address, purpose, isOptional, port } of addresses) {
    const where = formatHostPort(address);
    const isOurs = agent && (purpose === 'admin' || agent.listeners.includes(where));
    if (isOurs) yield finding('port', 'ok', `${where} is held by Fairlead`);
    else if (port.state === 'free') {
      const what = `${where} is free`;
      if (!agent) yield finding('port', 'ok', what);
      else if (agent.isStopping) yield finding('port', 'info', `${what}: the agent is stopping`);
      else
        yield finding(
          'port',
          'error',
          `${what}, and the agent does not listen there`,
          'Restart the agent: changed listeners take effect only at its next start.',
        );
    } else if (port.state === 'no such address') {
      if (isOptional) yield finding('port', 'ok', `${where} does not exist here and is skipped`);
      else
        yield finding(
          'port',
          'error',
          `${where} is not an address of this node`,
          'Choose another one with --listen.',
        );
    } else if (port.state === 'refused') {
      yield finding(
        'port',
        'error',
        `${where} cannot be bound: ${port.problem}`,
        'Run Fairlead as a user that may bind it, or choose another one with --listen.',
      );
    } else if (!(api && collides(api, address))) {
      const isProxy = port.by === undefined || /^(nginx|haproxy)/.test(port.by);
      const proxy = isProxy ? others[0] : undefined;
      const by = port.by ?? 'another process';
      if (proxy) yield finding('port', 'warning', `${where} is held by ${by}`, takeOver(proxy));
      else
        yield finding(
          'port',
          'error',
          `${where} is held by ${by}`,
          `Stop it, or choose another address with --listen (ss -ltnp 'sport = :${address.port}' shows it).`,
        );
    }
  }
}

/** How Fairlead takes the place of a proxy that runs as a static pod. */
function takeOver({ file }: StaticPod): string {
  return (
    `Have Fairlead ready to start, then remove the static pod: mv ${file} /root/ (kubelet ends it within ` +
    'seconds). fairlead import converts its settings.'
  );
}

function* judgeOthers({ pods, healthPort, agent }: NodeFacts): Generator<Finding> {
  const others = otherLoadBalancers(pods);
  for (const pod of others) {
    const what = `the static pod ${pod.name} (${pod.file}) is another local load balancer`;
    yield finding(
      'other-load-balancer',
      'warning',
      what,
      agent ? `Remove it: mv ${pod.file} /root/` : takeOver(pod),
    );
  }
  if (others.length === 0)
    yield finding('other-load-balancer', 'ok', 'no nginx or HAProxy static pod is on this node');
  if (healthPort.state !== 'held') return;
  const by = healthPort.by ? ` (${healthPort.by})` : '';
  const what = `something listens on port 8081${by}, the health port of Kubespray's proxies`;
  yield finding(
    'other-load-balancer',
    'info',
    what,
    'Probes of this port do not check Fairlead, which has another admin address.',
  );
}

function* judgeAgent({ agent, hasBootSeeds }: NodeFacts): Generator<Finding> {
  if (hasBootSeeds)
    yield finding(
      'boot',
      'ok',
      'the agent has a list of API servers or a cache in addition to the kubeconfig',
    );
  else {
    const what = 'no API servers and no cache file are configured; only the kubeconfig names an API server';
    yield finding('boot', agent ? 'warning' : 'info', what, bootSeedsFix);
  }
  if (!agent) {
    yield finding(
      'agent',
      'info',
      'no agent answers on the admin address (expected before Fairlead is started)',
      'Start it: fairlead run --config /etc/fairlead/fairlead.yaml',
    );
  } else if (agent.isReady) yield finding('agent', 'ok', `the agent is ready (${agent.admin})`);
  else if (agent.isStopping)
    yield finding(
      'agent',
      'error',
      'the agent is stopping and takes no new clients',
      'Run the doctor again after the agent has restarted. systemctl status fairlead or crictl pods shows why it stopped.',
    );
  else
    yield finding(
      'agent',
      'error',
      'the agent is running, but no API server is usable',
      'fairlead status shows the reason for each API server.',
    );
}

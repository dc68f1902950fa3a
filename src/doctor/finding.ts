// What the doctor can find. docs/doctor.md lists the checks; a test compares.
import type { Problem } from '../model/problems.ts';

export type Severity = 'ok' | 'info' | 'warning' | 'error';

/** From harmless to harmful. */
export const severities: readonly Severity[] = ['ok', 'info', 'warning', 'error'];

interface Check {
  /** What is looked at. */
  readonly looksAt: string;
  /** Why it matters. */
  readonly why: string;
}

export const checks = {
  role: {
    looksAt: 'whether this is a control-plane node',
    why: 'Clients on a control-plane node use the local API server. Fairlead is for the other nodes.',
  },
  'local-api-server': {
    looksAt: 'whether an API server on this node uses the address of a Fairlead listener',
    why: 'Two programs cannot listen on the same address.',
  },
  port: {
    looksAt: "Fairlead's listeners and its admin address: free, or held by which process",
    why: 'Fairlead does not start while another program holds one of its addresses.',
  },
  'other-load-balancer': {
    looksAt: 'static pods of other local load balancers, and port 8081',
    why: 'Two local load balancers on one node compete for the port, and one of them silently stays unused.',
  },
  agent: {
    looksAt: 'the running agent, if there is one',
    why: 'Without the agent, clients that point at Fairlead cannot reach any API server.',
  },
  boot: {
    looksAt: 'whether the agent will know an API server at its next start',
    why: 'A kubeconfig that points at Fairlead no longer names an API server, so the agent needs another source after a reboot.',
  },
  kubeconfig: {
    looksAt:
      'the kubeconfigs on disk: pointing at Fairlead, past it, or at an address where no process listens',
    why: 'A client that uses a single API server fails when that API server fails.',
  },
  hosts: {
    looksAt: "the load balancer's name in /etc/hosts, where Fairlead manages it",
    why: 'If two lines contain the name, clients may use either address.',
  },
  credentials: {
    looksAt: 'the credentials and the CA for health checks and the watch',
    why: 'Without a CA no API server can be verified. Without credentials the list of endpoints is never updated.',
  },
  certificate: {
    looksAt: 'the expiry of client, CA and server certificates',
    why: 'An expired certificate makes every new connection fail.',
  },
  endpoint: {
    looksAt: 'every API server: reachable from here, certificate signed by the CA',
    why: 'This node cannot fail over to an API server that it cannot reach.',
  },
  'server-name': {
    looksAt: 'the names in the certificate of every API server',
    why: "Clients verify the name from their kubeconfig. If an API server's certificate lacks that name, clients fail when they fail over to it.",
  },
  health: {
    looksAt: 'whether these credentials may read the health endpoint of every API server',
    why: 'Without it Fairlead sees that an API server is alive, but not that it has lost etcd or is shutting down.',
  },
  rbac: {
    looksAt: 'the right to list and watch EndpointSlices (SelfSubjectAccessReview)',
    why: 'Without the watch, Fairlead does not notice when API servers are added or removed.',
  },
  clock: {
    looksAt: "this node's clock compared with that of the API servers",
    why: 'Certificates and tokens have a validity period. With a wrong clock valid ones are rejected.',
  },
} as const satisfies Record<string, Check>;

export type CheckId = keyof typeof checks;

export interface Finding extends Problem {
  readonly check: CheckId;
  readonly severity: Severity;
}

export function finding(check: CheckId, severity: Severity, message: string, fix?: string): Finding {
  return { check, severity, message, ...(fix !== undefined && { fix }) };
}

export function worst(findings: readonly Finding[]): Severity {
  return findings.reduce<Severity>(
    (most, { severity }) => (severities.indexOf(severity) > severities.indexOf(most) ? severity : most),
    'ok',
  );
}

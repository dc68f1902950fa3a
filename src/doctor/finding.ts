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
    why: 'The clients of a control-plane node use the API server beside them; Fairlead is for the others.',
  },
  'local-api-server': {
    looksAt: 'whether an API server of this node holds a listener of Fairlead',
    why: 'Two programs cannot listen on one address.',
  },
  port: {
    looksAt: "Fairlead's listeners and its admin address: free, or held by whom",
    why: 'Fairlead does not start while another program holds one of its addresses.',
  },
  'other-load-balancer': {
    looksAt: 'static pods of other local load balancers, and port 8081',
    why: 'Two local load balancers on one node compete for the port, and one of them goes unused unnoticed.',
  },
  agent: {
    looksAt: 'the running agent, if there is one',
    why: 'Clients that point at Fairlead reach no API server without it.',
  },
  boot: {
    looksAt: 'whether the agent will know an API server at its next start',
    why: 'A kubeconfig that points at Fairlead names no API server any more; after a reboot the agent needs another source.',
  },
  kubeconfig: {
    looksAt: 'the kubeconfigs on disk: pointing at Fairlead, past it, or where nobody listens',
    why: 'A client whose kubeconfig names one API server goes down with it.',
  },
  hosts: {
    looksAt: "the load balancer's name in /etc/hosts, where Fairlead manages it",
    why: 'Where two lines name it, some clients take one address, others the other.',
  },
  credentials: {
    looksAt: 'the credentials and the CA for health checks and the watch',
    why: 'Without a CA no API server can be verified; without credentials the list of endpoints stays as configured.',
  },
  certificate: {
    looksAt: 'the expiry of client, CA and server certificates',
    why: 'An expired certificate ends every connection at once.',
  },
  endpoint: {
    looksAt: 'every API server: reachable from here, certificate signed by the CA',
    why: 'An API server that this node cannot reach is none to fail over to.',
  },
  'server-name': {
    looksAt: 'the names in the certificate of every API server',
    why: 'Clients verify the name that their kubeconfig gives; one that an API server lacks fails at the first failover.',
  },
  health: {
    looksAt: 'whether these credentials may read the health endpoint of every API server',
    why: 'Without it Fairlead sees that an API server is alive, but not that it lost etcd or is shutting down.',
  },
  rbac: {
    looksAt: 'the right to list and watch EndpointSlices (SelfSubjectAccessReview)',
    why: 'Without the watch, API servers that come and go are not noticed.',
  },
  clock: {
    looksAt: "this node's clock beside that of the API servers",
    why: 'Certificates and tokens are valid for a time; a clock that is wrong makes good ones bad.',
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

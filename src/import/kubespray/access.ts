// Which address reaches the API servers, for each role, as Kubespray's HA document says: its table, the way
// its templates compute it (roles/kubespray_defaults/defaults/main/main.yml), and the combinations of
// variables for which those templates give an address that does not work. Pure.
//
// The document's letters: sp the API server's secure port, nsp the local listener's, lp the external load
// balancer's, cbip a custom bind address, m0 the first control-plane node.
import { isLoopback, isWildcard } from '../../model/host.ts';
import { formatHostPort } from '../../model/endpoint.ts';
import type { KubesprayVars } from './vars.ts';

export type AccessRole = 'control-plane' | 'worker' | 'external';
export const accessRoles: readonly AccessRole[] = ['control-plane', 'worker', 'external'];

/** Combinations of variables that users stumble over; docs/kubespray.md lists them, and a test compares. */
export const traps = [
  'lb-and-localhost',
  'lb-unused-localhost',
  'document-differs',
  'bind-all-ipv4',
  'bind-ipv6-mangled',
  'bind-loopback',
  'lb-collides-with-api-server',
  'kube-proxy-dead-port',
  'haproxy-check-unauthorized',
  'ipv6-brackets',
  'domain-name-unused',
  'san-missing',
] as const;

export type Trap = (typeof traps)[number];

export interface AccessWarning {
  readonly trap: Trap;
  readonly text: string;
}

export interface AccessInput {
  readonly vars: KubesprayVars;
  readonly role: AccessRole;
  /** m0's access address; wins over the variable. */
  readonly firstControlPlane?: string;
  /** A load balancer that the inventory does not know: `HOST:PORT`, or a host with port sp. */
  readonly unmanagedLb?: { readonly host: string; readonly port?: number };
}

export interface Access {
  /** URLs; the first is the one to use, a second one works as well. */
  readonly endpoints: readonly string[];
  /** What Kubespray's own templates give, where that is something else. */
  readonly kubespray?: string;
  readonly warnings: readonly AccessWarning[];
}

export type AccessResult =
  | ({ readonly ok: true } & Access)
  | { readonly ok: false; readonly problem: string };

const defaultSecurePort = 6443;
const defaultBind = '::';

/** The values with Kubespray's defaults filled in. */
interface Resolved {
  readonly vars: KubesprayVars;
  readonly securePort: number;
  readonly localPort: number;
  readonly lbPort: number;
  readonly bind: string;
  readonly hasLb: boolean;
  readonly isLocal: boolean;
}

function resolved(vars: KubesprayVars): Resolved {
  const securePort = vars.securePort ?? defaultSecurePort;
  const hasLb = vars.lb !== undefined;
  return {
    vars,
    securePort,
    localPort: vars.localPort ?? securePort,
    lbPort: vars.lb?.port ?? securePort,
    bind: vars.bindAddress ?? defaultBind,
    hasLb,
    isLocal: vars.localhost ?? !hasLb,
  };
}

const url = (host: string, port: number) => `https://${formatHostPort({ host, port })}`;

export function accessOf(input: AccessInput): AccessResult {
  const facts = resolved(input.vars);
  const { vars, hasLb, isLocal } = facts;
  const domainName = vars.domainName === 'localhost' ? undefined : vars.domainName;
  const lbHost = domainName ?? vars.lb?.address;
  if (hasLb && lbHost === undefined) {
    const problem = 'set the address of loadbalancer_apiserver, or apiserver_loadbalancer_domain_name';
    return { ok: false, problem };
  }
  // With both, the templates take the load balancer's port and the local one's name, unless a name is given.
  const isMixed = hasLb && isLocal && domainName === undefined;
  const usesLb = hasLb && lbHost !== undefined && (!isMixed || input.role === 'external');
  const endpoints = usesLb ? [url(lbHost, facts.lbPort)] : withoutLb(input, facts);
  if (!endpoints) {
    const problem =
      'this case uses the first control-plane node: set --first-control-plane to its access_ip (else its ip)';
    return { ok: false, problem };
  }
  const kubespray = kubesprayEndpoint(input, facts, isMixed);
  const differs = kubespray !== undefined && !endpoints.includes(kubespray);
  return {
    ok: true,
    endpoints,
    ...(differs && { kubespray }),
    warnings: [
      ...lbWarnings(input, facts, isMixed),
      ...bindWarnings(facts),
      ...localWarnings(facts),
      ...nameWarnings(input, facts, endpoints),
    ],
  };
}

/** Where no external load balancer is for this role; undefined when m0 is needed and not known. */
function withoutLb(input: AccessInput, facts: Resolved): string[] | undefined {
  const { role, unmanagedLb, vars } = input;
  const { isLocal, securePort, localPort, bind } = facts;
  if (role === 'worker' && isLocal) return [url('localhost', localPort)];
  if (role === 'control-plane') {
    const own = url(bindHost(bind), securePort);
    return hasLocalOnControlPlane(facts) ? [own, url('localhost', localPort)] : [own];
  }
  if (role === 'external' && unmanagedLb) return [url(unmanagedLb.host, unmanagedLb.port ?? securePort)];
  const first = input.firstControlPlane ?? vars.firstControlPlane;
  return first === undefined ? undefined : [url(first, securePort)];
}

/** The address at which an API server with that bind address is reached from its own host. */
function bindHost(bind: string): string {
  return isWildcard(bind) ? '127.0.0.1' : bind;
}

/** Kubespray puts its proxy on control-plane nodes too, unless the API server has the default bind address. */
function hasLocalOnControlPlane({ isLocal, bind, securePort, localPort }: Resolved): boolean {
  if (!isLocal || bind === defaultBind) return false;
  return !(localPort === securePort && holdsLocalhost(bind));
}

const holdsLocalhost = (bind: string) => isWildcard(bind) || isLoopback(bind);

/** What the templates render for a node; for `external` there is no template on the nodes. */
function kubesprayEndpoint({ role }: AccessInput, facts: Resolved, isMixed: boolean): string | undefined {
  const { bind, securePort, lbPort } = facts;
  if (role === 'external') return undefined;
  if (isMixed) return url('localhost', lbPort);
  if (facts.hasLb || role === 'worker') return undefined;
  const mangled = bind.replaceAll('::', '127.0.0.1');
  return `https://${mangled.includes(':') ? `[${mangled}]` : mangled}:${securePort}`;
}

function* lbWarnings({ role }: AccessInput, facts: Resolved, isMixed: boolean): Generator<AccessWarning> {
  const { hasLb, isLocal, lbPort, securePort, vars } = facts;
  if (isMixed) {
    const text =
      'loadbalancer_apiserver and loadbalancer_apiserver_localhost: true exclude each other; with both ' +
      `Kubespray writes ${url('localhost', lbPort)} everywhere: the local name with the other's port. ` +
      'Remove one of them';
    yield { trap: 'lb-and-localhost', text };
  } else if (hasLb && isLocal) {
    const text =
      'loadbalancer_apiserver and loadbalancer_apiserver_localhost: true exclude each other; the local ' +
      'load balancer is installed, and nothing uses it. Remove one of them';
    yield { trap: 'lb-unused-localhost', text };
  } else if (hasLb && role === 'control-plane') {
    const text =
      `Kubespray's HA document says ${url(bindHost(facts.bind), securePort)} for control-plane nodes with an ` +
      'external load balancer; its code uses the load balancer there too';
    yield { trap: 'document-differs', text };
  }
  if (!hasLb && vars.domainName !== undefined && vars.domainName !== 'localhost') {
    const text =
      'apiserver_loadbalancer_domain_name is used only with loadbalancer_apiserver; without it the name is only ' +
      'added to the certificates';
    yield { trap: 'domain-name-unused', text };
  }
}

function* bindWarnings({ bind, securePort }: Resolved): Generator<AccessWarning> {
  if (bind === '0.0.0.0') {
    const text =
      `kube_apiserver_bind_address: 0.0.0.0 makes Kubespray write https://0.0.0.0:${securePort}, which is not an ` +
      'address to connect to; "::" (its default) listens on IPv4 as well';
    yield { trap: 'bind-all-ipv4', text };
  } else if (bind !== '::' && bind.includes('::')) {
    const mangled = bind.replaceAll('::', '127.0.0.1');
    const text =
      `kube_apiserver_bind_address: Kubespray replaces the "::" in ${bind} and writes ${mangled}; ` +
      'write the address without "::", in full';
    yield { trap: 'bind-ipv6-mangled', text };
  }
  if (isLoopback(bind)) {
    const text = `kube_apiserver_bind_address ${bind} is a loopback address: no other node can reach the API servers`;
    yield { trap: 'bind-loopback', text };
  }
}

function* localWarnings(facts: Resolved): Generator<AccessWarning> {
  const { isLocal, hasLb, localPort, securePort, bind, vars } = facts;
  if (!isLocal) return;
  if (bind !== defaultBind && localPort === securePort && holdsLocalhost(bind)) {
    const text =
      `with kube_apiserver_bind_address ${bind} Kubespray puts the local load balancer on control-plane nodes ` +
      `too, where it conflicts with the API server on port ${securePort}; set another loadbalancer_apiserver_port, or "::"`;
    yield { trap: 'lb-collides-with-api-server', text };
  }
  if (!hasLb && localPort !== securePort) {
    const text =
      `kube-proxy is pointed at https://127.0.0.1:${securePort} regardless of loadbalancer_apiserver_port, but on ` +
      `workers no process listens there; make both ports equal, or add a second Fairlead listener on 127.0.0.1:${securePort}`;
    yield { trap: 'kube-proxy-dead-port', text };
  }
  if (vars.type === 'haproxy' && vars.hasAnonymousAuth === false) {
    const text =
      "with kube_api_anonymous_auth: false HAProxy's check gets 401 and marks every API server down; " +
      'Fairlead checks with credentials, and keeps using an API server that answers 401';
    yield { trap: 'haproxy-check-unauthorized', text };
  }
}

function* nameWarnings(
  { role, unmanagedLb }: AccessInput,
  { hasLb, vars }: Resolved,
  endpoints: readonly string[],
): Generator<AccessWarning> {
  if (endpoints.some((endpoint) => endpoint.includes('['))) {
    const text = 'an IPv6 address in a URL needs brackets; without them the last group is read as the port';
    yield { trap: 'ipv6-brackets', text };
  }
  if (role !== 'external' || hasLb || !unmanagedLb) return;
  if (vars.extraSans?.includes(unmanagedLb.host)) return;
  const text =
    `the API servers' certificates are not valid for ${unmanagedLb.host}; add it to ` +
    'supplementary_addresses_in_ssl_keys, or clients cannot verify them';
  yield { trap: 'san-missing', text };
}

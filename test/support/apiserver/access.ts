// Who asks, and what they may: authentication by certificate, token or not at all, and enough of RBAC that
// a client without rights sees what it would see in a cluster.
import type { Request } from './exchange.ts';
import { failure, qualified, type Status } from './status.ts';

export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

/**
 * `on`: as by default, the health paths and /version; `off`: `--anonymous-auth=false`, 401 on everything;
 * `forbidden`: anonymous requests are let in but granted nothing, 403; `health-only`: an
 * AuthenticationConfiguration with conditions for the health paths, all else 401.
 */
export type AnonymousMode = 'on' | 'off' | 'forbidden' | 'health-only';

/** What a request asks to do, as the authorizer sees it. */
export interface Attributes {
  readonly verb: string;
  readonly path: string;
  readonly resource?: {
    readonly group: string;
    readonly resource: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
}

/** Verbs on paths or on resources, given to users or groups; `*` is everything, a path may end in `*`. */
export interface Grant {
  readonly subjects: readonly string[];
  readonly verbs: readonly string[];
  readonly paths?: readonly string[];
  readonly groups?: readonly string[];
  readonly resources?: readonly string[];
  readonly namespaces?: readonly string[];
}

const healthPaths = ['/healthz', '/livez', '/readyz'];
const publicPaths = [...healthPaths, '/version', '/version/'];
const read = ['get', 'list', 'watch'];
const write = [...read, 'create', 'update', 'patch', 'delete'];

/** The bootstrap policy of a cluster, as far as it matters here, and the benches' own paths. */
export const defaultGrants: readonly Grant[] = [
  { subjects: ['system:unauthenticated', 'system:authenticated'], verbs: ['get'], paths: publicPaths },
  {
    subjects: ['system:authenticated'],
    verbs: ['get'],
    paths: ['/api', '/api/*', '/apis', '/apis/*', '/openapi', '/openapi/*', '/bench/*', '/slow'],
  },
  {
    subjects: ['system:authenticated'],
    verbs: ['create'],
    groups: ['authorization.k8s.io'],
    resources: ['selfsubjectaccessreviews'],
  },
  {
    subjects: ['system:authenticated'],
    verbs: ['create'],
    groups: ['authentication.k8s.io'],
    resources: ['selfsubjectreviews'],
  },
  // The node authorizer: a kubelet may not read EndpointSlices.
  {
    subjects: ['system:nodes'],
    verbs: write,
    groups: ['', 'coordination.k8s.io'],
    resources: ['nodes', 'leases'],
  },
  { subjects: ['system:nodes'], verbs: read, groups: [''], resources: ['services'] },
  {
    subjects: ['system:serviceaccount:kube-system:fairlead'],
    verbs: read,
    groups: ['discovery.k8s.io'],
    resources: ['endpointslices'],
    namespaces: ['default'],
  },
];

/** With the role binding of docs/credentials.md for agents that use kubelet's credentials: nodes may watch the EndpointSlices. */
export const grantsWithNodeWatch: readonly Grant[] = [
  ...defaultGrants,
  {
    subjects: ['system:nodes'],
    verbs: ['list', 'watch'],
    groups: ['discovery.k8s.io'],
    resources: ['endpointslices'],
    namespaces: ['default'],
  },
];

export interface Credentials {
  /** The client certificate's user; `invalid` when it brought one that the CA does not vouch for. */
  readonly certificate?: User | 'invalid';
  readonly token?: string;
}

const anonymous: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

/** The user, or undefined for 401. */
export function authenticate(
  { certificate, token }: Credentials,
  tokens: ReadonlyMap<string, User>,
  mode: AnonymousMode,
  path: string,
): User | undefined {
  const known = certificate && certificate !== 'invalid' ? certificate : tokens.get(token ?? '');
  if (known) return { name: known.name, groups: [...known.groups, 'system:authenticated'] };
  // A credential that is wrong is never treated as none, not even on the health paths.
  if (certificate === 'invalid' || token !== undefined || mode === 'off') return undefined;
  if (mode === 'health-only' && !healthPaths.includes(path)) return undefined;
  return anonymous;
}

/** Whether the user may; `system:masters` may always, even before the RBAC rules are loaded. */
export function isAllowed(
  user: User,
  attributes: Attributes,
  grants: readonly Grant[],
  { isRbacLoaded = true, mode = 'on' }: { isRbacLoaded?: boolean; mode?: AnonymousMode } = {},
): boolean {
  if (user.groups.includes('system:masters')) return true;
  if (!isRbacLoaded || (user.name === anonymous.name && mode === 'forbidden')) return false;
  const names = [user.name, ...user.groups];
  return grants.some((grant) => {
    if (!grant.subjects.some((subject) => names.includes(subject))) return false;
    if (!has(grant.verbs, attributes.verb)) return false;
    const { resource } = attributes;
    if (!resource) return (grant.paths ?? []).some((pattern) => pathMatches(pattern, attributes.path));
    return (
      has(grant.groups, resource.group) &&
      has(grant.resources, resource.resource) &&
      (!grant.namespaces || has(grant.namespaces, resource.namespace ?? ''))
    );
  });
}

function has(list: readonly string[] | undefined, value: string): boolean {
  return list !== undefined && (list.includes(value) || list.includes('*'));
}

function pathMatches(pattern: string, path: string): boolean {
  return pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}

export function forbidden(user: User, { verb, path, resource }: Attributes): Status {
  const who = `User "${user.name}" cannot ${verb}`;
  if (!resource) return failure(403, 'Forbidden', `forbidden: ${who} path "${path}"`, {});
  const full = resource.subresource ? `${resource.resource}/${resource.subresource}` : resource.resource;
  const named = resource.name ? `${qualified(resource)} "${resource.name}"` : qualified(resource);
  const where = resource.namespace ? ` in the namespace "${resource.namespace}"` : ' at the cluster scope';
  const message = `${named} is forbidden: ${who} resource "${full}" in API group "${resource.group}"${where}`;
  const details = {
    ...(resource.name && { name: resource.name }),
    ...(resource.group && { group: resource.group }),
    kind: resource.resource,
  };
  return failure(403, 'Forbidden', message, details);
}

export function bearerToken(headers: Request['headers']): string | undefined {
  return /^bearer\s+(\S*)\s*$/i.exec(headers.authorization ?? '')?.[1];
}

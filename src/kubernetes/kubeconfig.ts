// Reads a kubeconfig: the current context's cluster and user, as @kubernetes/client-node understands them.
//
// The package's readers (newClusters, newUsers, newContexts) are imported alone: KubeConfig itself brings
// undici, proxies and every API model, 17 MB of memory in the bundle before its first use. What the readers
// get wrong is put right here: paths are relative to the kubeconfig, data wins over files, the key is
// `tokenFile`, and a broken entry that is not in use does not matter.
import { dirname, resolve } from 'node:path';
import type { Cluster, Context, User } from '@kubernetes/client-node';
import { isIP } from 'node:net';
import { type HostPort, parseHostPort } from '../model/endpoint.ts';
import type { ProblemCode } from '../model/problems.ts';
import type { PartReading } from './credentials.ts';
import type { Part } from './pem.ts';
import { type Locate, readFileText } from '../lib/read-file.ts';
import { messageOf } from '../model/error-text.ts';
import { type Fields, isRecord, listOf } from '../lib/guards.ts';
import { withoutBrackets } from '../model/host.ts';

/** Of a user, before anything is checked. */
export interface IdentityParts {
  readonly cert?: Part;
  readonly key?: Part;
  readonly token?: Part;
  /** A user whose credentials an exec plugin gives. */
  readonly execUser?: User;
}

/** Each part by itself: one that cannot be read leaves the others. */
export interface KubeconfigReading {
  readonly ca: PartReading<Part>;
  readonly identity: PartReading<IdentityParts>;
  /** Undefined: its entry is not usable, and `ca` says why. */
  readonly cluster?: Cluster;
  /** What the cluster's entry says of servers. */
  readonly place: PartReading<ServerPlace>;
  /** What is not used, and why. */
  readonly warnings: readonly string[];
}

export interface ServerPlace {
  readonly serverName?: string;
  /** Where the server is, when it may be an endpoint. */
  readonly server?: HostPort;
}

interface Options {
  /** Every file that is read is added, also when reading fails: they are watched for changes. */
  readonly files: Set<string>;
  /** A CA was given explicitly, so that the kubeconfig need not have one. */
  readonly hasCa: boolean;
  /** Credentials were given explicitly, so that its user is not read. */
  readonly hasIdentity: boolean;
  /** The ClusterIP of the `kubernetes` service (KUBERNETES_SERVICE_HOST). */
  readonly serviceHost?: string;
  readonly locate?: Locate;
}

/** Reads `file`; throws an Error whose message names the file and the place when it gives no part at all. */
export async function readKubeconfig(file: string, options: Options): Promise<KubeconfigReading> {
  options.files.add(file);
  const text = await readFileText(file, options);
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text, { prettyErrors: false, logLevel: 'silent' });
  const [mistake] = document.errors;
  if (mistake) {
    // The parser's own message would quote the line, which may hold a key.
    const line = text.slice(0, mistake.pos[0]).split('\n').length;
    throw new Error(`${file}: not YAML (${mistake.code} in line ${line})`);
  }
  const root: unknown = document.toJS();
  if (!isRecord(root)) throw new Error(`${file}: not a kubeconfig: expected a YAML mapping`);
  const { newClusters, newContexts, newUsers } = await import('@kubernetes/client-node/dist/config_types.js');
  const within = <T>(read: () => T): T => {
    try {
      return read();
    } catch (cause) {
      throw new Error(`${file}: ${messageOf(cause)}`, { cause });
    }
  };

  const contextName = root['current-context'];
  if (typeof contextName !== 'string' || contextName === '') throw new Error(`${file}: no current-context`);
  const find = (list: 'contexts' | 'clusters' | 'users', name: string): Fields => {
    const found = listOf(root[list])
      .filter(isRecord)
      .find((entry) => entry.name === name);
    if (!found) throw new Error(`${file}: ${list} has no entry named "${name}"`);
    return found;
  };
  const context = within(() => newContexts([find('contexts', contextName)])[0] as Context);
  const warnings: string[] = [];
  const part: ReadPart = async (path, data, where) => {
    if (typeof data === 'string' && data !== '') {
      return { text: Buffer.from(data, 'base64').toString('utf8'), where: `${file} (${where})` };
    }
    if (typeof path !== 'string' || path === '') return undefined;
    const absolute = resolve(dirname(file), path);
    options.files.add(absolute);
    try {
      return { text: await readFileText(absolute, options), where: absolute };
    } catch (cause) {
      throw new Error(`${messageOf(cause)} (named in ${file})`, { cause });
    }
  };

  const cluster = await reading('CA_UNREADABLE', () =>
    within(() => newClusters([find('clusters', context.cluster)])[0] as Cluster),
  );
  let ca: PartReading<Part> = { state: 'absent' };
  let place: PartReading<ServerPlace> = { state: 'absent' };
  if (cluster.state === 'read') {
    const { value } = cluster;
    ca = await reading('CA_UNREADABLE', () => readClusterCa(value, part, { ...options, warnings }));
    if (ca.state === 'absent' && value.skipTLSVerify && !options.hasCa) {
      const message =
        `${file}: cluster "${value.name}" has insecure-skip-tls-verify and no certificate-authority; ` +
        'Fairlead sends no credentials over unverified TLS: set the CA there or with --ca-file';
      ca = { state: 'unreadable', problem: { code: 'CA_MISSING', message } };
    }
    if (value.proxyUrl) warnings.push('proxy-url is ignored: endpoints are reached directly');
    const server = readServer(value.server, options.serviceHost);
    if (!server.ok) warnings.push(server.problem);
    const named = {
      ...(value.tlsServerName && { serverName: value.tlsServerName }),
      ...(server.ok && { server: server.value }),
    };
    place = { state: 'read', value: named };
  } else if (cluster.state === 'unreadable') {
    // Another CA was given explicitly: what is missing is the server alone.
    if (options.hasCa) warnings.push(cluster.problem.message);
    else ca = cluster;
    place = cluster;
  }
  const identity = await reading('CREDENTIALS_UNREADABLE', async () => {
    if (!context.user || options.hasIdentity) return undefined;
    const entry = find('users', context.user);
    const { tokenFile, ...rest } = isRecord(entry.user) ? entry.user : {};
    const user = within(() => newUsers([{ name: context.user, user: rest }])[0] as User);
    if (user.username)
      warnings.push('username and password are ignored: Kubernetes has no basic authentication');
    if (user.impersonateUser) warnings.push('impersonation (as) is ignored');
    return readUser(user, tokenFile, part, file);
  });
  return { ca, place, identity, warnings, ...(cluster.state === 'read' && { cluster: cluster.value }) };
}

type ReadPart = (path: unknown, data: unknown, where: string) => Promise<Part | undefined>;

/** What `read` gives, or why it gives nothing; it throws an Error that names the place. */
export async function reading<T>(
  code: ProblemCode,
  read: () => Promise<T | undefined> | T | undefined,
): Promise<PartReading<T>> {
  try {
    const value = await read();
    return value === undefined ? { state: 'absent' } : { state: 'read', value };
  } catch (cause) {
    return { state: 'unreadable', problem: { code, message: messageOf(cause) } };
  }
}

async function readClusterCa(
  cluster: Cluster,
  part: ReadPart,
  { warnings, hasCa }: { warnings: string[]; hasCa: boolean },
): Promise<Part | undefined> {
  const where = `certificate-authority-data of cluster "${cluster.name}"`;
  // Another CA was given explicitly: this one is not used, and need not be readable.
  const ca = hasCa ? undefined : await part(cluster.caFile, cluster.caData, where);
  if (cluster.skipTLSVerify && (ca || hasCa))
    warnings.push('insecure-skip-tls-verify is ignored because a CA is configured');
  return ca;
}

/** Undefined: the user has no credentials. */
async function readUser(
  user: User,
  tokenFile: unknown,
  part: ReadPart,
  file: string,
): Promise<IdentityParts | undefined> {
  const named = (field: string) => `${field} of user "${user.name}"`;
  const cert = await part(user.certFile, user.certData, named('client-certificate-data'));
  const key = await part(user.keyFile, user.keyData, named('client-key-data'));
  // As in client-go a file wins over a literal token; the package's own form is an auth-provider.
  const ownForm = user.authProvider?.config?.tokenFile;
  const literal = user.token && { text: user.token, where: `${file} (${named('token')})` };
  const token = (await part(tokenFile ?? ownForm, undefined, '')) ?? (literal || undefined);
  const isExec = user.exec || user.authProvider?.name === 'exec' || user.authProvider?.config?.exec;
  if (!isExec && user.authProvider && !ownForm) {
    throw new Error(
      `${file}: user "${user.name}" has auth-provider ${JSON.stringify(user.authProvider.name)}, which is not ` +
        'supported (Kubernetes removed it from its own client, too); use an exec plugin',
    );
  }
  const parts = {
    ...(cert && { cert }),
    ...(key && { key }),
    ...(token && { token }),
    ...(isExec && { execUser: user }),
  };
  return Object.keys(parts).length === 0 ? undefined : parts;
}

/** The server of a cluster as a bootstrap seed, or why it is none. */
function readServer(
  server: string,
  serviceHost: string | undefined,
): { ok: true; value: HostPort } | { ok: false; problem: string } {
  let url: URL;
  try {
    url = new URL(server);
  } catch {
    return { ok: false, problem: `server ${JSON.stringify(server.slice(0, 200))} is not a URL` };
  }
  const shown = `server ${url.protocol}//${url.host}`;
  if (url.protocol !== 'https:') return { ok: false, problem: `${shown} is not used: it is not https` };
  if (url.pathname !== '/')
    return { ok: false, problem: `${shown} is not used: a URL with a path is a proxy, not an API server` };
  const host = withoutBrackets(url.hostname);
  const isService = isIP(host)
    ? serviceHost !== undefined && sameAddress(host, serviceHost)
    : /^kubernetes\.default(\.svc(\.[a-z0-9.-]+)?)?\.?$/i.test(host);
  if (isService) {
    return {
      ok: false,
      problem: `${shown} is not used: the ClusterIP needs kube-proxy, which needs Fairlead`,
    };
  }
  const parsed = parseHostPort(url.host, { defaultPort: 443 });
  return parsed.ok ? parsed : { ok: false, problem: `${shown} is not used: ${parsed.problem}` };
}

function sameAddress(a: string, b: string): boolean {
  const [left, right] = [parseHostPort(a, { defaultPort: 1 }), parseHostPort(b, { defaultPort: 1 })];
  return left.ok && right.ok && left.value.host === right.value.host;
}

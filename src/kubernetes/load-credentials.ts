// Puts credentials together from a kubeconfig, explicit files and the pod's service account.
//
// Explicit files come first, part by part: the CA by itself; the identity (client certificate or token) as
// a whole, so that no request carries two of them. A kubeconfig comes before the service account. A part that
// cannot be read leaves the others: without its client certificate a kubeconfig still has a CA to verify by.
import { join } from 'node:path';
import type { Cluster, User } from '@kubernetes/client-node';
import type { HostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import type { AgentProblem, ProblemCode } from '../model/problems.ts';
import { type Credentials, type Identity, noCredentials, type PartReading } from './credentials.ts';
import { type ExecPlugin, execPlugin } from './exec-plugin.ts';
import {
  type IdentityParts,
  type KubeconfigReading,
  reading,
  readKubeconfig,
  type ServerPlace,
} from './kubeconfig.ts';
import { type Part, readCa, readClientCertificate, readToken } from './pem.ts';
import { type Locate, readFileText } from '../lib/read-file.ts';
import { messageOf } from '../model/error-text.ts';

/** Where to look. Nothing is read from the environment here. */
export interface CredentialOptions {
  readonly kubeconfig?: string | undefined;
  readonly caFile?: string | undefined;
  readonly clientCertFile?: string | undefined;
  /** May be left out when `clientCertFile` holds the key too, as kubelet's does. */
  readonly clientKeyFile?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly serverName?: string | undefined;
  /** Directory of the service account; used when there is no kubeconfig and it holds a token. */
  readonly serviceAccountDir?: string;
  /** The ClusterIP of the `kubernetes` service (KUBERNETES_SERVICE_HOST). */
  readonly serviceHost?: string;
  readonly locate?: Locate;
  /** Exec plugins are not run, and their users count as without credentials. */
  readonly isPluginSkipped?: boolean;
}

export const defaultServiceAccountDir = '/var/run/secrets/kubernetes.io/serviceaccount';

/** What everything that is configured came to, part by part. */
export interface CredentialReading {
  readonly ca: PartReading<string>;
  readonly identity: PartReading<Identity>;
  readonly place: PartReading<ServerPlace>;
  /** Something that should give a CA is configured. */
  readonly isVerificationAsked: boolean;
  /** What is not used, and why. */
  readonly warnings: readonly string[];
}

export interface LoadedCredentials {
  readonly credentials: Credentials;
  readonly server?: HostPort;
  readonly warnings: readonly string[];
}

/** Keeps a plugin between readings, so that what it gave is used until it expires. */
export interface ExecSlot {
  plugin?: ExecPlugin;
  /** What the plugin was made from: another user or command makes another plugin. */
  madeFrom?: string;
}

/** Whether anything is configured by which servers are to be verified. */
export function asksForVerification(options: CredentialOptions): boolean {
  const { kubeconfig, caFile, clientCertFile, tokenFile, serviceAccountDir } = options;
  return [kubeconfig, caFile, clientCertFile, tokenFile, serviceAccountDir].some((one) => one !== undefined);
}

/** What of a reading could not be read; each once. */
export function problemsOf({ ca, identity, place }: CredentialReading): AgentProblem[] {
  const found = [ca, place, identity].flatMap((part) => (part.state === 'unreadable' ? [part.problem] : []));
  return [...new Map(found.map((problem) => [problem.message, problem])).values()];
}

/**
 * Reads everything once and fails for nothing: a part that cannot be read leaves the others. Every file that is looked
 * at is added to `files`. `beforePlugin` is told of the other parts before an exec plugin runs, which may take long.
 */
export async function readCredentials(
  options: CredentialOptions,
  files: Set<string>,
  slot: ExecSlot = {},
  nowMs: number = Date.now(),
  beforePlugin: (parts: Omit<CredentialReading, 'identity'>) => void = () => {},
): Promise<CredentialReading> {
  const fromFile = async (path: string): Promise<Part> => {
    files.add(path);
    return { text: await readFileText(path, options), where: path };
  };
  const warnings: string[] = [];
  const { caFile, clientCertFile, tokenFile } = options;
  const isIdentityGiven = clientCertFile !== undefined || tokenFile !== undefined;
  const source = await readSource(options, isIdentityGiven, files, fromFile);
  warnings.push(...source.warnings);

  const caPart = caFile === undefined ? source.ca : await reading('CA_UNREADABLE', () => fromFile(caFile));
  const ca = await then('CA_UNREADABLE', caPart, readCa);
  const identityParts: PartReading<IdentityParts> = isIdentityGiven
    ? await reading('CREDENTIALS_UNREADABLE', () => explicitIdentity(options, fromFile))
    : options.isPluginSkipped && readValue(source.identity)?.execUser
      ? { state: 'absent' }
      : source.identity;
  const others = { ca, place: source.place, isVerificationAsked: asksForVerification(options), warnings };
  const identity = await then('CREDENTIALS_UNREADABLE', identityParts, async (parts) => {
    const { execUser } = parts;
    if (!execUser) return readIdentity(parts, nowMs, warnings);
    beforePlugin(others);
    const { cluster } = source;
    const run = {
      user: execUser,
      file: options.kubeconfig ?? '',
      ca: readValue(ca),
      ...(cluster && { cluster }),
    };
    const given = await runPlugin(slot, run);
    return { ...readIdentity(given, nowMs, warnings), kind: 'exec' as const };
  });
  return { ...others, identity };
}

/** What the kubeconfig or the service account gives. */
async function readSource(
  { kubeconfig, caFile, serviceHost, serviceAccountDir, locate }: CredentialOptions,
  hasIdentity: boolean,
  files: Set<string>,
  fromFile: (path: string) => Promise<Part>,
): Promise<KubeconfigReading> {
  const hasCa = caFile !== undefined;
  const absent = { state: 'absent' } as const;
  if (kubeconfig !== undefined) {
    const options = {
      ...{ files, hasCa, hasIdentity },
      ...(serviceHost !== undefined && { serviceHost }),
      ...(locate && { locate }),
    };
    const whole = await reading('KUBECONFIG_UNREADABLE', () => readKubeconfig(kubeconfig, options));
    if (whole.state === 'read') return whole.value;
    const gone = whole as Exclude<typeof whole, { state: 'read' }>;
    return { ca: hasCa ? absent : gone, identity: hasIdentity ? absent : gone, place: gone, warnings: [] };
  }
  if (serviceAccountDir === undefined) return { ca: absent, identity: absent, place: absent, warnings: [] };
  // The pod's own token and CA. Its server, the ClusterIP, is never an endpoint.
  const file = (name: string) => fromFile(join(serviceAccountDir, name));
  const ca: PartReading<Part> = hasCa ? absent : await reading('CA_UNREADABLE', () => file('ca.crt'));
  const identity: PartReading<IdentityParts> = hasIdentity
    ? absent
    : await reading('CREDENTIALS_UNREADABLE', async () => ({ token: await file('token') }));
  return { ca, identity, place: absent, warnings: [] };
}

async function explicitIdentity(
  { clientCertFile, clientKeyFile, tokenFile }: CredentialOptions,
  fromFile: (path: string) => Promise<Part>,
): Promise<IdentityParts> {
  const cert = clientCertFile === undefined ? undefined : await fromFile(clientCertFile);
  const key = cert && (clientKeyFile === undefined ? cert : await fromFile(clientKeyFile));
  const token = tokenFile === undefined ? undefined : await fromFile(tokenFile);
  return { ...(cert && { cert }), ...(key && { key }), ...(token && { token }) };
}

/** The next step of a part that was read. */
async function then<T, U>(
  code: ProblemCode,
  part: PartReading<T>,
  next: (value: T) => Promise<U> | U,
): Promise<PartReading<U>> {
  return part.state === 'read' ? reading(code, () => next(part.value)) : part;
}

function readIdentity({ cert, key, token }: IdentityParts, nowMs: number, warnings: string[]): Identity {
  if (!cert && key) throw new Error(`${key.where} has a client key, but there is no client certificate`);
  const bearer = token && { token: readToken(token) };
  if (!cert) return { kind: 'token', ...bearer };
  const { notAfterMs, ...pair } = readClientCertificate(cert, key ?? cert);
  if (notAfterMs < nowMs) warnings.push(`the client certificate in ${cert.where} has expired`);
  return { kind: 'client certificate', ...pair, ...bearer };
}

/** The parts as one value. */
export function assemble({
  identity,
  ...others
}: Omit<Credentials, 'kind'> & { identity?: Identity }): Credentials {
  const given = Object.entries(others).filter(([, value]) => value !== undefined);
  if (given.length === 0 && !identity) return noCredentials;
  return Object.freeze({ kind: 'none', ...identity, ...Object.fromEntries(given) });
}

/**
 * Reads everything once, for a command that needs all of it. Throws FairleadError('KUBECONFIG_INVALID') that names
 * every file with a problem.
 */
export async function loadCredentials(
  options: CredentialOptions,
  files: Set<string>,
  slot: ExecSlot = {},
  nowMs: number = Date.now(),
): Promise<LoadedCredentials> {
  const found = await readCredentials(options, files, slot, nowMs);
  const problems = problemsOf(found);
  if (problems.length > 0)
    throw new FairleadError('KUBECONFIG_INVALID', problems.map(({ message }) => message).join('; '));
  const { server, serverName } = readValue(found.place) ?? {};
  const [ca, identity, name] = [
    readValue(found.ca),
    readValue(found.identity),
    options.serverName ?? serverName,
  ];
  const credentials = assemble({
    ...(ca !== undefined && { ca }),
    ...(name !== undefined && { serverName: name }),
    ...(identity && { identity }),
  });
  return { credentials, warnings: found.warnings, ...(server && { server }) };
}

export function readValue<T>(part: PartReading<T>): T | undefined {
  return part.state === 'read' ? part.value : undefined;
}

interface PluginRun {
  readonly user: User;
  /** The kubeconfig. */
  readonly file: string;
  readonly ca: string | undefined;
  readonly cluster?: Cluster;
}

async function runPlugin(slot: ExecSlot, { user, file, ca, cluster }: PluginRun): Promise<IdentityParts> {
  const clusterInfo = {
    ...(cluster && { server: cluster.server }),
    ...(cluster?.tlsServerName ? { 'tls-server-name': cluster.tlsServerName } : {}),
    ...(ca ? { 'certificate-authority-data': Buffer.from(ca).toString('base64') } : {}),
  };
  const madeFrom = JSON.stringify([user, clusterInfo]);
  let given: Awaited<ReturnType<ExecPlugin['run']>>;
  try {
    if (!slot.plugin || slot.madeFrom !== madeFrom) {
      slot.plugin?.stop();
      slot.plugin = await execPlugin({ user, kubeconfig: file, cluster: clusterInfo });
      slot.madeFrom = madeFrom;
    }
    given = await slot.plugin.run();
  } catch (cause) {
    const why = messageOf(cause);
    throw new Error(`${file}: the exec plugin of user "${user.name}" failed: ${why}`, { cause });
  }
  const where = `the output of the exec plugin of user "${user.name}"`;
  const part = (text: string | undefined) => (text === undefined ? undefined : { text, where });
  const [cert, key, token] = [part(given.cert), part(given.key), part(given.token)];
  if (!cert && !token) throw new Error(`${file}: ${where} has neither a token nor a certificate`);
  return { ...(cert && { cert }), ...(key && { key }), ...(token && { token }) };
}

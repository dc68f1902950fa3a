// Puts credentials together from a kubeconfig, explicit files and the pod's service account.
//
// Explicit files come first, part by part: the CA by itself; the identity (client certificate or token) as
// a whole, so that no request carries two of them. A kubeconfig comes before the service account.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { HostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import { type CredentialKind, type Credentials, noCredentials } from './credentials.ts';
import { type ExecPlugin, execPlugin } from './exec-plugin.ts';
import { type KubeconfigReading, readKubeconfig } from './kubeconfig.ts';
import { type Part, readCa, readClientCertificate, readToken } from './pem.ts';
import { type Locate, readSmallFile } from './read-file.ts';
import { messageOf } from '../model/error-text.ts';

/** Where to look. Nothing is read from the environment here. */
export interface CredentialOptions {
  readonly kubeconfig?: string;
  readonly caFile?: string;
  readonly clientCertFile?: string;
  /** May be left out when `clientCertFile` holds the key too, as kubelet's does. */
  readonly clientKeyFile?: string;
  readonly tokenFile?: string;
  readonly serverName?: string;
  /** Directory of the service account; used when there is no kubeconfig and it holds a token. */
  readonly serviceAccountDir?: string;
  /** The ClusterIP of the `kubernetes` service (KUBERNETES_SERVICE_HOST). */
  readonly serviceHost?: string;
  readonly locate?: Locate;
}

export const defaultServiceAccountDir = '/var/run/secrets/kubernetes.io/serviceaccount';

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

type Draft = { -readonly [K in keyof Credentials]: Credentials[K] };

/**
 * Reads everything once. Every file that is looked at is added to `files`, also on failure.
 * Throws FairleadError('KUBECONFIG_INVALID') that names the file.
 */
export async function loadCredentials(
  options: CredentialOptions,
  files: Set<string>,
  slot: ExecSlot = {},
  nowMs: number = Date.now(),
): Promise<LoadedCredentials> {
  try {
    return await load(options, files, slot, nowMs);
  } catch (cause) {
    if (cause instanceof FairleadError) throw cause;
    throw new FairleadError('KUBECONFIG_INVALID', messageOf(cause), {
      cause,
    });
  }
}

async function load(
  options: CredentialOptions,
  files: Set<string>,
  slot: ExecSlot,
  nowMs: number,
): Promise<LoadedCredentials> {
  const fromFile = async (path: string): Promise<Part> => {
    files.add(path);
    return { text: await readSmallFile(path, options.locate), where: path };
  };
  const { caFile, clientCertFile, clientKeyFile, tokenFile } = options;
  const kubeconfig = options.kubeconfig
    ? await readKubeconfig(options.kubeconfig, {
        files,
        hasCa: caFile !== undefined,
        ...(options.serviceHost === undefined ? {} : { serviceHost: options.serviceHost }),
        ...(options.locate && { locate: options.locate }),
      })
    : undefined;
  const account = kubeconfig ? undefined : await serviceAccount(options.serviceAccountDir, files, fromFile);
  const warnings = [...(kubeconfig?.warnings ?? [])];

  const draft: Draft = { kind: 'none' };
  const ca = caFile ? await fromFile(caFile) : (kubeconfig?.ca ?? account?.ca);
  if (ca) draft.ca = readCa(ca);
  const serverName = options.serverName ?? kubeconfig?.serverName;
  if (serverName !== undefined) draft.serverName = serverName;

  let certPart: Part | undefined;
  let keyPart: Part | undefined;
  let tokenPart: Part | undefined;
  let kind: CredentialKind = 'none';
  if (clientCertFile !== undefined || tokenFile !== undefined) {
    if (clientCertFile !== undefined) {
      certPart = await fromFile(clientCertFile);
      keyPart = clientKeyFile === undefined ? certPart : await fromFile(clientKeyFile);
    }
    if (tokenFile !== undefined) tokenPart = await fromFile(tokenFile);
  } else if (kubeconfig?.execUser) {
    kind = 'exec';
    const given = await runPlugin(slot, kubeconfig, options.kubeconfig!);
    const where = `what the exec plugin of user "${kubeconfig.execUser.name}" gave`;
    if (given.cert !== undefined) certPart = { text: given.cert, where };
    if (given.key !== undefined) keyPart = { text: given.key, where };
    if (given.token !== undefined) tokenPart = { text: given.token, where };
    if (!certPart && !tokenPart) throw new Error(`${where} has neither a token nor a certificate`);
  } else {
    certPart = kubeconfig?.cert;
    keyPart = kubeconfig?.key;
    tokenPart = kubeconfig?.token ?? account?.token;
  }

  if (certPart) {
    const { cert, key, notAfterMs } = readClientCertificate(certPart, keyPart ?? certPart);
    draft.cert = cert;
    draft.key = key;
    if (notAfterMs < nowMs) warnings.push(`the client certificate in ${certPart.where} has expired`);
  } else if (keyPart) {
    throw new Error(`${keyPart.where} has a client key, but there is no client certificate`);
  }
  if (tokenPart) draft.token = readToken(tokenPart);
  if (kind === 'none') kind = certPart ? 'client certificate' : tokenPart ? 'token' : 'none';
  draft.kind = kind;
  const isEmpty = Object.keys(draft).length === 1 && kind === 'none';
  return {
    credentials: isEmpty ? noCredentials : Object.freeze(draft),
    warnings,
    ...(kubeconfig?.server ? { server: kubeconfig.server } : {}),
  };
}

/** The pod's own token and CA. Its server, the ClusterIP, is never an endpoint. */
async function serviceAccount(
  directory: string | undefined,
  files: Set<string>,
  fromFile: (path: string) => Promise<Part>,
): Promise<{ token: Part; ca: Part } | undefined> {
  if (directory === undefined) return undefined;
  files.add(join(directory, 'token')); // looked for, so that it is noticed when it appears
  if (!existsSync(join(directory, 'token'))) return undefined;
  return { token: await fromFile(join(directory, 'token')), ca: await fromFile(join(directory, 'ca.crt')) };
}

async function runPlugin(slot: ExecSlot, { execUser, cluster, ca }: KubeconfigReading, file: string) {
  const user = execUser!;
  const clusterInfo = {
    server: cluster.server,
    ...(cluster.tlsServerName ? { 'tls-server-name': cluster.tlsServerName } : {}),
    ...(ca ? { 'certificate-authority-data': Buffer.from(ca.text).toString('base64') } : {}),
  };
  const madeFrom = JSON.stringify([user, clusterInfo]);
  try {
    if (!slot.plugin || slot.madeFrom !== madeFrom) {
      slot.plugin?.stop();
      slot.plugin = await execPlugin({ user, kubeconfig: file, cluster: clusterInfo });
      slot.madeFrom = madeFrom;
    }
    return await slot.plugin.run();
  } catch (cause) {
    const why = messageOf(cause);
    throw new Error(`${file}: the exec plugin of user "${user.name}" failed: ${why}`, { cause });
  }
}

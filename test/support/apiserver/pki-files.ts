// The certificates of a whole control plane, good and bad, and kubeconfigs that use them.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Leaf, makeCa, type TestCa } from '../credentials/pki.ts';
import type { CertificateName } from './api-server.ts';
import { pkiPaths } from './pki-read.ts';

const dayMs = 86_400_000;

export type UserName = 'admin' | 'node' | 'fairlead' | 'nobody';

/** Everything that is signed once for a control plane. */
export interface ControlPlanePki {
  readonly ca: TestCa;
  /** Signs what nobody trusts. */
  readonly otherCa: TestCa;
  /** Client certificates: cluster admin, kubelet of node-1, Fairlead's own, and one without any rights. */
  readonly clients: Readonly<Record<UserName, Leaf>>;
}

export async function makePki(): Promise<ControlPlanePki> {
  const [ca, otherCa] = await Promise.all([makeCa('kubernetes'), makeCa('another-ca')]);
  const [admin, node, fairlead, nobody] = await Promise.all([
    ca.issue({ commonName: 'kubernetes-admin', organizations: ['system:masters'] }),
    ca.issue({ commonName: 'system:node:node-1', organizations: ['system:nodes'] }),
    ca.issue({ commonName: 'system:serviceaccount:kube-system:fairlead' }),
    ca.issue({ commonName: 'nobody' }),
  ]);
  return { ca, otherCa, clients: { admin, node, fairlead, nobody } };
}

/** The serving certificates of one API server, with the names that kubeadm puts in, and every bad variant. */
export async function makeServerCertificates(
  { ca, otherCa }: Pick<ControlPlanePki, 'ca' | 'otherCa'>,
  host: string,
): Promise<Record<CertificateName, Leaf>> {
  const services = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'localhost'];
  const sans = [...services, 'kubernetes.default.svc.cluster.local', '10.96.0.1', '127.0.0.1', '::1', host];
  const leaf = { commonName: 'kube-apiserver', sans };
  const past = { notBefore: new Date(Date.now() - 30 * dayMs), notAfter: new Date(Date.now() - dayMs) };
  const future = { notBefore: new Date(Date.now() + dayMs), notAfter: new Date(Date.now() + 30 * dayMs) };
  const [good, expired, notYet, wrongName, unknownCa] = await Promise.all([
    ca.issue(leaf),
    ca.issue({ ...leaf, ...past }),
    ca.issue({ ...leaf, ...future }),
    ca.issue({ ...leaf, sans: ['another.example', '192.0.2.1'] }),
    otherCa.issue(leaf),
  ]);
  return { good, expired, 'not-yet-valid': notYet, 'wrong-name': wrongName, 'unknown-ca': unknownCa };
}

export interface KubeconfigOptions {
  /** `https://host:port`. */
  readonly server: string;
  readonly ca: string;
  readonly client?: Leaf;
  readonly token?: string;
  readonly tlsServerName?: string;
}

export function kubeconfig({ server, ca, client, token, tlsServerName }: KubeconfigOptions): string {
  const encode = (pem: string) => Buffer.from(pem).toString('base64');
  const cluster = {
    server,
    'certificate-authority-data': encode(ca),
    ...(tlsServerName && { 'tls-server-name': tlsServerName }),
  };
  const user = {
    ...(client && { 'client-certificate-data': encode(client.cert), 'client-key-data': encode(client.key) }),
    ...(token && { token }),
  };
  // JSON is YAML.
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'stand-in', cluster }],
    users: [{ name: 'user', user }],
    contexts: [{ name: 'stand-in', context: { cluster: 'stand-in', user: 'user', namespace: 'default' } }],
    'current-context': 'stand-in',
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** Writes everything that API server processes and clients read (paths: pki-read.ts). */
export async function writePki(
  dir: string,
  pki: ControlPlanePki,
  servers: Readonly<Record<string, Readonly<Record<CertificateName, Leaf>>>>,
): Promise<void> {
  const files = new Map<string, string>([[pkiPaths.ca, pki.ca.cert]]);
  const add = (path: string, { cert, key }: Leaf) => files.set(`${path}.crt`, cert).set(`${path}.key`, key);
  for (const [user, leaf] of Object.entries(pki.clients)) add(pkiPaths.client(user), leaf);
  for (const [name, certificates] of Object.entries(servers)) {
    for (const [certificate, leaf] of Object.entries(certificates)) {
      add(pkiPaths.server(name, certificate as CertificateName), leaf);
    }
  }
  for (const [path, text] of files) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), text, { mode: 0o600 });
  }
}

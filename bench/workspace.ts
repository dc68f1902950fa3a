// What one run needs on disk: a private temporary directory with certificates, payloads and a kubeconfig.
import { createHash, randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Leaf, makeCa, type TestCa } from '../test/support/credentials/pki.ts';
import { discoveryUser } from './control-plane.ts';

/** The addresses of the backend, which its certificate names: three API servers as far as a proxy knows. */
export const backendHosts = ['127.0.0.1', '127.0.0.2', '127.0.0.3'] as const;

export interface Payload {
  readonly bytes: Buffer;
  readonly sha256: string;
}

export interface Workspace {
  readonly dir: string;
  readonly ca: TestCa;
  readonly serverCert: string;
  readonly serverKey: string;
  readonly client: Leaf;
  /** The response of a request whose latency counts: about a small API object. */
  readonly small: Payload;
  /** One download; a bulk run asks for it again and again over one connection. */
  readonly bulk: Payload;
  remove(): Promise<void>;
}

export const bulkMiB = 64;

const present = new Set<string>();

/** For an abrupt end of the harness. */
export function removeAllWorkspaces(): void {
  for (const dir of present) rmSync(dir, { recursive: true, force: true });
}

function payload(bytes: Buffer): Payload {
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}

export async function makeWorkspace(): Promise<Workspace> {
  const dir = await mkdtemp(join(tmpdir(), 'fairlead-bench-'));
  present.add(dir);
  const ca = await makeCa();
  const server = await ca.issue({ commonName: 'kube-apiserver', sans: ['localhost', ...backendHosts] });
  const client = await ca.issue({ commonName: discoveryUser });
  const small = payload(Buffer.from(`${JSON.stringify({ kind: 'Lease', filler: 'x'.repeat(900) })}\n`));
  const bulk = payload(randomBytes(bulkMiB * 2 ** 20));
  await mkdir(join(dir, 'upload'));
  const files: Record<string, string | Buffer> = {
    'ca.crt': ca.cert,
    'server.crt': server.cert,
    'server.key': server.key,
    'client.crt': client.cert,
    'client.key': client.key,
    small: small.bytes,
    bulk: bulk.bytes,
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content);
  return {
    dir,
    ca,
    serverCert: server.cert,
    serverKey: server.key,
    client,
    small,
    bulk,
    async remove() {
      await rm(dir, { recursive: true, force: true });
      present.delete(dir);
    },
  };
}

/** A kubeconfig as kubelet has it: the server is the local listener, the credentials are a client certificate. */
export async function writeKubeconfig(workspace: Workspace, name: string, server: string): Promise<string> {
  const path = join(workspace.dir, name);
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'bench', cluster: { server, 'certificate-authority': join(workspace.dir, 'ca.crt') } },
    ],
    users: [
      {
        name: 'bench',
        user: {
          'client-certificate': join(workspace.dir, 'client.crt'),
          'client-key': join(workspace.dir, 'client.key'),
        },
      },
    ],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    'current-context': 'bench',
  };
  await writeFile(path, JSON.stringify(config, null, 2));
  return path;
}

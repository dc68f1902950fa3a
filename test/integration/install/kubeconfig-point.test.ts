// `fairlead kubeconfig point` and `--undo`: which name and address kubelet gets, and when a kubeconfig is left as it is.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { kubeconfig } from '../../support/apiserver/pki-files.ts';
import { makeCa, type TestCa } from '../../support/credentials/pki.ts';
import { runCommand } from '../../support/agent/command-context.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';
import { startTlsServer, type TlsServer } from '../../support/apiserver/tls-server.ts';

const directory = tempDir();
let ca: TestCa;
const servers: TlsServer[] = [];
const admins: Server[] = [];
let count = 0;

beforeAll(async () => {
  ca = await makeCa();
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
  await Promise.all(admins.map((admin) => new Promise((resolve) => admin.close(resolve))));
});

async function apiServer(sans: readonly string[], host?: string, signer = ca): Promise<TlsServer> {
  const server = await startTlsServer(await signer.issue({ commonName: 'kube-apiserver', sans }), host);
  servers.push(server);
  return server;
}

/** An agent's admin server, as far as its endpoints go. */
async function agent(
  endpoints: readonly string[],
  sources = ['watch', 'static'],
  more: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const status = {
    version: '1',
    node: 'node-1',
    startedAt: new Date().toISOString(),
    uptimeSeconds: 1,
    isReady: true,
    policy: 'rendezvous',
    listeners: [],
    endpoints: endpoints.map((id) => ({
      id,
      verdict: 'ready',
      reason: 'L7OK/200',
      since: new Date().toISOString(),
      usable: true,
      tier: 'discovered',
      sources,
      tunnels: 0,
    })),
    discovery: { watch: 'synced' },
    credentials: 'none',
    tunnels: { active: 0, max: 1 },
    ...more,
  };
  const admin = createServer((_, response) => response.end(JSON.stringify(status)));
  await new Promise<void>((resolve) => admin.listen(0, '127.0.0.1', resolve));
  admins.push(admin);
  return `127.0.0.1:${(admin.address() as AddressInfo).port}`;
}

function makeRoot({ isControlPlane = false } = {}): { root: string; conf: string; original: string } {
  count += 1;
  const root = join(directory, String(count));
  mkdirSync(join(root, 'etc/kubernetes/manifests'), { recursive: true });
  const conf = join(root, 'etc/kubernetes/kubelet.conf');
  const original = kubeconfig({ server: 'https://10.0.0.1:6443', ca: ca.cert });
  writeFileSync(conf, original);
  if (isControlPlane) writeFileSync(join(root, 'etc/kubernetes/manifests/kube-apiserver.yaml'), '');
  return { root, conf, original };
}

const kubeadmNames = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', '10.96.0.1', '10.0.0.1'];
const noAgent = '127.0.0.1:1';

function point(root: string, server: TlsServer, ...more: readonly string[]) {
  const url = `https://${server.address}`;
  return runCommand(['kubeconfig', 'point', '--root', root, '--server', url, '--admin', noAgent, ...more]);
}

const clusterOf = (conf: string) =>
  (JSON.parse(readFileSync(conf, 'utf8')) as { clusters: { cluster: Record<string, string> }[] }).clusters[0]
    ?.cluster;

test('certificates as kubeadm makes them need tls-server-name, and get it', async () => {
  const { root, conf, original } = makeRoot();
  const server = await apiServer(kubeadmNames);
  const { code, out, err } = await point(root, server);
  expect({ code, err }).toEqual({
    code: 0,
    err: expect.stringContaining('only the certificate of one API server'),
  });
  expect(clusterOf(conf)).toMatchObject({
    server: `https://${server.address}`,
    'tls-server-name': 'kubernetes',
  });
  expect(out).toContain(`https://10.0.0.1:6443 -> https://${server.address} (tls-server-name: kubernetes)`);
  expect(out).toContain('systemctl restart kubelet');
  expect(await point(root, server)).toMatchObject({ code: 0, out: expect.stringContaining('nothing to do') });

  const undone = await runCommand(['kubeconfig', 'point', '--undo', '--root', root]);
  expect(undone).toMatchObject({ code: 0, err: '' });
  expect(readFileSync(conf, 'utf8')).toBe(original);
});

test('certificates with 127.0.0.1, as Kubespray makes them, need no tls-server-name', async () => {
  const { root, conf } = makeRoot();
  const server = await apiServer([...kubeadmNames, '127.0.0.1', 'localhost']);
  expect(await point(root, server)).toMatchObject({ code: 0 });
  expect(clusterOf(conf)).not.toHaveProperty('tls-server-name');
});

test('a name is chosen that holds for every API server the agent knows', async () => {
  const { root, conf } = makeRoot();
  const near = await apiServer([...kubeadmNames, '127.0.0.1']);
  const far = await apiServer(kubeadmNames, '127.0.0.2');
  const admin = await agent([near.address, far.address, '127.0.0.3:1']);
  const args = [
    'kubeconfig',
    'point',
    '--root',
    root,
    '--server',
    `https://${near.address}`,
    '--admin',
    admin,
  ];
  const { code, err } = await runCommand(args);
  expect({ code, err }).toEqual({
    code: 0,
    err: '/etc/kubernetes/kubelet.conf: warning: 127.0.0.3:1 could not be checked: no process listens there (connection refused)\n',
  });
  expect(clusterOf(conf)).toHaveProperty('tls-server-name', 'kubernetes');
});

test('an agent that only its kubeconfig has told of API servers is warned of', async () => {
  const { root } = makeRoot();
  const server = await apiServer(kubeadmNames);
  const admin = await agent([server.address], ['kubeconfig', 'watch']);
  const url = `https://${server.address}`;
  const args = ['kubeconfig', 'point', '--root', root, '--server', url, '--admin', admin];
  const { code, err } = await runCommand(args);
  expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining('after a restart') });
});

test('kubelet is not pointed at an agent that a DaemonSet runs, unless that is asked for', async () => {
  const { root, conf, original } = makeRoot();
  const server = await apiServer(kubeadmNames);
  const listeners = [{ address: server.address }];
  const admin = await agent([server.address], undefined, { deployment: 'daemonset', listeners });
  const args = ['kubeconfig', 'point', '--root', root, '--server', `https://${server.address}`];
  args.push('--admin', admin);
  const { code, err } = await runCommand(args);
  expect({ code, err }).toEqual({ code: 6, err: expect.stringContaining('KUBELET_UNSAFE') });
  expect(err).toContain('is run by a DaemonSet');
  expect(readFileSync(conf, 'utf8')).toBe(original);

  // For others it is an address like any other.
  mkdirSync(join(root, 'srv'));
  writeFileSync(join(root, 'srv/controller.conf'), original);
  expect(await runCommand([...args, '/srv/controller.conf'])).toMatchObject({ code: 0 });
  expect(await runCommand([...args, '--allow-daemonset'])).toMatchObject({ code: 0 });
  expect(clusterOf(conf)).toMatchObject({ server: `https://${server.address}` });
});

test.each<[string, () => Promise<TlsServer>, string]>([
  [
    'signed by another CA',
    async () => apiServer(kubeadmNames, undefined, await makeCa('other')),
    'unknown authority',
  ],
  ['valid for other names only', () => apiServer(['front-proxy.example']), 'not for kubernetes'],
  [
    'expired',
    async () => {
      const notAfter = new Date(Date.now() - 60_000);
      const server = await startTlsServer(
        await ca.issue({ commonName: 'kube-apiserver', sans: kubeadmNames, notAfter }),
      );
      servers.push(server);
      return server;
    },
    'expired',
  ],
])('a certificate that is %s is refused and nothing is changed', async (_, start, problem) => {
  const { root, conf, original } = makeRoot();
  const { code, err } = await point(root, await start());
  expect(code).toBe(6);
  expect(err).toContain('SERVER_UNVERIFIED');
  expect(err).toContain(problem);
  expect(readFileSync(conf, 'utf8')).toBe(original);
  expect(existsSync(`${conf}.fairlead-backup`)).toBe(false);
});

test('an address where nobody listens is refused', async () => {
  const { root, conf, original } = makeRoot();
  const server = await apiServer(kubeadmNames);
  await server.close();
  const { code, err } = await point(root, server);
  expect({ code, err }).toEqual({ code: 6, err: expect.stringContaining('no process listens there') });
  expect(readFileSync(conf, 'utf8')).toBe(original);
});

test('a dry run shows the diff, without the key, and changes nothing', async () => {
  const { root, conf, original } = makeRoot();
  const { code, out } = await point(root, await apiServer(kubeadmNames), '--dry-run');
  expect(code).toBe(0);
  expect(out).toMatch(/^-.*10\.0\.0\.1/m);
  expect(out).toMatch(/^\+.*"tls-server-name": "kubernetes"/m);
  expect(readFileSync(conf, 'utf8')).toBe(original);
});

test('control-plane nodes are left alone unless told', async () => {
  const { root, conf, original } = makeRoot({ isControlPlane: true });
  const server = await apiServer(kubeadmNames);
  expect(await point(root, server)).toMatchObject({
    code: 0,
    out: expect.stringContaining('are not changed'),
  });
  expect(readFileSync(conf, 'utf8')).toBe(original);
  expect(await point(root, server, '--control-plane')).toMatchObject({ code: 0 });
  expect(readFileSync(conf, 'utf8')).not.toBe(original);
});

test('the server comes from the configuration when no other is given', async () => {
  const { root, conf } = makeRoot();
  const server = await apiServer(kubeadmNames);
  const config = join(directory, 'fairlead.yaml');
  // A client certificate cannot pass the http listener that stands before it.
  const http = '{ address: "127.0.0.1:1", type: http, tls: { certFile: /a, keyFile: /b } }';
  const listeners = `listeners: [${http}, "0.0.0.0:${server.port}"]`;
  writeFileSync(config, `${listeners}\nallowNonLoopback: true\nadmin: false\ncredentials: { caFile: /ca }\n`);
  const { code, err } = await runCommand(['kubeconfig', 'point', '--root', root, '--config', config]);
  expect({ code, err }).toMatchObject({ code: 0, err: expect.stringContaining('admin server is off') });
  expect(clusterOf(conf)).toHaveProperty('server', `https://${server.address}`);
});

test.each(['http://127.0.0.1:6443', 'https://127.0.0.1:6443/path', 'https://', 'https://::1:6443'])(
  '--server %s is bad usage',
  async (url) => {
    const { root } = makeRoot();
    const args = ['kubeconfig', 'point', '--root', root, '--server', url];
    expect(await runCommand(args)).toMatchObject({
      code: 2,
      err: expect.stringContaining('--server must be'),
    });
  },
);

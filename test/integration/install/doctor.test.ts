// `fairlead doctor` on scratch nodes, before and after adoption, against stand-in API servers.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import type { Finding } from '../../../src/doctor/finding.ts';
import { freePort } from '../../support/agent/agent-process.ts';
import {
  type ControlPlane,
  type ControlPlaneOptions,
  startControlPlane,
} from '../../support/apiserver/control-plane.ts';
import type { UserName } from '../../support/apiserver/pki-files.ts';
import { base64, writeKubeconfig } from '../../support/credentials/kubeconfig.ts';
import { runCommand } from '../../support/agent/command-context.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const planes: ControlPlane[] = [];
const holders: Server[] = [];
let count = 0;

afterEach(async () => {
  await Promise.all(planes.splice(0).map((plane) => plane.stop()));
  await Promise.all(holders.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

async function controlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const plane = await startControlPlane(options);
  planes.push(plane);
  return plane;
}

/** A node whose kubelet.conf names the first API server. */
async function node(plane: ControlPlane, user: UserName | 'token' | 'none' = 'fairlead'): Promise<string> {
  count += 1;
  const root = join(directory, String(count));
  mkdirSync(join(root, 'etc/kubernetes/manifests'), { recursive: true });
  const kubeconfig = readFileSync(await plane.writeKubeconfig({ user }), 'utf8');
  writeFileSync(join(root, 'etc/kubernetes/kubelet.conf'), kubeconfig);
  return root;
}

interface Report {
  readonly code: number;
  readonly role: string;
  readonly endpoints: readonly string[];
  readonly findings: readonly (Finding & { readonly why: string })[];
}

async function examined(root: string, ...more: readonly string[]): Promise<Report> {
  const given = more.includes('--listen') ? [] : ['--listen', `127.0.0.1:${await freePort()}`];
  const args = [
    'doctor',
    '--root',
    root,
    '--json',
    '--admin',
    `127.0.0.1:${await freePort()}`,
    ...given,
    ...more,
  ];
  const { code, out, err } = await runCommand(args);
  if (err !== '') throw new Error(err);
  return { code, ...(JSON.parse(out) as Omit<Report, 'code'>) };
}

const serious = ({ findings }: Report) =>
  findings.flatMap(({ check, severity, message }) =>
    severity === 'warning' || severity === 'error' ? [`${severity} ${check}: ${message}`] : [],
  );

test('a node that is fit for Fairlead: every API server found from one, nothing to fix, exit code 0', async () => {
  const plane = await controlPlane();
  const report = await examined(await node(plane));
  expect(serious(report)).toEqual([]);
  expect(report.code).toBe(0);
  expect([...report.endpoints].sort()).toEqual([...plane.endpoints].sort());
  // Before the adoption: kubelet leads past Fairlead, which is advice and no fault.
  expect(report.findings).toContainEqual(
    expect.objectContaining({
      check: 'kubeconfig',
      severity: 'info',
      fix: expect.stringContaining('kubeconfig point'),
    }),
  );
});

test("kubelet's credentials may not watch: the fix is the command for all nodes, and exit code 7", async () => {
  const plane = await controlPlane({ servers: 1 });
  const report = await examined(await node(plane, 'node'));
  expect(report.code).toBe(7);
  expect(report.findings).toContainEqual({
    check: 'rbac',
    severity: 'warning',
    message: 'these credentials may not list and watch EndpointSlices in namespace default',
    fix: expect.stringMatching(/create role fairlead --verb=list,watch .* --group=system:nodes$/),
    why: expect.any(String),
  });
});

test('a token is told apart from a certificate', async () => {
  const plane = await controlPlane({ servers: 1 });
  expect(serious(await examined(await node(plane, 'token')))).toEqual([]);
});

test.each([
  ['refuse', { refuse: true }, 'error endpoint', 'no process listens there'],
  ['unknown-ca', { tls: 'unknown-ca' }, 'error endpoint', 'unknown authority'],
  ['expired', { tls: 'expired' }, 'error endpoint', 'expired'],
  ['wrong-name', { tls: 'wrong-name' }, 'error server-name', 'is not valid for its address'],
  ['garbage', { tls: 'garbage' }, 'error endpoint', 'not TLS'],
  ['etcd failed', { failReadyz: ['etcd'] }, 'warning health', '500: etcd failed'],
] as const)('one of three API servers: %s', async (_, behaviour, start, words) => {
  const plane = await controlPlane();
  const root = await node(plane);
  const [, second] = plane.servers;
  await second?.misbehave(behaviour);
  const report = await examined(root);
  const found = serious(report);
  // One fault is one finding.
  expect(found).toEqual([expect.stringContaining(start)]);
  expect(found[0]).toContain(words);
  expect(found[0]).toContain(second?.address);
  expect(report.code).toBe(start.startsWith('error') ? 8 : 7);
});

test('no credentials: anonymous checks work by default, and the lack is a warning', async () => {
  const plane = await controlPlane({ servers: 1 });
  const report = await examined(await node(plane, 'none'));
  expect(serious(report)).toEqual([expect.stringContaining('warning credentials: there are no credentials')]);
});

test('no credentials and anonymous authentication off: readiness is not visible', async () => {
  const plane = await controlPlane({ servers: 1, anonymous: 'off' });
  const report = await examined(await node(plane, 'none'));
  expect(serious(report)).toContainEqual(expect.stringContaining('401: its readiness is not visible'));
  expect(
    report.findings.find(({ check, severity }) => check === 'health' && severity === 'warning')?.fix,
  ).toContain('AuthenticationConfiguration');
});

test('health-only anonymous access is enough for the checks', async () => {
  const plane = await controlPlane({ servers: 1, anonymous: 'health-only' });
  expect(serious(await examined(await node(plane, 'none')))).toEqual([
    expect.stringContaining('warning credentials'),
  ]);
});

test('credentials that the API server does not know are an error', async () => {
  const [plane, other] = [await controlPlane({ servers: 1 }), await controlPlane({ servers: 1 })];
  const root = await node(plane);
  const kubeconfig = join(root, 'etc/kubernetes/kubelet.conf');
  const ofOther = JSON.parse(readFileSync(await other.writeKubeconfig({ user: 'fairlead' }), 'utf8')) as {
    users: unknown;
  };
  const own = JSON.parse(readFileSync(kubeconfig, 'utf8')) as { users: unknown };
  writeFileSync(kubeconfig, JSON.stringify({ ...own, users: ofOther.users }));
  const report = await examined(root);
  expect(serious(report)).toEqual([expect.stringContaining('error health: ')]);
  expect(report.code).toBe(8);
});

test('a port that another program holds, beside the static pod of nginx-proxy', async () => {
  const plane = await controlPlane({ servers: 1 });
  const root = await node(plane);
  const holder = createServer().listen(0, '127.0.0.1');
  holders.push(holder);
  await new Promise((resolve) => holder.once('listening', resolve));
  const listen = `127.0.0.1:${(holder.address() as AddressInfo).port}`;
  expect(serious(await examined(root, '--listen', listen))).toEqual([
    expect.stringContaining(`error port: ${listen} is held by`),
  ]);
  const pod = { metadata: { name: 'nginx-proxy' }, spec: { containers: [{ image: 'nginx:1.28' }] } };
  writeFileSync(join(root, 'etc/kubernetes/manifests/nginx-proxy.yml'), JSON.stringify(pod));
  expect(serious(await examined(root, '--listen', listen))).toEqual([
    `warning port: ${listen} is held by another process`,
    expect.stringContaining('warning other-load-balancer: the static pod nginx-proxy'),
  ]);
});

test('the holder of a port is named where /proc says it', async () => {
  const plane = await controlPlane({ servers: 1 });
  const kubeconfig = await plane.writeKubeconfig({ user: 'fairlead' });
  const { code, out } = await runCommand([
    ...['doctor', '--json', '--kubeconfig', kubeconfig],
    ...['--listen', plane.endpoints[0] as string, '--admin', `127.0.0.1:${await freePort()}`],
  ]);
  expect(code).toBe(8);
  const { findings } = JSON.parse(out) as Report;
  expect(findings).toContainEqual(
    expect.objectContaining({ check: 'port', message: expect.stringContaining(`(pid ${process.pid})`) }),
  );
});

test('a kubelet that points at Fairlead, which does not run, is cut off: an error with the way back', async () => {
  const plane = await controlPlane({ servers: 1 });
  const root = await node(plane);
  const conf = join(root, 'etc/kubernetes/kubelet.conf');
  const listen = `127.0.0.1:${await freePort()}`;
  const original = readFileSync(conf, 'utf8');
  writeFileSync(`${conf}.fairlead-backup`, original);
  writeFileSync(conf, original.replace(/https:[^"]*/, `https://${listen}`));
  const report = await examined(root, '--listen', listen);
  expect(serious(report)).toEqual([expect.stringContaining('where no process listens')]);
  // The API server is known from the original all the same, and its certificate is good for the name.
  expect(report.endpoints).toEqual(plane.endpoints);
  expect(report.findings).toContainEqual(
    expect.objectContaining({
      check: 'server-name',
      severity: 'ok',
      message: expect.stringContaining('verify the name 127.0.0.1'),
    }),
  );
});

test('a control-plane node is told to use its own API server', async () => {
  const plane = await controlPlane({ servers: 1 });
  const root = await node(plane);
  const port = await freePort();
  const pod = {
    metadata: { name: 'kube-apiserver' },
    spec: { containers: [{ command: ['kube-apiserver', `--secure-port=${port}`] }] },
  };
  writeFileSync(join(root, 'etc/kubernetes/manifests/kube-apiserver.yaml'), JSON.stringify(pod));
  const report = await examined(root, '--listen', `127.0.0.1:${port}`);
  expect(report.role).toBe('control-plane');
  expect(serious(report)).toEqual([expect.stringContaining('warning local-api-server')]);
});

test('for people: the worst first, with why and the fix', async () => {
  const plane = await controlPlane({ servers: 1 });
  const root = await node(plane, 'node');
  const args = [
    '--root',
    root,
    '--listen',
    `127.0.0.1:${await freePort()}`,
    '--admin',
    `127.0.0.1:${await freePort()}`,
  ];
  const { out } = await runCommand(['doctor', ...args]);
  expect(out).toMatch(/^warning rbac: .*\n {8}why: {2}.*\n {8}fix: kubectl /);
  expect(out).toMatch(/\n0 errors, 1 warning\n$/);
});

test('a name that clients are configured to verify, and that a certificate lacks, is a finding', async () => {
  const plane = await controlPlane({ servers: 1 });
  const root = await node(plane);
  const config = join(root, 'names.yaml');
  writeFileSync(config, 'health: { clientNames: [api.example.test, kubernetes] }');
  const report = await examined(root, '--config', config);
  expect(report.code).toBe(8);
  expect(serious(report)).toEqual([
    expect.stringMatching(
      /^error server-name: .*health\.clientNames.* verifies api\.example\.test, but the certificate of/,
    ),
  ]);
});

test('a file that is missing is a finding', async () => {
  const plane = await controlPlane({ servers: 1 });
  const root = await node(plane);
  const report = await examined(root, '--kubeconfig', '/etc/kubernetes/none.conf');
  expect(serious(report)).toContainEqual(
    expect.stringContaining('error credentials: /etc/kubernetes/none.conf'),
  );
});

test('a client certificate that is missing leaves the CA: API servers are still verified and asked', async () => {
  const plane = await controlPlane({ servers: 1 });
  const root = await node(plane);
  writeKubeconfig(join(root, 'etc/kubernetes/half.conf'), {
    cluster: {
      'certificate-authority-data': base64(plane.pki.ca.cert),
      server: `https://${plane.endpoints[0]}`,
    },
    user: {
      'client-certificate': '/var/lib/kubelet/pki/gone.pem',
      'client-key': '/var/lib/kubelet/pki/gone.pem',
    },
  });
  const report = await examined(root, '--kubeconfig', '/etc/kubernetes/half.conf');
  const said = report.findings.map(({ severity, check, message }) => `${severity} ${check}: ${message}`);
  expect(said).toContainEqual(
    expect.stringMatching(/^error credentials: .*gone\.pem: does not exist \(named in .*half\.conf\)/),
  );
  expect(said).toContainEqual(expect.stringMatching(/^ok health: .* answers \/readyz with 200/));
  expect(said.filter((line) => line.includes('no CA is configured'))).toEqual([]);
});

test('on a host whose listeners lead elsewhere nothing about API servers is amiss', async () => {
  const root = join(directory, 'elsewhere');
  mkdirSync(root, { recursive: true });
  const file = join(root, 'fairlead.yaml');
  const listeners = `listeners: [{ address: "127.0.0.1:${await freePort()}", pool: etcd }]`;
  writeFileSync(
    file,
    `${listeners}\nadmin: "127.0.0.1:${await freePort()}"\npools: { etcd: { type: etcd, endpoints: [10.0.0.1] } }\n`,
  );
  const { code, out } = await runCommand(['doctor', '--config', file, '--root', root, '--json']);
  const { findings } = JSON.parse(out) as { findings: Finding[] };
  expect(findings.filter(({ severity }) => severity !== 'ok').map(({ check }) => check)).toEqual(['agent']);
  expect(code).toBe(0);
});

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { judgeNode, type NodeFacts } from '../../../src/doctor/node-checks.ts';
import { apiServerAddress, otherLoadBalancers, readStaticPods } from '../../../src/doctor/static-pods.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();

const listener = { host: '127.0.0.1', port: 6443 };
const free: NodeFacts = {
  role: 'worker',
  pods: [],
  addresses: [
    { address: listener, purpose: 'listener', isOptional: false, port: { state: 'free' } },
    {
      address: { host: '127.0.0.1', port: 6442 },
      purpose: 'admin',
      isOptional: false,
      port: { state: 'free' },
    },
  ],
  healthPort: { state: 'free' },
  agent: undefined,
  hasBootSeeds: true,
};
const agent = { listeners: ['127.0.0.1:6443'], isReady: true, admin: '127.0.0.1:6442', sources: ['watch'] };
const held = (by?: string) => ({ state: 'held', ...(by !== undefined && { by }) }) as const;

function judged(more: Partial<NodeFacts>, port?: NodeFacts['addresses'][number]['port']) {
  const [first, second] = free.addresses as [NodeFacts['addresses'][number], NodeFacts['addresses'][number]];
  const addresses = port ? [{ ...first, port }, second] : free.addresses;
  return judgeNode({ ...free, addresses, ...more });
}

const apiServer = (...flags: readonly string[]) => ({
  file: '/etc/kubernetes/manifests/kube-apiserver.yaml',
  name: 'kube-apiserver',
  images: ['registry.k8s.io/kube-apiserver:v1.36.2'],
  command: ['kube-apiserver', ...flags],
});
const nginxProxy = {
  file: '/etc/kubernetes/manifests/nginx-proxy.yml',
  name: 'nginx-proxy',
  images: ['docker.io/library/nginx:1.28'],
  command: [],
};

test('a worker with free addresses has nothing to fix', () => {
  expect(judged({}).filter(({ severity }) => severity === 'warning' || severity === 'error')).toEqual([]);
});

test('addresses that the agent itself holds are well', () => {
  expect(judged({ agent }, held('node (pid 7)'))).toContainEqual(
    expect.objectContaining({ check: 'port', severity: 'ok', message: '127.0.0.1:6443 is held by Fairlead' }),
  );
});

test('an agent that does not listen where it is configured to needs a restart', () => {
  expect(judged({ agent: { ...agent, listeners: ['127.0.0.1:7443'] } })).toContainEqual(
    expect.objectContaining({ check: 'port', severity: 'error', fix: expect.stringContaining('Restart') }),
  );
});

test('a port that somebody else holds is an error that names him', () => {
  expect(judged({}, held('envoy (pid 42)'))).toContainEqual({
    check: 'port',
    severity: 'error',
    message: '127.0.0.1:6443 is held by envoy (pid 42)',
    fix: expect.stringContaining("ss -ltnp 'sport = :6443'"),
  });
});

test.each([['nginx (pid 42)'], [undefined]])(
  'a port that nginx-proxy holds (%s) can be freed for the agent',
  (by) => {
    const findings = judged({ pods: [nginxProxy], healthPort: held('nginx (pid 42)') }, held(by));
    expect(findings).toContainEqual(
      expect.objectContaining({
        check: 'port',
        severity: 'warning',
        fix: expect.stringContaining('mv /etc/kubernetes/manifests/nginx-proxy.yml /root/'),
      }),
    );
    expect(findings.filter(({ check }) => check === 'other-load-balancer')).toMatchObject([
      { severity: 'warning' },
      { severity: 'info', message: expect.stringContaining('8081 (nginx (pid 42))') },
    ]);
  },
);

test('another holder is not excused by a proxy that lies about', () => {
  expect(judged({ pods: [nginxProxy] }, held('envoy (pid 42)'))).toContainEqual(
    expect.objectContaining({ check: 'port', severity: 'error' }),
  );
});

test.each([
  ['no such address', true, 'ok'],
  ['no such address', false, 'error'],
  ['refused', false, 'error'],
] as const)('an address that is %s (optional: %s) is %s', (state, isOptional, severity) => {
  const port = state === 'refused' ? ({ state, problem: 'EACCES' } as const) : ({ state } as const);
  const addresses = [{ address: listener, purpose: 'listener', isOptional, port }] as const;
  expect(judgeNode({ ...free, addresses })).toContainEqual(
    expect.objectContaining({ check: 'port', severity }),
  );
});

describe('on a control-plane node', () => {
  test.each([
    ['all addresses (default)', []],
    ['0.0.0.0', ['--bind-address=0.0.0.0']],
    ['the same address', ['--bind-address=127.0.0.1']],
  ])('an API server on %s collides with the listener', (_, flags) => {
    const findings = judged(
      { role: 'control-plane', pods: [apiServer(...flags)] },
      held('kube-apiserver (pid 9)'),
    );
    expect(findings).toContainEqual(
      expect.objectContaining({
        check: 'local-api-server',
        severity: 'warning',
        fix: expect.stringContaining('--listen 127.0.0.1:7443'),
      }),
    );
    // One finding for one fact.
    expect(findings.filter(({ message }) => message.includes('kube-apiserver (pid 9)'))).toEqual([]);
  });

  test.each([
    ['another address', ['--bind-address=10.0.0.1']],
    ['another port', ['--secure-port=7443']],
  ])('an API server on %s does not collide', (_, flags) => {
    const findings = judged({ role: 'control-plane', pods: [apiServer(...flags)] });
    expect(findings.map(({ check }) => check)).not.toContain('local-api-server');
  });
});

test('an agent that knows API servers from its kubeconfig alone would be lost after a reboot', () => {
  expect(judged({ agent, hasBootSeeds: false })).toContainEqual(
    expect.objectContaining({
      check: 'boot',
      severity: 'warning',
      fix: expect.stringMatching(/--endpoints.*--cache-file/),
    }),
  );
  expect(judged({ hasBootSeeds: false })).toContainEqual(
    expect.objectContaining({ check: 'boot', severity: 'info' }),
  );
});

test('an agent without a usable API server is an error', () => {
  expect(judged({ agent: { ...agent, isReady: false } })).toContainEqual(
    expect.objectContaining({ check: 'agent', severity: 'error' }),
  );
});

test('an agent that is stopping is said to be that, and the ports that it has left are not its fault', () => {
  const findings = judged({ agent: { ...agent, listeners: [], isReady: false, isStopping: true } });
  expect(findings.filter(({ severity }) => severity === 'error')).toEqual([
    expect.objectContaining({ check: 'agent', message: 'the agent is stopping and takes no new clients' }),
  ]);
});

test("static pods are read from where kubelet's configuration says", async () => {
  const root = join(directory, 'node');
  mkdirSync(join(root, 'var/lib/kubelet'), { recursive: true });
  mkdirSync(join(root, 'srv/pods'), { recursive: true });
  writeFileSync(join(root, 'var/lib/kubelet/config.yaml'), 'staticPodPath: /srv/pods\n');
  const pod = (name: string, image: string, command: readonly string[]) =>
    JSON.stringify({ kind: 'Pod', metadata: { name }, spec: { containers: [{ name, image, command }] } });
  writeFileSync(
    join(root, 'srv/pods/api.yaml'),
    pod('kube-apiserver', 'x/kube-apiserver:1', [
      'kube-apiserver',
      '--secure-port=7443',
      '--bind-address=10.0.0.1',
    ]),
  );
  writeFileSync(join(root, 'srv/pods/proxy'), pod('lb', 'quay.io/x/haproxy:3', []));
  writeFileSync(join(root, 'srv/pods/.hidden.yaml'), pod('haproxy', 'haproxy', []));
  writeFileSync(join(root, 'srv/pods/broken.yaml'), '{');
  writeFileSync(join(root, 'srv/pods/other.yaml'), pod('etcd', 'x/etcd:3', ['etcd']));
  const pods = await readStaticPods(root);
  expect(apiServerAddress(pods)).toEqual({ host: '10.0.0.1', port: 7443 });
  expect(otherLoadBalancers(pods).map(({ file }) => file)).toEqual(['/srv/pods/proxy']);
  expect(await readStaticPods(join(directory, 'none'))).toEqual([]);
});

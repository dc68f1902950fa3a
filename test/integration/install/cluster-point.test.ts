// Pointing what a cluster configures once for all nodes, against a stand-in control plane.
import { readFileSync } from 'node:fs';
import { parse, parseAllDocuments } from 'yaml';
import { type ApiRequest, KubeApi, type KubeObject } from '../../../src/kubernetes/kube-api.ts';
import { kubeProxy } from '../../../src/adopt/cluster-wide/kube-proxy.ts';
import { applyChange, savedAnnotation } from '../../../src/adopt/cluster-wide/object-change.ts';
import { writeReport } from '../../../src/installer/report.ts';
import { loadCredentials } from '../../../src/kubernetes/load-credentials.ts';
import type { Grant } from '../../support/apiserver/access.ts';
import { type ControlPlane, startControlPlane } from '../../support/apiserver/control-plane.ts';
import { runCommand } from '../../support/agent/command-context.ts';

let plane: ControlPlane;
let api: KubeApi;
let admin = '';
let port = 0;
/** What the store held before the first test. */
let ofCluster: ReadonlySet<string>;
/** Of users other than the administrator. */
const grants: Grant[] = [];

const kubeProxyText = `apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: https://10.0.0.11:6443 # the first one
  name: default
contexts:
- context:
    cluster: default
    namespace: default
    user: default
  name: default
current-context: default
users:
- name: default
  user:
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
`;
const kubeProxyPath = '/api/v1/namespaces/kube-system/configmaps/kube-proxy';
const workloadPath = (kind: string, name: string) => `/apis/apps/v1/namespaces/kube-system/${kind}s/${name}`;

beforeAll(async () => {
  plane = await startControlPlane({ servers: 2, grants });
  port = plane.servers[0]?.port ?? 0;
  admin = await plane.writeKubeconfig({ user: 'admin' });
  const { credentials, server } = await loadCredentials({ kubeconfig: admin }, new Set());
  api = new KubeApi({ servers: server ? [server] : [], credentials, userAgent: 'test' });
  for (const name of ['kube-system', 'fairlead-system', 'fairlead-reports']) {
    await api.ask({ method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name } } });
  }
  ofCluster = new Set(await storedKeys());
});

/** No test sees the objects of another. */
afterEach(async () => {
  for (const key of await storedKeys()) if (!ofCluster.has(key)) await plane.store.delete(key);
});

afterAll(() => plane.stop());

async function storedKeys(): Promise<string[]> {
  const stored = await plane.store.list('/registry/');
  return stored.ok ? stored.items.map(({ key }) => key) : [];
}

/** Made anew, whatever was there. */
async function put(path: string, body: object): Promise<void> {
  await api.ask({ method: 'DELETE', path });
  const [, collection = '', name = ''] = /^(.*)\/([^/]*)$/.exec(path) ?? [];
  const { metadata, ...rest } = body as { metadata?: object };
  await api.must({ method: 'POST', path: collection, body: { ...rest, metadata: { ...metadata, name } } });
}

const get = async (path: string) => (await api.find(path)) as KubeObject & { data: Record<string, string> };
// biome-ignore lint/suspicious/noExplicitAny: deep looks into workloads
const deep = async (path: string) => (await api.find(path)) as any;

async function removeAll(path: string): Promise<void> {
  await api.ask({ method: 'DELETE', path } satisfies ApiRequest);
}

const point = (...args: string[]) => runCommand(['cluster', 'point', ...args, '--kubeconfig', admin]);
const atApiPort = () => ['--server', `https://127.0.0.1:${port}`];

const apiServerPod = (node: string, ...flags: string[]) => ({
  metadata: { labels: { component: 'kube-apiserver' } },
  spec: { nodeName: node, containers: [{ command: ['kube-apiserver', `--secure-port=${port}`, ...flags] }] },
});
const agentPod = (node: string, status = 'True') => ({
  metadata: { labels: { 'app.kubernetes.io/component': 'static-pod' } },
  spec: { nodeName: node },
  status: { conditions: [{ type: 'Ready', status }] },
});
const podPath = (namespace: string, name: string) => `/api/v1/namespaces/${namespace}/pods/${name}`;

beforeEach(async () => {
  await put('/api/v1/nodes/cp-1', { metadata: { labels: { 'node-role.kubernetes.io/control-plane': '' } } });
  await put('/api/v1/nodes/worker-1', {});
  await put(podPath('kube-system', 'kube-apiserver-cp-1'), apiServerPod('cp-1'));
  await put(podPath('fairlead-system', 'fairlead-worker-1'), agentPod('worker-1'));
  await put(kubeProxyPath, {
    metadata: { labels: { app: 'kube-proxy' } },
    data: { 'config.conf': 'kind: KubeProxyConfiguration\n', 'kubeconfig.conf': kubeProxyText },
  });
  await put(workloadPath('daemonset', 'kube-proxy'), {
    spec: { template: { metadata: { labels: { a: 'b' } } } },
  });
});

describe('kube-proxy', () => {
  test('without --apply the change is shown, for kubectl too, and nothing is written', async () => {
    const before = await get(kubeProxyPath);
    const { code, out, err } = await point('kube-proxy', ...atApiPort());
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('-    server: https://10.0.0.11:6443 # the first one');
    expect(out).toContain(`+    server: https://127.0.0.1:${port} # the first one`);
    expect(out).toContain('rollout restart daemonset kube-proxy');
    expect(await get(kubeProxyPath)).toEqual(before);
    // What kubectl is told is what --apply would send.
    const [, json = ''] = /patch configmap kube-proxy --type merge -p '(.*)'\n/.exec(out) ?? [];
    const { metadata, data } = JSON.parse(json);
    expect(metadata.resourceVersion).toBe(before.metadata?.resourceVersion);
    await point('kube-proxy', ...atApiPort(), '--apply');
    expect((await get(kubeProxyPath)).data).toEqual({ ...before.data, ...data });
    expect((await get(kubeProxyPath)).metadata?.annotations).toEqual(metadata.annotations);
  });

  test('--apply changes the address and no other byte; again, and nothing changes; --undo gives the same bytes', async () => {
    const before = await get(kubeProxyPath);
    expect((await point('kube-proxy', ...atApiPort(), '--apply')).code).toBe(0);
    const pointed = await get(kubeProxyPath);
    expect(pointed.data['kubeconfig.conf']).toBe(
      kubeProxyText.replace('https://10.0.0.11:6443', `https://127.0.0.1:${port}`),
    );
    expect(pointed.data['config.conf']).toBe(before.data['config.conf']);
    const again = await point('kube-proxy', ...atApiPort(), '--apply');
    expect(again).toMatchObject({ code: 0, out: expect.stringContaining('nothing to do') });
    expect((await get(kubeProxyPath)).metadata?.resourceVersion).toBe(pointed.metadata?.resourceVersion);

    const shown = await point('kube-proxy', '--undo', '--print');
    expect(shown.out).toContain('+    server: https://10.0.0.11:6443 # the first one');
    expect(await get(kubeProxyPath)).toEqual(pointed);
    expect((await point('kube-proxy', '--undo')).code).toBe(0);
    const after = await get(kubeProxyPath);
    expect(after.data).toEqual(before.data);
    expect(after.metadata?.annotations?.[savedAnnotation]).toBeUndefined();
    expect((await point('kube-proxy', '--undo')).out).toContain('has not been pointed');
  });

  test('pointed twice, --undo gives what was there before the first time', async () => {
    await point('kube-proxy', ...atApiPort(), '--apply');
    await point('kube-proxy', '--server', `https://localhost:${port}`, '--apply');
    expect((await get(kubeProxyPath)).data['kubeconfig.conf']).toContain(`https://localhost:${port}`);
    await point('kube-proxy', '--undo');
    expect((await get(kubeProxyPath)).data['kubeconfig.conf']).toBe(kubeProxyText);
  });

  test('what somebody has changed since stays at --undo; only the address goes back', async () => {
    await point('kube-proxy', ...atApiPort(), '--apply');
    const { data } = await get(kubeProxyPath);
    const changed = data['kubeconfig.conf']?.replace('namespace: default', 'namespace: other') ?? '';
    await api.must({
      method: 'PATCH',
      path: kubeProxyPath,
      contentType: 'application/merge-patch+json',
      body: { data: { 'kubeconfig.conf': changed } },
    });
    const { code, err } = await point('kube-proxy', '--undo');
    expect([code, err]).toEqual([0, expect.stringContaining('changed since')]);
    expect((await get(kubeProxyPath)).data['kubeconfig.conf']).toBe(
      kubeProxyText.replace('namespace: default', 'namespace: other'),
    );
  });

  test('a name is written where the certificates lack the address', async () => {
    const { code } = await point('kube-proxy', '--server', `https://127.9.9.9:${port}`, '--apply');
    expect(code).toBe(0);
    const written = parse((await get(kubeProxyPath)).data['kubeconfig.conf'] ?? '');
    expect(written.clusters[0].cluster).toMatchObject({
      server: `https://127.9.9.9:${port}`,
      'tls-server-name': 'kubernetes',
    });
    await point('kube-proxy', '--undo');
    expect((await get(kubeProxyPath)).data['kubeconfig.conf']).toBe(kubeProxyText);
  });

  test('a name that no certificate has is refused', async () => {
    const result = await point('kube-proxy', ...atApiPort(), '--tls-server-name', 'other.example', '--apply');
    expect(result).toMatchObject({ code: 6, err: expect.stringContaining('SERVER_UNVERIFIED') });
    expect((await get(kubeProxyPath)).data['kubeconfig.conf']).toBe(kubeProxyText);
  });

  test('without the ConfigMap it is refused, and says what that means', async () => {
    await removeAll(kubeProxyPath);
    const result = await point('kube-proxy', ...atApiPort(), '--apply');
    expect(result).toMatchObject({ code: 6, err: expect.stringContaining('there is no configmap') });
    expect(await point('kube-proxy', '--undo')).toMatchObject({ code: 0 });
  });

  test('a write in between is not overwritten, and the refusal says so', async () => {
    const verifiedName = async () => ({ name: '127.0.0.1', warnings: [] });
    const address = { host: '127.0.0.1', port };
    const wanted = { address, server: `https://127.0.0.1:${port}`, verifiedName, isForced: false };
    const [planned] = await kubeProxy.plan(api, wanted);
    if (planned?.action !== 'patch') throw new Error('nothing was planned');
    const other = { metadata: { labels: { other: 'hand' } } };
    const contentType = 'application/merge-patch+json';
    await api.must({ method: 'PATCH', path: kubeProxyPath, contentType, body: other });
    await expect(applyChange(api, planned)).rejects.toMatchObject({
      code: 'CLUSTER_REFUSED',
      message: expect.stringContaining('configmap kube-system/kube-proxy was changed by another client'),
    });
    expect((await get(kubeProxyPath)).data['kubeconfig.conf']).toBe(kubeProxyText);
    const gone = { ...planned, ref: { ...planned.ref, name: 'gone' } };
    await expect(applyChange(api, gone)).rejects.toMatchObject({ code: 'CLUSTER_REFUSED' });
  });

  test('credentials in the kubeconfig are shown in no output', async () => {
    const secret = kubeProxyText.replace(/tokenFile: .*/, 'token: s3cret');
    await put(kubeProxyPath, { data: { 'kubeconfig.conf': secret } });
    const shown = await point('kube-proxy', ...atApiPort());
    expect(shown.out).toContain('not shown');
    expect(shown.out + shown.err).not.toContain('s3cret');
    await point('kube-proxy', ...atApiPort(), '--apply');
    expect((await get(kubeProxyPath)).data['kubeconfig.conf']).toContain('s3cret');
  });

  test('--restart rolls the pods once for each change, as kubectl does', async () => {
    const annotations = async () =>
      (await deep(workloadPath('daemonset', 'kube-proxy'))).spec.template.metadata.annotations;
    await point('kube-proxy', ...atApiPort(), '--apply');
    expect(await annotations()).toBeUndefined();
    await point('kube-proxy', ...atApiPort(), '--apply', '--restart');
    const first = await annotations();
    expect(Date.parse(first['kubectl.kubernetes.io/restartedAt'])).not.toBeNaN();
    const again = await point('kube-proxy', ...atApiPort(), '--apply', '--restart');
    expect(again.out).toContain('was already restarted for this change');
    expect(await annotations()).toEqual(first);
    await point('kube-proxy', '--undo', '--restart');
    expect((await annotations())['fairlead/restarted-for']).not.toBe(first['fairlead/restarted-for']);
  });
});

describe('a node where nobody would answer', () => {
  const refusal = (why: string) => ({ code: 6, err: expect.stringContaining(why) });

  test('on the control plane, as its API server listens on another port: refused, unless a ready agent is there', async () => {
    const args = ['kube-proxy', '--server', 'https://127.0.0.1:7443', '--apply'];
    expect(await point(...args)).toMatchObject(refusal(`cp-1: its API server listens on port ${port}`));
    await put(podPath('fairlead-system', 'fairlead-cp-1'), agentPod('cp-1', 'False'));
    expect(await point(...args)).toMatchObject(refusal('cp-1'));
    expect((await get(kubeProxyPath)).data['kubeconfig.conf']).toBe(kubeProxyText);
    await put(podPath('fairlead-system', 'fairlead-cp-1'), agentPod('cp-1'));
    expect(await point(...args)).toMatchObject({ code: 0 });
  });

  test('on the control plane, as its API server listens on one address: refused; with --unchecked it is a warning', async () => {
    await put(
      podPath('kube-system', 'kube-apiserver-cp-1'),
      apiServerPod('cp-1', '--bind-address=10.0.0.11'),
    );
    const result = await point('kube-proxy', ...atApiPort(), '--apply');
    expect(result).toMatchObject(refusal('listens on 10.0.0.11 only'));
    expect(await point('kube-proxy', ...atApiPort(), '--apply', '--unchecked')).toMatchObject({
      code: 0,
      err: expect.stringContaining('listens on 10.0.0.11 only'),
    });
  });

  test('a worker where nobody answers is refused when it is applied, and said when it is shown', async () => {
    await put('/api/v1/nodes/worker-2', {});
    try {
      const shown = await point('kube-proxy', ...atApiPort());
      expect(shown).toMatchObject({
        code: 0,
        err: expect.stringContaining('worker-2: its agent is not ready'),
      });
      expect(shown.out).toContain('kubectl -n kube-system patch');
      expect(await point('kube-proxy', ...atApiPort(), '--apply')).toMatchObject(refusal('worker-2'));
      expect((await get(kubeProxyPath)).data['kubeconfig.conf']).toBe(kubeProxyText);
      // What its installer has reported counts too.
      const report = { node: 'worker-2', state: 'serving' as const, message: '', image: '', version: '' };
      await writeReport(api, { ...report, state: 'failed' }, Date.now());
      expect(await point('kube-proxy', ...atApiPort(), '--apply')).toMatchObject(refusal('worker-2'));
      await writeReport(api, report, Date.now() - 60 * 60_000);
      expect(await point('kube-proxy', ...atApiPort(), '--apply')).toMatchObject(refusal('worker-2'));
      await writeReport(api, report, Date.now());
      expect(await point('kube-proxy', ...atApiPort(), '--apply')).toMatchObject({ code: 0, err: '' });
    } finally {
      await removeAll('/api/v1/nodes/worker-2');
    }
  });
});

test('credentials that may not are told so', async () => {
  const kubeconfig = await plane.writeKubeconfig({ user: 'node' });
  const result = await runCommand(['cluster', 'point', 'kube-proxy', '--undo', '--kubeconfig', kubeconfig]);
  expect(result).toMatchObject({ code: 4, err: expect.stringMatching(/API_REFUSED: GET .*kube-proxy: 403/) });
});

test('kubeadm: controlPlaneEndpoint is put in or changed, and undone to the byte', async () => {
  const path = '/api/v1/namespaces/kube-system/configmaps/kubeadm-config';
  for (const [text, expected] of [
    [
      'apiServer: {}\nkind: ClusterConfiguration # kubeadm\nnetworking:\n  dnsDomain: cluster.local\n',
      `apiServer: {}\nkind: ClusterConfiguration # kubeadm\ncontrolPlaneEndpoint: "127.0.0.1:${port}"\nnetworking:\n  dnsDomain: cluster.local\n`,
    ],
    [
      'controlPlaneEndpoint: "lb.example:6443" # ours\nkind: ClusterConfiguration\n',
      `controlPlaneEndpoint: "127.0.0.1:${port}" # ours\nkind: ClusterConfiguration\n`,
    ],
  ] as const) {
    await put(path, { data: { ClusterConfiguration: text } });
    expect(await point('kubeadm', ...atApiPort(), '--apply')).toMatchObject({ code: 0, err: '' });
    expect((await get(path)).data.ClusterConfiguration).toBe(expected);
    expect(await point('kubeadm', '--undo', '--print')).toMatchObject({
      out: expect.stringContaining(`-controlPlaneEndpoint`),
    });
    expect(await point('kubeadm', '--undo')).toMatchObject({ code: 0, err: '' });
    expect((await get(path)).data.ClusterConfiguration).toBe(text);
  }
  await put(path, { data: { ClusterConfiguration: 'kind: ClusterConfiguration\n' } });
  // Nothing but the address can be written there, so the certificates must have it.
  const unverified = await point(
    'kubeadm',
    '--server',
    `https://127.9.9.9:${port}`,
    '--apply',
    '--unchecked',
  );
  expect(unverified).toMatchObject({ code: 0, err: expect.stringContaining('127.9.9.9') });
  await point('kubeadm', '--undo');
  const refused = await point('kubeadm', '--server', `https://127.9.9.9:${port}`, '--apply');
  expect(refused).toMatchObject({ code: 6, err: expect.stringContaining('certSANs') });
  await removeAll(path);
  expect(await point('kubeadm', ...atApiPort())).toMatchObject({ code: 6 });
});

describe('Calico', () => {
  const path = '/api/v1/namespaces/kube-system/configmaps/kubernetes-services-endpoint';

  test('its ConfigMap is made where there is none, and goes with --undo', async () => {
    expect(await point('calico', ...atApiPort(), '--apply')).toMatchObject({ code: 0 });
    expect((await get(path)).data).toEqual({
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      KUBERNETES_SERVICE_PORT: String(port),
    });
    const again = await point('calico', ...atApiPort(), '--apply');
    expect(again.out).toContain('nothing to do');
    expect(await point('calico', '--undo')).toMatchObject({ code: 0 });
    expect(await get(path)).toBeUndefined();
  });

  test('one that is there gets its own values back', async () => {
    const data = { KUBERNETES_SERVICE_HOST: '10.0.0.11', KUBERNETES_SERVICE_PORT: '6443', OTHER: 'x' };
    await put(path, { data });
    await point('calico', ...atApiPort(), '--apply');
    expect((await get(path)).data).toMatchObject({ KUBERNETES_SERVICE_HOST: '127.0.0.1', OTHER: 'x' });
    await point('calico', '--undo');
    expect((await get(path)).data).toEqual(data);
  });

  test('of the operator it is refused for a loopback address, as older ones give it to all pods', async () => {
    await api.ask({
      method: 'POST',
      path: '/api/v1/namespaces',
      body: { metadata: { name: 'tigera-operator' } },
    });
    const refused = await point('calico', ...atApiPort(), '--apply');
    expect(refused).toMatchObject({ code: 6, err: expect.stringContaining('calico-kube-controllers') });
    expect(await point('calico', ...atApiPort(), '--apply', '--unchecked')).toMatchObject({ code: 0 });
    const operated = path.replace('kube-system', 'tigera-operator');
    expect((await get(operated)).data.KUBERNETES_SERVICE_HOST).toBe('127.0.0.1');
  });
});

describe('Cilium', () => {
  const [agent, operator] = [
    workloadPath('daemonset', 'cilium'),
    workloadPath('deployment', 'cilium-operator'),
  ];
  const config = '/api/v1/namespaces/kube-system/configmaps/cilium-config';
  const env = (...names: string[]) => names.map((name) => ({ name, value: `${name}-value` }));
  const agentSpec = {
    template: {
      spec: {
        hostNetwork: true,
        initContainers: [
          { name: 'config', image: 'c', env: env('K8S_NODE_NAME') },
          { name: 'mount-cgroup', image: 'c' },
        ],
        containers: [{ name: 'cilium-agent', image: 'c', args: ['--config-dir=/tmp'] }],
      },
    },
  };
  const host = '10.0.0.11';
  const operatorSpec = {
    template: {
      spec: {
        hostNetwork: true,
        containers: [
          {
            name: 'cilium-operator',
            env: [{ name: 'KUBERNETES_SERVICE_HOST', value: host }, ...env('LAST')],
          },
        ],
      },
    },
  };
  const ours = () => [
    { name: 'KUBERNETES_SERVICE_HOST', value: '127.0.0.1' },
    { name: 'KUBERNETES_SERVICE_PORT', value: String(port) },
  ];

  beforeEach(async () => {
    await put(agent, { spec: agentSpec });
    await put(operator, { spec: operatorSpec });
    await put(config, { data: { 'enable-ipv4': 'true' } });
  });

  test('the containers that speak to the API get the variables; others stay; --undo gives the same spec', async () => {
    expect(await point('cilium', ...atApiPort(), '--apply')).toMatchObject({ code: 0, err: '' });
    const { initContainers, containers } = (await deep(agent)).spec.template.spec;
    expect(initContainers[0].env).toEqual([...env('K8S_NODE_NAME'), ...ours()]);
    expect(initContainers[1]).toEqual(agentSpec.template.spec.initContainers[1]);
    expect(containers[0]).toEqual({ ...agentSpec.template.spec.containers[0], env: ours() });
    const [pointed] = (await deep(operator)).spec.template.spec.containers;
    expect(pointed.env).toEqual([ours()[0], ...env('LAST'), ours()[1]]);
    const version = (await deep(agent)).metadata.resourceVersion;
    expect((await point('cilium', ...atApiPort(), '--apply')).out).toContain('nothing to do');
    expect((await deep(agent)).metadata.resourceVersion).toBe(version);

    expect(await point('cilium', '--undo')).toMatchObject({ code: 0, err: '' });
    expect((await deep(agent)).spec).toEqual(agentSpec);
    expect((await deep(operator)).spec).toEqual(operatorSpec);
  });

  test('values that Helm has written since stay at --undo', async () => {
    await point('cilium', ...atApiPort(), '--apply');
    const { spec } = await deep(operator);
    spec.template.spec.containers[0].env[0].value = 'helm.example';
    const contentType = 'application/merge-patch+json';
    await api.must({ method: 'PATCH', path: operator, contentType, body: { spec } });
    const { err } = await point('cilium', '--undo');
    expect(err).toContain('keeps the new one');
    expect((await deep(operator)).spec).toEqual(spec);
    expect((await deep(operator)).metadata.annotations?.[savedAnnotation]).toBeUndefined();
  });

  test('refused where Cilium has a list of API servers, is off the node’s network, or is not there', async () => {
    await put(config, { data: { 'k8s-api-server-urls': 'https://10.0.0.11:6443' } });
    const listed = await point('cilium', ...atApiPort(), '--apply');
    expect(listed).toMatchObject({ code: 6, err: expect.stringContaining('k8s-api-server-urls') });
    await removeAll(config);
    await put(operator, { spec: { template: { spec: { containers: [] } } } });
    const pods = await point('cilium', ...atApiPort(), '--apply');
    expect(pods).toMatchObject({ code: 6, err: expect.stringContaining('does not use the host network') });
    expect((await deep(agent)).spec).toEqual(agentSpec);
    await removeAll(agent);
    expect(await point('cilium', ...atApiPort())).toMatchObject({ code: 6 });
  });
});

test('wrong combinations of flags are named', async () => {
  for (const args of [
    ['kube-proxy', '--apply', '--undo'],
    ['kube-proxy', '--undo', '--server', 'https://127.0.0.1:1'],
    ['kube-proxy', '--restart'],
    ['kube-proxy', '--apply', '--print'],
    ['kube-proxy', '--undo', '--print', '--restart'],
    ['kube-proxy', '--namespace', 'other'],
    ['calico', '--tls-server-name', 'kubernetes'],
    ['kubelet'],
  ]) {
    expect([args, (await point(...args)).code]).toEqual([args, 2]);
  }
});

describe('the Job that does it', () => {
  interface Rule {
    readonly apiGroups: string[];
    readonly resources: string[];
    readonly verbs: string[];
  }
  const read = (file: string) =>
    parseAllDocuments(readFileSync(`manifests/cluster-point-kube-proxy${file}`, 'utf8')).map((each) =>
      each.toJS(),
    );
  const rules = read('-rights/rbac.yaml').flatMap(({ metadata, rules: given = [] }) =>
    (given as Rule[]).map((rule) => ({ rule, namespace: metadata.namespace as string | undefined })),
  );
  const args: string[] = read('/job.yaml')[0].spec.template.spec.containers[0].args;

  /** With these rights and no others. */
  async function run(some: typeof rules): Promise<number> {
    grants.splice(
      0,
      grants.length,
      ...some.map(({ rule, namespace }) => ({
        subjects: ['system:serviceaccount:kube-system:fairlead'],
        verbs: rule.verbs,
        groups: rule.apiGroups,
        resources: rule.resources,
        ...(namespace !== undefined && { namespaces: [namespace] }),
      })),
    );
    const kubeconfig = await plane.writeKubeconfig({ user: 'token' });
    const here = args.map((arg) => (arg.startsWith('https:') ? `https://127.0.0.1:${port}` : arg));
    return (await runCommand([...here, '--kubeconfig', kubeconfig])).code;
  }

  test('has the rights that it needs', async () => {
    expect(await run(rules)).toBe(0);
  });

  test.each(rules.map((one) => [`${one.rule.resources} in ${one.namespace ?? 'all'}`, one] as const))(
    'and needs that to %s',
    async (_name, one) => {
      expect(await run(rules.filter((other) => other !== one))).not.toBe(0);
    },
  );
});

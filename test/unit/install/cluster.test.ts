import { type ApiAnswer, type ApiRequest, KubeApi, type KubeObject } from '../../../src/install/api.ts';
import { makeChange, planChange, planUndo } from '../../../src/install/cluster/change.ts';
import { nodesWithoutListener } from '../../../src/install/cluster/every-node.ts';
import { beforeAnnotation, clusterTargets, type TargetName } from '../../../src/install/cluster/target.ts';

const address = { host: '127.0.0.1', port: 6443 };

function merge(target: unknown, patch: unknown): unknown {
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merge(result[key], value);
  }
  return result;
}

/** Objects by path; lists by path too. */
class ApiInMemory extends KubeApi {
  readonly objects: Map<string, KubeObject>;

  constructor(objects: Record<string, unknown>) {
    super({ servers: [], credentials: { kind: 'none' }, userAgent: '' });
    this.objects = new Map(Object.entries(objects) as [string, KubeObject][]);
  }

  override async ask({ method = 'GET', path, body }: ApiRequest): Promise<ApiAnswer> {
    const at = path.split('?')[0] ?? '';
    const object = this.objects.get(at);
    if (method === 'POST') {
      const { metadata } = body as KubeObject;
      this.objects.set(`${at}/${metadata?.name}`, body as KubeObject);
      return { status: 201, object: {} };
    }
    if (!object) return { status: 404, object: {} };
    if (method === 'DELETE') this.objects.delete(at);
    if (method === 'PATCH') this.objects.set(at, merge(object, body) as KubeObject);
    return { status: 200, object: this.objects.get(at) ?? {} };
  }
}

const kubeconfig = `apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/ca.crt # the pod's
    server: https://10.0.0.1:6443
  name: default
contexts: [{context: {cluster: default, user: default}, name: default}]
current-context: default
`;
const clusterConfiguration = `apiServer:
    timeoutForControlPlane: 4m0s
clusterName: kubernetes
kubernetesVersion: v1.36.2
`;
const container = {
  name: 'cilium-agent',
  env: [{ name: 'K8S_NODE_NAME' }, { name: 'KUBERNETES_SERVICE_HOST', value: '10.0.0.1' }],
};
const objects: Record<TargetName, unknown> = {
  'kube-proxy': {
    metadata: { name: 'kube-proxy' },
    data: { 'config.conf': 'x', 'kubeconfig.conf': kubeconfig },
  },
  kubeadm: { metadata: { name: 'kubeadm-config' }, data: { ClusterConfiguration: clusterConfiguration } },
  calico: {
    metadata: { name: 'kubernetes-services-endpoint' },
    data: { KUBERNETES_SERVICE_HOST: 'old', other: 'x' },
  },
  cilium: {
    metadata: { name: 'cilium' },
    spec: { template: { spec: { containers: [container], initContainers: [{ name: 'config' }] } } },
  },
};
const pathOf = (name: TargetName) => clusterTargets[name].path();
const names = Object.keys(clusterTargets) as TargetName[];

describe.each(names)('%s', (name) => {
  const target = clusterTargets[name];
  const start = () => new ApiInMemory({ [pathOf(name)]: objects[name] });
  const point = async (api: KubeApi, server = { address, tlsServerName: 'kubernetes' }) => {
    const plan = await planChange(api, target, server);
    await makeChange(api, plan);
    return plan;
  };

  test('is changed, once, and put back as it was', async () => {
    const api = start();
    expect((await point(api)).method).toBe('PATCH');
    expect(api.objects.get(pathOf(name))).not.toEqual(objects[name]);
    expect((await point(api)).method).toBe('nothing');
    await makeChange(api, await planUndo(api, target));
    expect(api.objects.get(pathOf(name))).toMatchObject(objects[name] as object);
    expect(api.objects.get(pathOf(name))?.metadata?.annotations?.[beforeAnnotation]).toBeUndefined();
    expect((await planUndo(api, target)).method).toBe('nothing');
  });

  test('changed twice, the first state is the one that comes back', async () => {
    const api = start();
    await point(api);
    await point(api, { address: { host: '127.0.0.1', port: 7443 }, tlsServerName: 'kubernetes' });
    await makeChange(api, await planUndo(api, target));
    expect(api.objects.get(pathOf(name))).toMatchObject(objects[name] as object);
  });
});

const dataOf = (api: ApiInMemory, name: TargetName) =>
  (api.objects.get(pathOf(name))?.data ?? {}) as Record<string, string>;

test("kube-proxy's kubeconfig gets server and name, and no other byte", async () => {
  const api = new ApiInMemory({ [pathOf('kube-proxy')]: objects['kube-proxy'] });
  await makeChange(
    api,
    await planChange(api, clusterTargets['kube-proxy'], { address, tlsServerName: 'kubernetes' }),
  );
  expect(dataOf(api, 'kube-proxy')).toEqual({
    'config.conf': 'x',
    'kubeconfig.conf': kubeconfig.replace(
      'https://10.0.0.1:6443\n',
      'https://127.0.0.1:6443\n    tls-server-name: kubernetes\n',
    ),
  });
});

test('what others have changed since stays when the address is put back', async () => {
  const api = new ApiInMemory({
    [pathOf('kube-proxy')]: objects['kube-proxy'],
    [pathOf('kubeadm')]: objects.kubeadm,
  });
  for (const [name, key, from, to] of [
    ['kube-proxy', 'kubeconfig.conf', "# the pod's", '# another'],
    ['kubeadm', 'ClusterConfiguration', 'v1.36.2', 'v1.36.3'],
  ] as const) {
    await makeChange(api, await planChange(api, clusterTargets[name], { address }));
    const text = dataOf(api, name)[key] ?? '';
    await api.ask({ method: 'PATCH', path: pathOf(name), body: { data: { [key]: text.replace(from, to) } } });
    await makeChange(api, await planUndo(api, clusterTargets[name]));
    expect(dataOf(api, name)[key]).toContain(to);
    expect(dataOf(api, name)[key]).not.toContain('127.0.0.1');
  }
});

test("Calico's ConfigMap is made where there is none, and removed again", async () => {
  const api = new ApiInMemory({});
  await makeChange(api, await planChange(api, clusterTargets.calico, { address }));
  expect(dataOf(api, 'calico')).toEqual({
    KUBERNETES_SERVICE_HOST: '127.0.0.1',
    KUBERNETES_SERVICE_PORT: '6443',
  });
  await makeChange(api, await planUndo(api, clusterTargets.calico));
  expect(api.objects.size).toBe(0);
});

test('an object that is not there, or is of another make, is refused', async () => {
  const api = new ApiInMemory({ [pathOf('kubeadm')]: { data: {} } });
  await expect(planChange(api, clusterTargets['kube-proxy'], { address })).rejects.toMatchObject({
    code: 'INSTALL_REFUSED',
  });
  await expect(planChange(api, clusterTargets.kubeadm, { address })).rejects.toMatchObject({
    code: 'INSTALL_REFUSED',
  });
});

describe('whether every node has a listener on the address', () => {
  const node = (name: string, isControlPlane = false) => ({
    metadata: { name, labels: isControlPlane ? { 'node-role.kubernetes.io/control-plane': '' } : {} },
  });
  const apiServer = (nodeName: string, ...flags: string[]) => ({
    spec: { nodeName, containers: [{ command: ['kube-apiserver', ...flags] }] },
  });
  const check = (pods: readonly unknown[], serving: readonly string[], server = address) =>
    nodesWithoutListener(
      new ApiInMemory({
        '/api/v1/nodes': { items: [node('cp-1', true), node('worker-1')] },
        '/api/v1/namespaces/kube-system/pods': { items: pods },
        '/api/v1/namespaces/fairlead-system/configmaps': {
          items: serving.map((name) => ({ data: { node: name, state: 'serving' } })),
        },
      }),
      server,
    );

  test('an agent on each worker, and an API server on that port of each control-plane node', async () => {
    expect(await check([apiServer('cp-1', '--secure-port=6443')], ['worker-1'])).toEqual([]);
  });

  test.each([
    ['a worker without an agent', [apiServer('cp-1')], [], address, 'worker-1: no agent'],
    [
      'an API server on another port',
      [apiServer('cp-1')],
      ['worker-1'],
      { ...address, port: 7443 },
      'listens on port 6443',
    ],
    [
      'an API server that is not on the loopback',
      [apiServer('cp-1', '--bind-address=10.0.0.1')],
      ['worker-1'],
      address,
      '10.0.0.1 only',
    ],
    ['an API server that cannot be seen', [], ['worker-1'], address, 'cannot be seen'],
  ])('%s', async (_what, pods, serving, server, message) => {
    expect(await check(pods, serving, server)).toEqual([expect.stringContaining(message)]);
  });

  test('an agent on the control-plane node does as well', async () => {
    expect(await check([], ['worker-1', 'cp-1'])).toEqual([]);
  });

  test('an address that is not of the loopback is the same for all', async () => {
    expect(await check([], [], { host: '10.0.0.100', port: 6443 })).toEqual([]);
  });
});

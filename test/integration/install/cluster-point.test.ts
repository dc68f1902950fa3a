// `fairlead cluster point` against the stand-in API.
import { installNamespace, KubeApi } from '../../../src/install/api.ts';
import { writeReport } from '../../../src/install/node/report.ts';
import { loadCredentials } from '../../../src/kubernetes/load-credentials.ts';
import { buildAgent, runFairlead } from '../../support/agent-process.ts';
import { type ControlPlane, startControlPlane } from '../../support/apiserver/control-plane.ts';

let plane: ControlPlane;
let api: KubeApi;
let kubeconfig = '';
const path = '/api/v1/namespaces/kube-system/configmaps/kube-proxy';
const text = 'clusters:\n- name: default\n  cluster:\n    server: https://10.0.0.1:6443\n';

beforeAll(async () => {
  buildAgent();
  plane = await startControlPlane();
  kubeconfig = await plane.writeKubeconfig({ user: 'admin' });
  const { credentials, server } = await loadCredentials({ kubeconfig }, new Set());
  api = new KubeApi({ servers: server ? [server] : [], credentials, userAgent: 'test' });
  for (const name of ['kube-system', installNamespace])
    await api.ask({
      method: 'POST',
      path: '/api/v1/namespaces',
      body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name } },
    });
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'worker-9' } };
  await api.must({ method: 'POST', path: '/api/v1/nodes', body: node });
  const map = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'kube-proxy' },
    data: { 'kubeconfig.conf': text },
  };
  await api.must({ method: 'POST', path: path.slice(0, path.lastIndexOf('/')), body: map });
});

afterAll(() => plane.stop());

const point = (...more: string[]) =>
  runFairlead(['cluster', 'point', 'kube-proxy', '--kubeconfig', kubeconfig, ...more]);
const current = async () => ((await api.must({ path })).data as Record<string, string>)['kubeconfig.conf'];

test('it prints, refuses while a node has no listener, applies, and puts back', async () => {
  const printed = await point();
  expect(printed).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('worker-9: no agent has reported'),
  });
  expect(printed.stdout).toMatch(/^PATCH .*kube-proxy\n.*server: https:\/\/127\.0\.0\.1:6443/s);
  expect(await point('--apply')).toMatchObject({ code: 6, stderr: expect.stringContaining('worker-9') });
  expect(await current()).toBe(text);

  const report = { node: 'worker-9', state: 'serving', message: '', image: '', version: '' };
  await writeReport(api, report, Date.now());
  const { items } = await api.must({ path: '/api/v1/nodes' });
  for (const { metadata } of items as { metadata: { name: string } }[])
    await writeReport(api, { ...report, node: metadata.name }, Date.now());
  expect(await point('--apply')).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringContaining('rollout restart'),
  });
  expect(await current()).toContain('https://127.0.0.1:6443');
  expect(await point('--apply')).toMatchObject({ code: 0, stdout: 'kube-proxy: it is as it should be\n' });
  expect(await point('--undo')).toMatchObject({ code: 0 });
  expect(await current()).toBe(text);
});

test('credentials that may not are told so', async () => {
  const { code, stderr } = await runFairlead([
    ...[
      'cluster',
      'point',
      'kube-proxy',
      '--undo',
      '--kubeconfig',
      await plane.writeKubeconfig({ user: 'node' }),
    ],
  ]);
  expect(code).toBe(4);
  expect(stderr).toMatch(/API_REFUSED: .*403/);
});

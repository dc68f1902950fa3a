// What the manifests let the installer do is enough for what it asks of the API, and gets it no further.
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import {
  configMapPath,
  installNamespace,
  KubeApi,
  leasePath,
  reportsNamespace,
} from '../../../src/kubernetes/kube-api.ts';
import { reportName } from '../../../src/kubernetes/node-reports.ts';
import { readReports, removeReport, writeReport } from '../../../src/installer/report.ts';
import { RolloutSemaphore } from '../../../src/installer/rollout-semaphore.ts';
import { loadCredentials } from '../../../src/kubernetes/load-credentials.ts';
import type { Grant } from '../../support/apiserver/access.ts';
import { type ControlPlane, startControlPlane } from '../../support/apiserver/control-plane.ts';

interface Rule {
  readonly apiGroups: string[];
  readonly resources: string[];
  readonly verbs: string[];
}

/** The rules of the Roles in these files, given to the stand-in's ServiceAccount. */
function grantsOf(files: readonly string[]): Grant[] {
  return files
    .flatMap((file) => parseAllDocuments(readFileSync(file, 'utf8')).map((one) => one.toJS()))
    .filter(({ kind }) => kind === 'Role')
    .flatMap(({ metadata, rules }) =>
      rules.map(({ apiGroups, resources, verbs }: Rule) => ({
        subjects: ['system:serviceaccount:kube-system:fairlead'],
        namespaces: [metadata.namespace],
        groups: apiGroups,
        ...{ resources, verbs },
      })),
    );
}

const mapOfInstallers = configMapPath(installNamespace, 'fairlead-install');
const nowMs = () => 1_700_000_000_000;
let plane: ControlPlane;
let admin: KubeApi;
let installer: KubeApi;

beforeAll(async () => {
  const files = ['daemonset-installer', 'installer-point-kubelets'].map(
    (one) => `manifests/${one}/rbac.yaml`,
  );
  plane = await startControlPlane({ servers: 1, grants: grantsOf([...files, 'manifests/rbac/role.yaml']) });
  const apiOf = async (user: 'admin' | 'token') => {
    const kubeconfig = await plane.writeKubeconfig({ user });
    const { credentials, server } = await loadCredentials({ kubeconfig }, new Set());
    return new KubeApi({ servers: server ? [server] : [], credentials, userAgent: 'test' });
  };
  [admin, installer] = [await apiOf('admin'), await apiOf('token')];
  for (const name of [installNamespace, reportsNamespace]) {
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
    await admin.must({ method: 'POST', path: '/api/v1/namespaces', body });
  }
  const body = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'fairlead-install' },
    data: { a: 'b' },
  };
  await admin.must({ method: 'POST', path: configMapPath(installNamespace), body });
});

afterAll(() => plane.stop());

test('reports are written, written again and removed', async () => {
  const report = { node: 'worker-1', state: 'failed' as const, message: 'm', image: 'i', version: '0' };
  await writeReport(installer, report, nowMs());
  await writeReport(installer, { ...report, state: 'serving' }, nowMs());
  expect(await readReports(admin, nowMs())).toMatchObject({
    reports: [{ node: 'worker-1', state: 'serving', isFresh: true }],
    foreign: 0,
  });
  await removeReport(installer, 'worker-1');
  expect(await admin.find(configMapPath(reportsNamespace, reportName('worker-1')))).toBeUndefined();
});

test('turns are taken and given back, and a rollout is halted', async () => {
  const semaphore = new RolloutSemaphore(installer, 'worker-1', nowMs);
  expect(await semaphore.halted()).toBeUndefined();
  const turn = await semaphore.acquire(1);
  expect(turn).toBeDefined();
  await semaphore.release(turn ?? '');
  expect(await semaphore.acquire(1)).toBe(turn);
  await semaphore.halt('worker-1: a reason');
  expect(await semaphore.halted()).toBe('worker-1: a reason');
});

test.each([
  ['its own pod', `/api/v1/namespaces/${installNamespace}/pods/fairlead-installer-x`, 404],
  ['the Lease of kubelet', leasePath('kube-node-lease', 'worker-1'), 404],
  ['the API servers', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', 200],
])('%s may be read', async (_what, path, status) => {
  expect(await installer.ask({ path })).toMatchObject({ status });
});

test.each(['GET', 'PATCH', 'PUT', 'DELETE'] as const)(
  'what installers write as root is not theirs to touch: %s',
  async (method) => {
    const body = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'fairlead-install' },
      data: { a: 'c' },
    };
    const type = method === 'PATCH' && { contentType: 'application/merge-patch+json' };
    const answer = await installer.ask({
      ...{ method, path: mapOfInstallers, ...type },
      ...(method.startsWith('P') && { body }),
    });
    expect(answer.status).toBe(403);
    expect(await admin.find(mapOfInstallers)).toMatchObject({ data: { a: 'b' } });
  },
);

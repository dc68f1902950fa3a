// What the manifests folder ships: the example configuration is valid, and kustomize reads the bases.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { findKubectl } from '../support/kubectl.ts';
import { skipLoudly } from '../support/skip-loudly.ts';

test('the example configuration of the systemd unit is valid', async () => {
  const result = await loadConfig({
    file: 'manifests/systemd/config.yaml',
    flags: {},
    env: {},
    hostname: 'node-1',
  });
  expect(result).toMatchObject({ ok: true });
});

test('the role grants reading of EndpointSlices in default and nothing else', () => {
  const [role] = parseAllDocuments(readFileSync('manifests/rbac/role.yaml', 'utf8')).map((d) => d.toJS());
  expect(role).toMatchObject({
    metadata: { namespace: 'default' },
    rules: [
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['get', 'list', 'watch'] },
    ],
  });
});

test('the optional role for zones grants reading of nodes and nothing else', () => {
  const text = readFileSync('manifests/rbac-zones/cluster-role.yaml', 'utf8');
  const [role] = parseAllDocuments(text).map((d) => d.toJS());
  expect(role.rules).toEqual([{ apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list'] }]);
});

const kubectl = findKubectl();
if (kubectl === undefined) skipLoudly('manifests/rbac is a kustomize base', 'no kubectl on PATH');
else {
  test('manifests/rbac is a kustomize base', () => {
    const { status, stdout } = spawnSync(kubectl, ['kustomize', 'manifests/rbac'], { encoding: 'utf8' });
    expect(status).toBe(0);
    const kinds = parseAllDocuments(stdout).map((document) => (document.toJS() as { kind: string }).kind);
    expect(kinds.sort()).toEqual(['Role', 'RoleBinding']);
    const zones = spawnSync(kubectl, ['kustomize', 'manifests/rbac-zones'], { encoding: 'utf8' });
    expect(zones.stdout.match(/^kind: .*/gm)).toEqual(['kind: ClusterRole', 'kind: ClusterRoleBinding']);
  });
}

// What the installer's manifests ship: kustomize reads each overlay, and the program knows what they ask of it.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { buildProgram } from '../../src/cli/program.ts';
import type { Surroundings } from '../../src/cli/surroundings.ts';
import { loadConfig } from '../../src/config/load.ts';
import { findKubectl } from '../support/kubectl.ts';
import { skipLoudly } from '../support/skip-loudly.ts';

const kubectl = findKubectl();
if (kubectl === undefined) skipLoudly("the installer's overlays", 'no kubectl on PATH');

test("the installer's template is the static pod, and its configuration is valid", async () => {
  const template = 'manifests/daemonset-installer/static-pod.yaml';
  expect(readFileSync(template, 'utf8')).toBe(readFileSync('manifests/static-pod/fairlead.yaml', 'utf8'));
  const file = 'manifests/daemonset-installer/config.yaml';
  const result = await loadConfig({ file, flags: {}, env: {}, hostname: 'node-1' });
  if (!result.ok) throw new Error('not valid');
  // Without it the installer refuses.
  expect(result.config.discovery.cacheFile).toBeDefined();
});

const installer = (overlay: string) => {
  const { status, stdout, stderr } = spawnSync(kubectl ?? 'kubectl', ['kustomize', overlay], {
    encoding: 'utf8',
  });
  expect({ status, stderr }).toMatchObject({ status: 0 });
  const objects = parseAllDocuments(stdout).map((document) => document.toJS());
  const daemonSet = objects.find(({ kind }) => kind === 'DaemonSet');
  return { objects, pod: daemonSet.spec.template.spec };
};

(kubectl === undefined ? test.skip : test).each([
  ['manifests/daemonset-installer', ['install', '--watch']],
  ['manifests/installer-replace-proxy', ['install', '--replace-proxy']],
  ['manifests/installer-point-kubelets', ['install', '--point-kubelets']],
  ['manifests/installer-remove', ['uninstall', '--restart-kubelet', '--stay']],
])('%s runs on workers only, with arguments that the program knows', (overlay, expected) => {
  const { objects, pod } = installer(overlay);
  const [container] = pod.containers;
  expect(container.args).toEqual(expect.arrayContaining(expected));
  const program = buildProgram(
    { ...({} as Surroundings), version: '0', print() {}, printError() {} },
    () => {},
  );
  const command = program.commands.find((one) => one.name() === container.args[0]);
  const flags = container.args.filter((word: string) => word.startsWith('--'));
  for (const flag of flags) expect(command?.options.map(({ long }) => long)).toContain(flag);

  const [term] = pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms;
  for (const role of ['control-plane', 'master'])
    expect(term.matchExpressions).toContainEqual({
      key: `node-role.kubernetes.io/${role}`,
      operator: 'DoesNotExist',
    });
  expect(container.securityContext).toMatchObject({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  });
  // The generated name reaches the volume, so that another configuration is rolled out.
  const maps = objects.filter(({ kind }) => kind === 'ConfigMap').map(({ metadata }) => metadata.name);
  expect(maps).toContain(pod.volumes.find(({ name }: { name: string }) => name === 'config').configMap.name);
});

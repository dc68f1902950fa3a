// What the installer's manifests ship: kustomize reads each overlay, and the program knows what they ask of it.
import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { buildProgram } from '../../src/cli/program.ts';
import type { CommandContext } from '../../src/cli/command-context.ts';
import { loadConfig } from '../../src/config/load.ts';
import { reportsNamespace } from '../../src/kubernetes/kube-api.ts';
import { findKubectl } from '../support/clients/kubectl.ts';
import type { KubeObject } from '../support/apiserver/kubernetes-schemas.ts';
import { skipLoudly } from '../support/jest/skip-loudly.ts';
import { tempDir } from '../support/jest/temp-dir.ts';

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
  return { objects, daemonSet, pod: daemonSet.spec.template.spec };
};

(kubectl === undefined ? test.skip : test).each([
  ['manifests/daemonset-installer', ['install', '--watch']],
  ['manifests/installer-replace-proxy', ['install', '--replace-proxy']],
  ['manifests/installer-point-kubelets', ['install', '--point-kubelets']],
  ['manifests/installer-remove', ['uninstall', '--restart-kubelet', '--stay']],
])('%s runs on workers only, with arguments that the program knows', (overlay, expected) => {
  const { objects, daemonSet, pod } = installer(overlay);
  const [container] = pod.containers;
  expect(container.args).toEqual(expect.arrayContaining(expected));
  const program = buildProgram(
    { ...({} as CommandContext), version: '0', print() {}, printError() {} },
    () => {},
  );
  const command = program.commands.find((one) => one.name() === container.args[0]);
  const flags = container.args.filter((word: string) => word.startsWith('--'));
  for (const flag of flags) expect(command?.options.map(({ long }) => long)).toContain(flag.split('=')[0]);
  // The command itself says when it is done; the agent's own ports are not its to take.
  const { host, port, path } = container.readinessProbe.httpGet;
  expect(container.args).toContain(`--ready-address=${host}:${port}`);
  expect([host, path]).toEqual(['127.0.0.1', '/readyz']);
  expect([6439, 6440, 6441, 6442, 6443, 7442, 7443, 7439]).not.toContain(port);
  expect(daemonSet.spec.updateStrategy.type).toBe('RollingUpdate');

  const [term] = pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms;
  for (const role of ['control-plane', 'master'])
    expect(term.matchExpressions).toContainEqual({
      key: `node-role.kubernetes.io/${role}`,
      operator: 'DoesNotExist',
    });
  expect(container.securityContext).toMatchObject({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'], add: expect.arrayContaining(['DAC_OVERRIDE']) },
  });
  // The generated name reaches the volume, so that another configuration is rolled out.
  const mounted = pod.volumes.find(({ name }: { name: string }) => name === 'config').configMap.name;
  const map = objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === mounted);
  // Every installer writes what is in it as root.
  expect(map).toMatchObject({ immutable: true, metadata: { namespace: 'fairlead-system' } });
  // Nodes that are down count: a number would let a few of them stop the rollout of a large cluster.
  expect(daemonSet.spec.updateStrategy.rollingUpdate.maxUnavailable).toMatch(/^\d+%$/);
});

(kubectl === undefined ? test.skip : test).each(['installer-point-kubelets', 'installer-remove'])(
  '%s may send to D-Bus where AppArmor is on, and keeps the owner of kubeconfigs',
  (overlay) => {
    const { daemonSet, pod } = installer(`manifests/${overlay}`);
    const [{ name, securityContext }] = pod.containers;
    expect(securityContext.appArmorProfile).toEqual({ type: 'Unconfined' });
    // A pod with both is refused where they differ.
    expect(daemonSet.spec.template.metadata.annotations).toEqual({
      [`container.apparmor.security.beta.kubernetes.io/${name}`]: 'unconfined',
    });
    expect(securityContext.capabilities.add).toEqual(['DAC_OVERRIDE', 'CHOWN', 'FOWNER']);
  },
);

const installers = ['daemonset-installer', 'installer-replace-proxy', 'installer-remove'];
(kubectl === undefined ? test.skip : test).each([...installers, 'installer-point-kubelets'])(
  '%s: the token that every worker holds changes nothing that installers go by',
  (overlay) => {
    const { objects, pod } = installer(`manifests/${overlay}`);
    const subject = {
      kind: 'ServiceAccount',
      name: pod.serviceAccountName,
      namespace: 'fairlead-system',
    };
    const bound = objects.filter(({ subjects }) =>
      subjects?.some((one: object) => isDeepStrictEqual(one, subject)),
    );
    const granted = bound.map(({ roleRef, metadata: { namespace } }) => {
      const isRole = ({ kind, metadata }: KubeObject) =>
        [kind, metadata.name, metadata.namespace].join() === ['Role', roleRef.name, namespace].join();
      return [namespace, objects.find(isRole)?.rules] as const;
    });
    const slices = [
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
    ];
    const lease = { apiGroups: ['coordination.k8s.io'], resources: ['leases'] };
    const points = overlay === 'installer-point-kubelets';
    expect(Object.fromEntries(granted)).toEqual({
      default: slices,
      'fairlead-system': [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }],
      // What src/install/node asks for (report.ts, rollout-semaphore.ts).
      [reportsNamespace]: [
        { apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'create', 'patch', 'delete'] },
        { ...lease, verbs: ['get', 'create', 'update'] },
      ],
      ...(points && { 'kube-node-lease': [{ ...lease, verbs: ['get'] }] }),
    });
  },
);

(kubectl === undefined ? test.skip : test)('a removal that is under way is brought to its end', () => {
  const { pod } = installer('manifests/installer-remove');
  // It waits for clients, then for kubelet to end the pod.
  expect(pod.terminationGracePeriodSeconds).toBe(180);
});

describe('as user 0 with the capabilities of the pod', () => {
  const reason =
    kubectl === undefined
      ? 'no kubectl on PATH'
      : process.getuid?.() !== 0
        ? 'giving up capabilities needs root'
        : spawnSync('setpriv', ['--version']).error && 'no setpriv on PATH';
  if (reason) {
    skipLoudly('the installer writes below directories of another user', reason);
    return;
  }
  const root = tempDir();
  const nodeFiles = JSON.stringify(resolve('src/installer/node-files.ts'));

  function write(capabilities: readonly string[]) {
    // Kubespray's: /etc/kubernetes and its manifests are kube's, mode 0755.
    const directory = join(root, 'etc/kubernetes/manifests');
    mkdirSync(directory, { recursive: true });
    for (const each of [directory, join(directory, '..')]) chownSync(each, 1000, 1000);
    const kept = ['-all', ...capabilities.map((one) => `+${one.toLowerCase()}`)].join(',');
    const program = `const { NodeFiles } = await import(${nodeFiles});
      await new NodeFiles(${JSON.stringify(root)}).put('/etc/kubernetes/manifests/fairlead-a.yaml', Buffer.from('x'));`;
    const words = [`--bounding-set=${kept}`, '--inh-caps=-all', process.execPath, '--input-type=module'];
    const { status, stderr } = spawnSync('setpriv', [...words, '--eval', program], { encoding: 'utf8' });
    return { status, stderr, files: readdirSync(directory) };
  }

  test('the installer writes below directories of another user', () => {
    const bare = write([]);
    expect(bare).toMatchObject({ status: 1, files: [] });
    expect(bare.stderr).toContain('EACCES');
    const { pod } = installer('manifests/daemonset-installer');
    const { add } = pod.containers[0].securityContext.capabilities;
    expect(add).toEqual(['DAC_OVERRIDE']);
    expect(write(add)).toMatchObject({ status: 0, files: ['fairlead-a.yaml'] });
  });
});

// What the manifests folder ships: kustomize renders every overlay, the API's schemas take everything in them, and
// the pods are as docs/manifests.md says.
import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { formatHostPort } from '../../src/model/endpoint.ts';
import { renderStaticPod } from '../../src/installer/static-pod.ts';
import { metricDefinitions } from '../../src/observe/metrics.ts';
import { findKubectl } from '../support/clients/kubectl.ts';
import { type KubeObject, schemaProblems } from '../support/apiserver/kubernetes-schemas.ts';
import { skipLoudly } from '../support/jest/skip-loudly.ts';
import { tempDir } from '../support/jest/temp-dir.ts';

const directory = tempDir();
const read = (file: string) => readFileSync(file, 'utf8');
const documents = (text: string) => parseAllDocuments(text).map((each) => each.toJS() as KubeObject);

describe('configurations', () => {
  const examples = ['systemd', 'static-pod', 'static-pod-nonroot', 'daemonset-agent'];

  test.each(examples)('the example of %s is valid', async (folder) => {
    const result = await loadConfig({
      file: `manifests/${folder}/config.yaml`,
      flags: {},
      env: {},
      hostname: 'node-1',
    });
    expect(result).toMatchObject({ ok: true });
  });
});

test('the socket unit has addresses that the configuration listens on', async () => {
  const unit = read('manifests/systemd/fairlead.socket');
  const file = 'manifests/systemd/config.yaml';
  const { values } = await loadConfig({ file, flags: {}, env: {}, hostname: 'node-1' });
  const listeners = values.listeners?.map(formatHostPort);
  // The one in the comment as well.
  const addresses = [...unit.matchAll(/^#?ListenStream=(.*)$/gm)].map(([, address]) => address);
  expect(addresses).toEqual(['127.0.0.1:6443', '[::1]:6443']);
  expect(listeners).toEqual(expect.arrayContaining(addresses));
  expect(unit).not.toContain('Accept=');
});

test('the role grants reading of EndpointSlices in default and nothing else', () => {
  const [role, binding] = documents(read('manifests/rbac/role.yaml'));
  expect(role).toMatchObject({
    metadata: { namespace: 'default' },
    rules: [{ apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] }],
  });
  // Static pods have no ServiceAccount: they come as their node.
  expect(binding?.subjects).toEqual([
    { kind: 'Group', apiGroup: 'rbac.authorization.k8s.io', name: 'system:nodes' },
    { kind: 'ServiceAccount', name: 'fairlead', namespace: 'fairlead-system' },
  ]);
});

describe('alerts', () => {
  const [rules] = documents(read('manifests/monitoring/rules.yaml'));
  const alerts: { alert: string; expr: string; annotations: Record<string, string> }[] =
    rules?.spec.groups[0].rules ?? [];

  test('there is one for every state that an operator must know of', () => {
    expect(alerts.map(({ alert }) => alert)).toEqual([
      'FairleadNoUsableEndpoint',
      'FairleadOneEndpointLeft',
      'FairleadDiscoveryStale',
      'FairleadServingCertificateExpires',
      'FairleadClientCertificateExpires',
      'FairleadCAExpires',
      'FairleadCertificateLacksClientName',
      'FairleadClientNameMissing',
      'FairleadClockSuspect',
      'FairleadEndpointUnverified',
      'FairleadCredentialsUnreadable',
    ]);
  });

  test.each(alerts)('$alert uses metrics and labels that exist', ({ expr }) => {
    const names = new Map(metricDefinitions.map(({ name, labels }) => [name, labels]));
    const used = expr.match(/\bfairlead_\w+/g) ?? [];
    expect(used.length).toBeGreaterThan(0);
    expect(used.filter((name) => !names.has(name))).toEqual([]);
    const words = expr.replace(/\bfairlead_\w+|"[^"]*"/g, '').match(/[a-z_]+/g) ?? [];
    const labels = [...names.values(), 'pool'].flat();
    const language = ['and', 'or', 'unless', 'sum', 'without', 'min', 'count', 'by', 'time', 'ignoring'];
    expect(words.filter((word) => !language.includes(word) && !labels.includes(word))).toEqual([]);
  });

  test.each(alerts)('$alert has a runbook', ({ alert, annotations }) => {
    const [file = '', anchor] = (annotations.runbook ?? '').split('#');
    const headings = [...read(file).matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
    expect(headings).toContain(alert);
    expect(anchor).toBe(alert.toLowerCase());
    const section = read(file).split(`## ${alert}\n`)[1]?.split('\n## ')[0] ?? '';
    for (const part of ['Meaning', 'Diagnosis', 'Fix']) {
      expect(section).toContain(`**${part}**`);
    }
  });

  const promtool = spawnSync('promtool', ['--version']).error === undefined;
  if (!promtool) skipLoudly('alerts fire when they should', 'no promtool on PATH');
  else {
    test('alerts fire when they should, and not otherwise', () => {
      writeFileSync(join(directory, 'rules.yaml'), stringify(rules?.spec));
      const tests = parse(read('test/fixtures/alerts.test.yaml')) as object;
      writeFileSync(join(directory, 'tests.yaml'), stringify({ rule_files: ['rules.yaml'], ...tests }));
      const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', 'tests.yaml'], {
        cwd: directory,
        encoding: 'utf8',
      });
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: expect.any(String), stderr: '' });
    });
  }
});

describe('the PodMonitor', () => {
  const [monitor] = documents(read('manifests/monitoring/podmonitor.yaml'));

  /** As Prometheus does it, for the two actions that are used. */
  function relabel(pod: Readonly<Record<string, string>>): Record<string, string> | undefined {
    const labels: Record<string, string> = { ...pod };
    for (const rule of monitor?.spec.podMetricsEndpoints[0].relabelings ?? []) {
      const value = rule.sourceLabels.map((name: string) => labels[name] ?? '').join(';');
      const match = new RegExp(`^(?:${rule.regex ?? '(.*)'})$`).exec(value);
      if (rule.action === 'keep' && !match) return undefined;
      if (rule.action === 'replace' && match) {
        const replacement: string = rule.replacement ?? '$1';
        labels[rule.targetLabel] = replacement.replace(/\$(\d)/g, (_, group) => match[Number(group)] ?? '');
      }
    }
    return labels;
  }
  const port = '__meta_kubernetes_pod_annotation_fairlead_metrics_port';

  test.each([
    ['10.0.0.7', '10.0.0.7:6439'],
    ['fd00::7', '[fd00::7]:6439'],
  ])('scrapes a pod on %s at %s', (ip, address) => {
    const pod = { __address__: ip, __meta_kubernetes_pod_ip: ip, __meta_kubernetes_pod_node_name: 'n1' };
    expect(relabel({ ...pod, [port]: '6439' })).toMatchObject({ __address__: address, node: 'n1' });
  });

  test('leaves pods without a metrics listener alone', () => {
    expect(relabel({ __address__: '10.0.0.7', __meta_kubernetes_pod_ip: '10.0.0.7' })).toBeUndefined();
  });
});

test('the optional role for zones grants reading of nodes and nothing else', () => {
  const [role] = documents(read('manifests/rbac-zones/cluster-role.yaml'));
  expect(role?.rules).toEqual([{ apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list'] }]);
});

const kubectl = findKubectl();
if (kubectl === undefined) skipLoudly('every overlay renders and is valid', 'no kubectl on PATH');
else describeOverlays(kubectl);

function describeOverlays(program: string): void {
  const overlays = readdirSync('manifests', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('kustomization.yaml'))
    .filter((file) => (parse(read(join('manifests', file))) as { kind: string }).kind === 'Kustomization')
    .map((file) => file.replace(/\/kustomization\.yaml$/, ''));

  function render(overlay: string, root = 'manifests'): KubeObject[] {
    const { status, stdout, stderr } = spawnSync(program, ['kustomize', join(root, overlay)], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(stderr);
    return documents(stdout);
  }
  const rendered = new Map(overlays.map((overlay) => [overlay, render(overlay)]));
  const objects = (overlay: string) => rendered.get(overlay) ?? [];
  const kinds = (overlay: string) =>
    objects(overlay)
      .map(({ kind }) => kind)
      .sort();

  /** The pod, or the template of its DaemonSet. */
  function podOf(overlay: string): KubeObject {
    const [owner] = objects(overlay).filter(({ kind }) => kind === 'Pod' || kind === 'DaemonSet');
    if (!owner) throw new Error(`${overlay} has no pod`);
    return owner.kind === 'Pod' ? owner : (owner.spec.template as KubeObject);
  }
  const containerOf = (overlay: string) => podOf(overlay).spec.containers[0];

  test('the folders are what docs/manifests.md says', () => {
    const page = read('docs/manifests.md');
    const named = [...page.matchAll(/^\| `manifests\/([\w-]+)`/gm)].map(([, name]) => name);
    const folders = readdirSync('manifests');
    expect(named.filter((name) => !folders.includes(name ?? ''))).toEqual([]);
    expect(folders.filter((name) => !named.includes(name))).toEqual([]);
  });

  test.each(overlays)('%s: the schemas of the API take every object', async (overlay) => {
    expect(await schemaProblems(objects(overlay))).toEqual([]);
  });

  test.each<[string, object, string]>([
    ['a member that does not exist', { spec: { containers: [], hostNetwrok: true } }, 'hostNetwrok'],
    ['a member that is missing', { spec: {} }, 'containers'],
    [
      'a value of the wrong type',
      { spec: { containers: [{ name: 'a' }], hostNetwork: 'yes' } },
      'hostNetwork',
    ],
    ['a kind that does not exist', { kind: 'Pot', spec: {} }, 'Pot'],
  ])('that check finds %s', async (_name, part, found) => {
    const object = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' }, ...part } as KubeObject;
    expect((await schemaProblems([object])).join('\n')).toContain(found);
  });

  test('the overlays have what their names say', () => {
    expect(kinds('static-pod')).toEqual(['Pod']);
    const agent = ['ConfigMap', 'DaemonSet', 'Namespace', 'Role', 'RoleBinding', 'ServiceAccount'];
    expect(kinds('daemonset-agent')).toEqual(agent);
    expect(kinds('rbac-zones')).toEqual(['ClusterRole', 'ClusterRoleBinding']);
    const monitored = [...agent, 'PodMonitor', 'PrometheusRule'].sort();
    expect(kinds('daemonset-agent-podmonitor')).toEqual(monitored);
    const binding = ['Role', 'RoleBinding'];
    // Deleting the folder must not delete the namespaces.
    const pointing = ['ClusterRole', 'ClusterRoleBinding', 'Job', 'ServiceAccount'];
    for (const overlay of ['cluster-point-kube-proxy', 'cluster-point-kube-proxy-undo'])
      expect(kinds(overlay)).toEqual([...pointing, ...binding, ...binding, ...binding, ...binding].sort());
  });

  const agents = [
    'static-pod',
    'static-pod-nonroot',
    'static-pod-metrics',
    'daemonset-agent',
    'daemonset-agent-podmonitor',
    'daemonset-agent-scrape',
  ];

  test.each(agents)('%s: the container may do nothing that it need not', (overlay) => {
    const { spec } = podOf(overlay);
    expect(spec).toMatchObject({
      hostNetwork: true,
      priorityClassName: 'system-node-critical',
      enableServiceLinks: false,
      securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
    });
    expect(spec.containers).toHaveLength(1);
    const { securityContext, image, imagePullPolicy } = containerOf(overlay);
    expect(securityContext).toEqual({
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(image).toMatch(/@sha256:[0-9a-f]{64}$/);
    expect(imagePullPolicy).toBe('IfNotPresent');
    expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(30);
    expect(spec.hostPID ?? spec.hostIPC ?? false).toBe(false);
  });

  test.each(agents)('%s: no port is declared, and the probes ask the loopback address', (overlay) => {
    const container = containerOf(overlay);
    expect(container.ports).toBeUndefined();
    const admin = container.env.find(({ name }: { name: string }) => name === 'FAIRLEAD_ADMIN').value;
    for (const [probe, path] of [
      ['startupProbe', '/livez'],
      ['livenessProbe', '/livez'],
      ['readinessProbe', '/readyz'],
    ]) {
      const { host, port, path: asked } = container[probe ?? ''].httpGet;
      expect([`${host}:${port}`, asked]).toEqual([admin, path]);
    }
  });

  test.each([...agents, 'the template of the installer'])(
    '%s: a hung agent is replaced within 30 s, one without CPU for 10 s is not',
    (overlay) => {
      const { livenessProbe: probe, startupProbe } = agents.includes(overlay)
        ? containerOf(overlay)
        : parse(read('manifests/daemonset-installer/static-pod.yaml')).spec.containers[0];
      const { periodSeconds, timeoutSeconds, failureThreshold, terminationGracePeriodSeconds } = probe;
      // kubelet asks at every period; the worst hang begins right after a good answer. Then the grace, since a stopped
      // process does not heed SIGTERM, and the start: the container's, which takes a second, and the agent's.
      const startSeconds = 2;
      const hungSeconds = failureThreshold * periodSeconds + timeoutSeconds + terminationGracePeriodSeconds;
      expect(hungSeconds + startSeconds).toBeLessThan(30);
      // The shortest silence that is acted on: the first failing question is asked as it begins, the last one ends it.
      expect((failureThreshold - 1) * periodSeconds + timeoutSeconds).toBeGreaterThan(10);
      expect(timeoutSeconds).toBeLessThanOrEqual(periodSeconds);
      expect(startupProbe.failureThreshold * startupProbe.periodSeconds).toBeGreaterThan(10);
    },
  );

  test.each(agents)('%s: directories are mounted and never single files', (overlay) => {
    for (const { hostPath } of podOf(overlay).spec.volumes) {
      if (hostPath) expect(['Directory', 'DirectoryOrCreate']).toContain(hostPath.type);
    }
    for (const mount of containerOf(overlay).volumeMounts) expect(mount.subPath).toBeUndefined();
  });

  test.each(agents)('%s: requests are what was measured', (overlay) => {
    const { requests, limits } = containerOf(overlay).resources;
    const promised = /anonymous memory, everything on, under all loads +\| (\d+) MiB/.exec(
      read('docs/performance.md'),
    );
    expect(Number.parseInt(requests.memory, 10)).toBeGreaterThanOrEqual(Number(promised?.[1]));
    expect(Number.parseInt(requests.cpu, 10)).toBeGreaterThan(0);
    // A limit would end the node's connections at the worst moment.
    expect(limits).toBeUndefined();
  });

  test.each([
    ['cluster-point-kube-proxy', '--apply'],
    ['cluster-point-kube-proxy-undo', '--undo'],
  ])('%s: the Job runs the command, as a user without rights on the node', (overlay, does) => {
    const [job] = objects(overlay).filter(({ kind }) => kind === 'Job');
    expect(job?.metadata.name).toBe(`fairlead-${overlay.replace('cluster-', '')}`);
    // As long as it is there it cannot be run again.
    expect(job?.spec.ttlSecondsAfterFinished).toBeLessThanOrEqual(600);
    const { spec } = job?.spec.template ?? {};
    const [container] = spec.containers;
    expect(container.args).toEqual(
      expect.arrayContaining(['cluster', 'point', 'kube-proxy', does, '--restart']),
    );
    expect(container.securityContext).toEqual(containerOf('static-pod').securityContext);
    expect(spec).toMatchObject({ securityContext: { runAsNonRoot: true }, restartPolicy: 'Never' });
    expect([spec.hostNetwork, spec.volumes]).toEqual([undefined, undefined]);
    // Its token is worth root on every node: no worker may see it.
    const terms = spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms;
    const roles = ['control-plane', 'master'].map((role) => `node-role.kubernetes.io/${role}`);
    expect(terms).toHaveLength(roles.length);
    roles.forEach((key, index) => {
      expect(terms[index].matchExpressions).toContainEqual({ key, operator: 'Exists' });
      expect(spec.tolerations).toContainEqual({ key, operator: 'Exists' });
    });
    // Or it would count as an agent that serves its node.
    const components = agents.map((agent) => podOf(agent).metadata.labels?.['app.kubernetes.io/component']);
    const { labels } = job?.spec.template.metadata ?? {};
    expect(components).not.toContain(labels['app.kubernetes.io/component']);
    expect(new Set(components)).toEqual(new Set(['static-pod', 'daemonset-agent']));
  });

  test.each(['static-pod', 'static-pod-nonroot', 'static-pod-metrics'])(
    '%s needs nothing of the API',
    (overlay) => {
      const { spec, metadata } = podOf(overlay);
      expect(spec.automountServiceAccountToken).toBe(false);
      expect(spec.serviceAccountName).toBeUndefined();
      for (const volume of spec.volumes) expect(Object.keys(volume).sort()).toEqual(['hostPath', 'name']);
      for (const { valueFrom } of containerOf(overlay).env) {
        if (valueFrom) expect(Object.keys(valueFrom)).toEqual(['fieldRef']);
      }
      // As admission would have it: it never sees a static pod.
      expect(spec.priority).toBe(2_000_001_000);
      expect(metadata.annotations).toHaveProperty(['fairlead/config-checksum']);
      expect(spec.securityContext.seLinuxOptions).toEqual({ type: 'spc_t' });
    },
  );

  test('the static pod has kubelet’s credentials, read-only; that without root has nothing of kubelet’s', () => {
    const mounts = (overlay: string) =>
      containerOf(overlay).volumeMounts.map(
        ({ mountPath, readOnly }: { mountPath: string; readOnly?: boolean }) =>
          `${mountPath}${readOnly ? ' ro' : ''}`,
      );
    const own = ['/etc/fairlead ro', '/var/lib/fairlead'];
    expect(mounts('static-pod')).toEqual([...own, '/etc/kubernetes ro', '/var/lib/kubelet/pki ro']);
    expect(podOf('static-pod').spec.securityContext.runAsUser).toBe(0);
    expect(mounts('static-pod-nonroot')).toEqual(own);
    expect(podOf('static-pod-nonroot').spec.volumes).toHaveLength(2);
    expect(podOf('static-pod-nonroot').spec.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 60643,
    });
  });

  test('the DaemonSet says that it is one, keeps off the static pod’s ports, and is not root', async () => {
    const container = containerOf('daemonset-agent');
    const env = Object.fromEntries(
      container.env.map(({ name, value }: Record<string, string>) => [name, value]),
    );
    expect(env.FAIRLEAD_DEPLOYMENT).toBe('daemonset');
    const { values } = await loadConfig({
      file: 'manifests/daemonset-agent/config.yaml',
      flags: {},
      env: {},
      hostname: 'node-1',
    });
    const admin = values.admin || undefined;
    expect(`${admin?.host}:${admin?.port}`).toBe(env.FAIRLEAD_ADMIN);
    const { values: standard } = await loadConfig({
      flags: {},
      env: {},
      hostname: 'n',
      mustFindEndpoints: false,
    });
    const ports = ({ listeners, admin: at }: typeof values) => [
      ...(listeners ?? []).map(({ port }) => port),
      ...(at ? [at.port] : []),
    ];
    // Those of the installer and its two slots, and those of the metrics, as well.
    const taken = new Set([...ports(standard), 6438, 6440, 6441, 6439]);
    expect(ports(values).filter((port) => taken.has(port))).toEqual([]);
    expect(podOf('daemonset-agent').spec.securityContext).toMatchObject({
      runAsNonRoot: true,
      fsGroup: 60643,
    });
    expect(podOf('daemonset-agent').metadata.annotations?.['fairlead/note']).toContain(
      "kubelet's only address",
    );
  });

  test.each([
    ['static-pod-metrics', '6439'],
    ['daemonset-agent-podmonitor', '7439'],
    ['daemonset-agent-scrape', '7439'],
  ])('%s opens the metrics, and them alone, on the node’s address', async (overlay, port) => {
    const { annotations } = podOf(overlay).metadata;
    expect(annotations?.['fairlead/metrics-port']).toBe(port);
    const isAnnotated = overlay !== 'daemonset-agent-podmonitor';
    expect(annotations?.['prometheus.io/port']).toBe(isAnnotated ? port : undefined);
    const entries: { name: string; value?: string; valueFrom?: object }[] = containerOf(overlay).env;
    expect(entries.find(({ name }) => name === 'HOST_IP')?.valueFrom).toEqual({
      fieldRef: { fieldPath: 'status.hostIP' },
    });
    const text = entries.find(({ name }) => name === 'FAIRLEAD_METRICS')?.value ?? '';
    for (const host of ['10.0.0.7', 'fd00::7']) {
      const env = { FAIRLEAD_METRICS: text.replace('$(HOST_IP)', host), FAIRLEAD_ENDPOINTS: '10.0.0.1' };
      const result = await loadConfig({ flags: {}, env, hostname: 'n' });
      expect(result).toMatchObject({ ok: true, config: { metrics: { host, port: Number(port) } } });
    }
  });

  test('the installer takes the static pod with metrics as its template', () => {
    const pod = renderStaticPod({
      template: stringify(podOf('static-pod-metrics')),
      ...{ slot: 'b', image: 'f@sha256:1', config: Buffer.from('x'), adminPort: 6441, admin: false },
    });
    const { metadata, spec } = parse(pod) as KubeObject;
    expect(metadata).toMatchObject({ name: 'fairlead-b', annotations: { 'fairlead/metrics-port': '6439' } });
    expect(spec.containers[0].env).toContainEqual({ name: 'FAIRLEAD_METRICS', value: '[$(HOST_IP)]:6439' });
    expect(spec.containers[0].readinessProbe.httpGet.port).toBe(6441);
  });

  /** They come after the installer, and are deleted while it stays. */
  const isDeletedAfterwards = (overlay: string) => overlay.startsWith('cluster-point-kube-proxy');
  const withRoles = overlays.filter(
    (overlay) => kinds(overlay).includes('Role') && !isDeletedAfterwards(overlay),
  );
  const clusterOwn = ['default', 'kube-system', 'kube-node-lease'];
  test.each(withRoles)('%s: brings the namespaces of Fairlead that it writes to', (overlay) => {
    const named = objects(overlay).flatMap(({ metadata }) => metadata.namespace ?? []);
    const brought = objects(overlay).filter(({ kind }) => kind === 'Namespace');
    expect([...clusterOwn, ...brought.map(({ metadata }) => metadata.name)]).toEqual(
      expect.arrayContaining([...new Set(named)]),
    );
  });

  test.each(overlays)('%s: what uses the node’s network is in a namespace that says so', (overlay) => {
    const [namespace] = objects('namespace');
    expect(namespace?.metadata.labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'privileged' });
    for (const { kind, metadata } of objects(overlay)) {
      if (['Pod', 'DaemonSet', 'Job'].includes(kind))
        expect(metadata.namespace).toBe(namespace?.metadata.name);
    }
  });

  test('the image is set in one place, for every overlay', () => {
    const root = join(directory, 'manifests');
    cpSync('manifests', root, { recursive: true });
    const file = join(root, 'image/kustomization.yaml');
    const image = `sha256:${'7'.repeat(64)}`;
    writeFileSync(
      file,
      read(file)
        .replace(/sha256:0{64}/, image)
        .replaceAll('registry.example/fairlead', 'reg.example/f'),
    );
    for (const overlay of overlays) {
      const text = JSON.stringify(render(overlay, root));
      expect([overlay, text.includes('registry.example/fairlead')]).toEqual([overlay, false]);
    }
    const [pod] = render('static-pod', root);
    expect(pod?.spec.containers[0].image).toBe(`reg.example/f@${image}`);
  });
}

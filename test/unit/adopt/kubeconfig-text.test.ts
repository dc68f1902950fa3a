import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import {
  type ClusterChange,
  editKubeconfig,
  readKubeconfigText,
} from '../../../src/adopt/kubeconfig-text.ts';
import { applyEdits, formatDiff, invertEdits } from '../../../src/adopt/text-edit.ts';
import {
  clusterEntries,
  type WrittenKubeconfig,
  writtenKubeconfigs,
} from '../../support/credentials/kubeconfig-texts.ts';

const newServer = 'https://127.0.0.1:6443';

function edited(text: string, ...changes: readonly ClusterChange[]): string {
  const result = editKubeconfig(text, changes);
  if (!result.ok) throw new Error(result.problem);
  return result.value.text;
}

const documents = (text: string) =>
  parseAllDocuments(text).map((document) => document.toJS() as Record<string, unknown>);

/** Everything that the text says, with the clusters' addresses taken out. */
function withoutAddresses(text: string): unknown {
  const all = structuredClone(documents(text)) as { clusters?: { cluster: Record<string, unknown> }[] }[];
  for (const { clusters } of all) {
    for (const { cluster } of clusters ?? []) {
      delete cluster.server;
      delete cluster['tls-server-name'];
    }
  }
  return all;
}

function addresses(text: string) {
  const result = readKubeconfigText(text);
  if (!result.ok) throw new Error(result.problem);
  return result.value.clusters.map(({ name, server, tlsServerName }) => ({
    name,
    server,
    ...(tlsServerName && { tlsServerName }),
  }));
}

const change = (cluster: string): ClusterChange => ({
  cluster,
  server: newServer,
  tlsServerName: 'kubernetes',
});

const sampled = (property: (written: WrittenKubeconfig) => void) =>
  fc.assert(fc.property(writtenKubeconfigs, property), { numRuns: 60 });

test('reading gives what was written, whatever the style', () => {
  sampled(({ text, clusters, current }) => {
    expect(addresses(text)).toEqual(clusters);
    expect(readKubeconfigText(text)).toMatchObject({ ok: true, value: { currentCluster: current } });
  });
});

test('an edit changes the server and the name to verify of the chosen cluster, and nothing else', () => {
  sampled(({ text, clusters, current }) => {
    const after = edited(text, change(current));
    expect(withoutAddresses(after)).toEqual(withoutAddresses(text));
    expect(addresses(after)).toEqual(
      clusters.map((cluster) =>
        cluster.name === current
          ? { name: current, server: newServer, tlsServerName: 'kubernetes' }
          : cluster,
      ),
    );
  });
});

test('every byte outside the changed values stays', () => {
  sampled(({ text, clusters }) => {
    const result = editKubeconfig(
      text,
      clusters.map(({ name }) => change(name)),
    );
    if (!result.ok) throw new Error(result.problem);
    let at = 0;
    for (const { from, to } of result.value.edits) {
      expect(from).toBeGreaterThanOrEqual(at);
      const replaced = text.slice(from, to);
      // Only a value, its quotes and its own continuation lines are ever taken out.
      expect(replaced).not.toMatch(/#|token|certificate|name:/);
      at = to;
    }
    for (const comment of text.match(/^# .*| # .*/gm) ?? []) expect(result.value.text).toContain(comment);
    const endings = (whole: string) => new Set(whole.match(/\r?\n/g));
    if (endings(text).size === 1) expect(endings(result.value.text)).toEqual(endings(text));
    expect(/\n$/.test(result.value.text)).toBe(/\n$/.test(text));
  });
});

test('the inverse of an edit gives back the same bytes', () => {
  sampled(({ text, clusters }) => {
    const result = editKubeconfig(
      text,
      clusters.map(({ name }) => change(name)),
    );
    if (!result.ok) throw new Error(result.problem);
    expect(applyEdits(result.value.text, invertEdits(text, result.value.edits))).toBe(text);
  });
});

test('a second edit finds nothing to do', () => {
  sampled(({ text, current }) => {
    const after = edited(text, change(current));
    expect(editKubeconfig(after, [change(current)])).toMatchObject({ ok: true, value: { edits: [] } });
  });
});

test('a name to verify that was put in can be taken out again, to the same bytes', () => {
  sampled(({ text, clusters, current }) => {
    const original = clusters.find(({ name }) => name === current);
    const after = edited(text, {
      cluster: current,
      server: original?.server ?? '',
      tlsServerName: 'x.example',
    });
    const back = edited(after, {
      cluster: current,
      server: original?.server ?? '',
      tlsServerName: original?.tlsServerName ?? null,
    });
    expect(addresses(back)).toEqual(clusters);
    // A value that was there may have been written in another style.
    if (original?.tlsServerName === undefined) expect(back).toBe(text);
  });
});

test('JSON stays JSON', () => {
  fc.assert(
    fc.property(clusterEntries, fc.constantFrom(0, 2), (clusters, indent) => {
      const text = JSON.stringify(
        { clusters: clusters.map(({ name, server }) => ({ name, cluster: { server } })) },
        null,
        indent,
      );
      const after = JSON.parse(
        edited(text, clusters.map(({ name }) => change(name))[0] as ClusterChange),
      ) as { clusters: { cluster: object }[] };
      expect(after.clusters[0]?.cluster).toEqual({ server: newServer, 'tls-server-name': 'kubernetes' });
    }),
  );
});

test('the diff shows the change and never what lies under users', () => {
  sampled(({ text, current }) => {
    const reading = readKubeconfigText(text);
    const result = editKubeconfig(text, [change(current)]);
    if (!reading.ok || !result.ok) throw new Error('not read');
    const diff = formatDiff('kubelet.conf', text, result.value.edits, reading.value.secrets);
    expect(diff).not.toContain('very-secret');
    if (result.value.edits.length > 0) expect(diff).toMatch(/^\+.*(127\.0\.0\.1:6443|tls-server-name)/m);
  });
});

const kubeadm = `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: QUJD
    server: https://10.0.0.1:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: system:node:worker-1
  name: system:node:worker-1@kubernetes
current-context: system:node:worker-1@kubernetes
kind: Config
preferences: {}
users:
- name: system:node:worker-1
  user:
    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem
    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem
`;

test("kubeadm's kubelet.conf gets two lines, shown as a diff", () => {
  const result = editKubeconfig(kubeadm, [change('kubernetes')]);
  if (!result.ok) throw new Error(result.problem);
  expect(result.value.text).toBe(
    kubeadm.replace('https://10.0.0.1:6443\n', 'https://127.0.0.1:6443\n    tls-server-name: kubernetes\n'),
  );
  expect(formatDiff('kubelet.conf', kubeadm, result.value.edits)).toBe(
    [
      '--- kubelet.conf',
      '+++ kubelet.conf',
      '@@ -5,1 +5,2 @@',
      '-    server: https://10.0.0.1:6443',
      '+    server: https://127.0.0.1:6443',
      '+    tls-server-name: kubernetes',
      '',
    ].join('\n'),
  );
});

test.each([
  ['nothing behind the colon', '    tls-server-name:\n'],
  ['a comment only', '    tls-server-name:   # none\n'],
  ['a tilde', '    tls-server-name: ~\n'],
])('an empty tls-server-name (%s) is filled in', (_, line) => {
  const text = kubeadm.replace('    server:', `${line}    server:`);
  expect(addresses(edited(text, change('kubernetes')))).toEqual([
    { name: 'kubernetes', server: newServer, tlsServerName: 'kubernetes' },
  ]);
});

const shared = `clusters:
- {name: a, cluster: &c {server: https://10.0.0.1:6443}}
- {name: b, cluster: *c}
`;

test('a cluster that is shared by an anchor is not changed for one of its names only', () => {
  expect(editKubeconfig(shared, [change('a')])).toMatchObject({
    ok: false,
    problem: expect.stringContaining('cannot be changed safely'),
  });
  expect(addresses(edited(shared, change('a'), change('b')))).toEqual(
    ['a', 'b'].map((name) => ({ name, server: newServer, tlsServerName: 'kubernetes' })),
  );
});

test('a server that is an alias is replaced where it stands, and its anchor stays', () => {
  const text = 'x: &s https://10.0.0.1:6443\nclusters:\n- name: a\n  cluster:\n    server: *s\n';
  expect(edited(text, { cluster: 'a', server: newServer })).toBe(text.replace('*s', newServer));
  const anchored = 'clusters:\n- name: a\n  cluster:\n    server: &s https://10.0.0.1:6443\nx: *s\n';
  expect(editKubeconfig(anchored, [{ cluster: 'a', server: newServer }])).toMatchObject({ ok: false });
});

test.each([
  ['', 'is empty'],
  ['- a\n', 'is not a kubeconfig'],
  ['a: [\n', 'is not YAML'],
  ['clusters:\n- {name: a, cluster: {}}\n- {name: a, cluster: {}}\n', 'clusters has "a" twice'],
])('%j is refused: %s', (text, problem) => {
  expect(readKubeconfigText(text)).toMatchObject({ ok: false, problem: expect.stringContaining(problem) });
});

test('a parse error never repeats the line, which may hold a key', () => {
  const result = readKubeconfigText('users:\n- name: u\n  user: {token: "very-secret}\n');
  expect(result.ok).toBe(false);
  expect(JSON.stringify(result)).not.toContain('very-secret');
});

test('of several documents only the first is changed, as no client reads another', () => {
  const text = `${kubeadm}---\n${kubeadm}`;
  const reading = readKubeconfigText(text);
  expect(reading).toMatchObject({
    ok: true,
    value: { warnings: [expect.stringContaining('only the first one')] },
  });
  expect(edited(text, change('kubernetes'))).toBe(`${edited(kubeadm, change('kubernetes'))}---\n${kubeadm}`);
});

test('without a current context the only cluster is meant, and of several none', () => {
  const one = 'clusters:\n- {name: a, cluster: {server: x}}\n';
  expect(readKubeconfigText(one)).toMatchObject({ value: { currentCluster: 'a' } });
  const two = `${one}- {name: b, cluster: {server: x}}\n`;
  expect(readKubeconfigText(two)).not.toHaveProperty('value.currentCluster');
});

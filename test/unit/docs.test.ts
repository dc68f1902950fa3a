import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { generatedParts, withPart } from '../../scripts/docs.ts';
import { loadConfig } from '../../src/config/load.ts';
import { traps } from '../../src/import/kubespray/access.ts';
import { tempDir } from '../support/jest/temp-dir.ts';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const directory = tempDir();

test('README has at most 120 lines', () => {
  const lines = readFileSync('README.md', 'utf8').trimEnd().split('\n');
  expect(lines.length).toBeLessThanOrEqual(120);
});

test('docs/README.md lists every page once', () => {
  const listed = [...readFileSync('docs/README.md', 'utf8').matchAll(/^\| \[[^\]]+\]\(([\w-]+\.md)\)/gm)];
  const pages = readdirSync('docs').filter((file) => file.endsWith('.md') && file !== 'README.md');
  expect(listed.map(([, page]) => page).sort()).toEqual(pages.sort());
});

test('docs/cli.md prints a configuration flag once', () => {
  const page = readFileSync('docs/cli.md', 'utf8');
  expect(page.split('--requestheader-username-header').length - 1).toBe(1);
});

test.each(generatedParts)('$file: the part "$name" says what the code says', ({ file, name, render }) => {
  const text = readFileSync(file, 'utf8');
  // When this fails: node scripts/docs.ts
  expect(text).toBe(withPart(text, name, render()));
});

test('a part whose markers are missing is an error, not a silent pass', () => {
  expect(() => withPart('# Title\n', 'settings', 'x')).toThrow('markers of "settings"');
});

/** The examples of configurations; Kubernetes objects and Kubespray's variables say so themselves. */
const pages = readdirSync('docs').filter((file) => file.endsWith('.md'));
const examples = pages.flatMap((page) =>
  [...readFileSync(`docs/${page}`, 'utf8').matchAll(/```yaml\n([\s\S]*?)```/g)]
    .map(([, example]) => example ?? '')
    .filter((example) => !example.includes('apiVersion:') && !example.startsWith('# group_vars/')),
);

test('the pages have examples', () => {
  expect(examples.length).toBeGreaterThan(5);
  for (const example of examples) expect(parse(example)).toBeInstanceOf(Object);
});

test.each(examples)('an example of the pages is a good configuration: %j', async (example) => {
  const file = join(directory, 'example.yaml');
  writeFileSync(file, example);
  expect(await loadConfig({ file, env: {}, hostname: 'node', mustFindEndpoints: false })).toMatchObject({
    ok: true,
  });
});

test('the recipes for new nodes join at a control-plane node, with files that are valid', async () => {
  const blocks = [
    ...readFileSync('docs/cluster.md', 'utf8').matchAll(/```yaml\n(#cloud-config\n[\s\S]*?)```/g),
  ];
  expect(blocks).toHaveLength(2);
  for (const [, block = ''] of blocks) {
    const { write_files: files, runcmd } = parse(block);
    for (const { path, content } of files) {
      const written = parse(content);
      if (path === '/etc/kubernetes/join.yaml') {
        expect(written).toMatchObject({ apiVersion: 'kubeadm.k8s.io/v1beta4', kind: 'JoinConfiguration' });
        expect(written.discovery.bootstrapToken.apiServerEndpoint).toMatch(/^10\./);
      } else {
        const file = join(directory, 'node.yaml');
        writeFileSync(file, content);
        // Without the kubeconfig's server an agent must know API servers, or the node is lost at its next boot.
        expect(await loadConfig({ file, env: {}, hostname: 'node' })).toMatchObject({
          ok: true,
          config: { discovery: { cacheFile: expect.any(String) } },
        });
      }
    }
    const [first] = runcmd;
    expect(first).toBe('kubeadm join --config /etc/kubernetes/join.yaml');
  }
});

test('docs/kubespray.md names every trap that `fairlead endpoint` knows', () => {
  const page = readFileSync('docs/kubespray.md', 'utf8');
  const rows = [...page.matchAll(/^\| `([a-z0-9]+-[a-z0-9-]+)` +\| /gm)].map(([, name]) => name);
  expect(rows.sort()).toEqual([...traps].sort());
});

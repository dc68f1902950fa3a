// Comments and docs name files of the repository; a file that moves or is renamed must not leave its old name behind.
import { readFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';

const listing = spawnSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  encoding: 'utf8',
});
const files = listing.stdout.split('\n').filter((file) => file !== '');
const exists = (name: string) => files.some((file) => file === name || file.endsWith(`/${name}`));

/** The `.ts` files that a text names; `*.test.ts` is a pattern, not a name. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/(?<![\w./*-])(?:\.{1,2}\/)*(\w[\w./-]*\.ts)\b/g)].map(([, name]) => name ?? '');
}

function comments(source: string): string {
  return source
    .split('\n')
    .filter((line) => /^\s*(?:\/\/|\/?\*)/.test(line) || / \/\/ /.test(line))
    .map((line) => line.replace(/^.*? \/\/ /, ''))
    .join('\n');
}

test('a name is found in prose, a pattern and a domain are not', () => {
  expect(namesIn('see pool.ts, (src/agent/agent.ts) and ../a-b.test.ts; not *.test.ts')).toEqual([
    'pool.ts',
    'src/agent/agent.ts',
    'a-b.test.ts',
  ]);
});

test.each([
  ['comments of src', 'src/', '.ts'],
  ['docs', 'docs/', '.md'],
  ['CONTRIBUTING.md and README.md', '', 'CONTRIBUTING.md'],
])('%s name files that exist', (_, directory, ending) => {
  const read = files.filter((file) => file.startsWith(directory) && file.endsWith(ending));
  const named = read.flatMap((file) => {
    const text = readFileSync(file, 'utf8');
    return namesIn(ending === '.ts' ? comments(text) : text).map((name) => ({ file, name }));
  });
  expect(read.length).toBeGreaterThan(0);
  expect(named.filter(({ name }) => !exists(name))).toEqual([]);
});

test('each walk of docs/architecture.md has at most ten steps, and their functions are in the files that it names', () => {
  const page = readFileSync('docs/architecture.md', 'utf8');
  const walks = page.split('## Three walks')[1]?.split('\n## ')[0]?.split('\n### ').slice(1) ?? [];
  expect(walks).toHaveLength(3);
  for (const walk of walks) {
    const steps = [...walk.matchAll(/^\| (\d+) +\| `([\w.]+)` +\| `([\w./-]+)` +\|/gm)];
    expect(steps.map(([, number]) => Number(number))).toEqual(steps.map((_, index) => index + 1));
    expect(steps.length).toBeGreaterThan(5);
    expect(steps.length).toBeLessThanOrEqual(10);
    for (const [, , name = '', file = ''] of steps) {
      const source = readFileSync(`src/${file}`, 'utf8');
      const missing = name
        .split('.')
        .filter((word) => !new RegExp(`\\b${word}[(<]|class ${word}\\b`).test(source));
      expect({ file, missing }).toEqual({ file, missing: [] });
    }
  }
});

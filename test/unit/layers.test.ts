// The table "Where things are" in docs/architecture.md holds: for every import of src, and in the linter.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import {
  forbiddenImports,
  type Layer,
  lintOverrides,
  readLayers,
  sourceFiles,
} from '../../scripts/layers.ts';
import { tempDir } from '../support/jest/temp-dir.ts';

const layers = readLayers(readFileSync('docs/architecture.md', 'utf8'));
const directory = tempDir();
const built = layers.filter(({ isPlanned }) => !isPlanned);

test('src holds main.ts and the folders of the table, and nothing else', () => {
  const top = [...new Set(built.map(({ name }) => name.split('/')[0]))];
  expect(readdirSync('src').sort()).toEqual(top.sort());
  for (const { name } of built) expect(sourceFiles().some((file) => file.startsWith(name))).toBe(true);
});

test('no file of src imports against the table', () => {
  const files = sourceFiles();
  expect(files.length).toBeGreaterThan(200);
  const wrong = files.flatMap((file) => forbiddenImports(file, readFileSync(`src/${file}`, 'utf8'), layers));
  expect(wrong).toEqual([]);
});

test('the table has no arrow upwards, so no cycle', () => {
  const place = new Map(layers.map(({ name }, index) => [name, index]));
  const upwards = layers.flatMap(({ name, mayImport }) =>
    mayImport
      .filter((other) => (place.get(other) ?? 0) <= (place.get(name) ?? 0))
      .map((other) => `${name} > ${other}`),
  );
  expect(upwards).toEqual([]);
});

test('the linter has the rules that the table says', () => {
  const { overrides } = JSON.parse(readFileSync('biome.json', 'utf8'));
  // When this fails: node scripts/layers.ts
  expect(overrides).toEqual(lintOverrides(layers));
});

// In each direction that is forbidden between two folders: the check finds it, and so does the linter.
const pairs = built.flatMap((from) =>
  built
    .filter((to) => from.name !== 'main.ts' && to.name !== from.name && !from.mayImport.includes(to.name))
    .map((to) => ({ from, to })),
);

test('a forbidden import is found in each direction', () => {
  expect(pairs.length).toBeGreaterThan(100);
  for (const { from, to } of pairs)
    expect(forbiddenImports(`${from.name}/x.ts`, importOf(from, to), layers)).toHaveLength(1);
});

test('the linter refuses a forbidden import in each direction', () => {
  // One file for each folder, with every import that it may not have, under a copy of the linter's configuration.
  const config = JSON.parse(readFileSync('biome.json', 'utf8'));
  const { vcs: _, files: __, $schema: ___, ...rules } = config;
  writeFileSync(join(directory, 'biome.json'), JSON.stringify(rules));
  const expected: Record<string, number> = {};
  for (const from of built) {
    const others = pairs.filter((pair) => pair.from === from && isSeenByLinter(pair));
    if (others.length === 0) continue;
    const file = `src/${from.name}/x.ts`;
    mkdirSync(join(directory, dirname(file)), { recursive: true });
    writeFileSync(join(directory, file), others.map(({ to }) => importOf(from, to)).join('\n'));
    expected[file] = others.length;
  }
  const args = [
    'lint',
    '--only=style/noRestrictedImports',
    '--max-diagnostics=1000',
    '--reporter=json',
    'src',
  ];
  const { stdout } = spawnSync('biome', args, { cwd: directory, encoding: 'utf8' });
  const found: Record<string, number> = {};
  for (const { category, location } of JSON.parse(stdout).diagnostics) {
    if (category !== 'lint/style/noRestrictedImports') continue;
    const file = typeof location.path === 'string' ? location.path : location.path.file;
    found[file] = (found[file] ?? 0) + 1;
  }
  expect(found).toEqual(expected);
});

function importOf(from: Layer, to: Layer): string {
  const file = to.name.endsWith('.ts') ? to.name : `${to.name}/x.ts`;
  return `import '${relative(from.name, file).replace(/^(?!\.)/, './')}';`;
}

/** A pattern cannot tell a folder from the rooms in it; the check can. */
function isSeenByLinter({ from, to }: { from: Layer; to: Layer }): boolean {
  return ![from.name, ...from.mayImport].some((name) => name.startsWith(`${to.name}/`));
}

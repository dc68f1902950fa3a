// The rendered manifests that the program carries are those of the folders of manifests/.
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { folders, treeFile, treeSource } from '../../../scripts/manifests.ts';
import { manifestNames } from '../../../src/manifest/manifests.ts';

const names = Object.keys(folders);

test.each(names)('%s is up to date: node scripts/manifests.ts', (name) => {
  expect(readFileSync(treeFile(name), 'utf8')).toBe(treeSource(name));
});

test('every tree has a name that the command knows, and the other way round', () => {
  expect([...manifestNames]).toEqual(names);
  const files = readdirSync('src/manifest/trees').sort();
  expect(files).toEqual(names.map((name) => basename(treeFile(name))).sort());
});

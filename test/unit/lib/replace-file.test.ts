// A file is replaced whole or not at all. What a crash between two steps leaves is in adopt/point.test.ts.
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { removeLeftovers, replaceFile, type Step } from '../../../src/lib/replace-file.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const root = tempDir();
let directory = '';
let file = '';
beforeEach(() => {
  directory = mkdtempSync(join(root, 'a-'));
  file = join(directory, 'a.json');
});

test('writes beside the file, syncs, renames, and syncs the directory', async () => {
  const steps: Step[] = [];
  const paths = new Set<string>();
  await replaceFile(file, Buffer.from('one'), { mode: 0o640 }, (step, path) => {
    steps.push(step);
    paths.add(path);
  });
  expect(steps).toEqual(['create', 'write', 'chmod', 'fsync', 'rename', 'fsync directory']);
  expect([...paths].slice(1)).toEqual([file, directory]);
  expect(readFileSync(file, 'utf8')).toBe('one');
  expect(statSync(file).mode & 0o7777).toBe(0o640);
  expect(readdirSync(directory)).toEqual(['a.json']);
});

test('without an owner the file is this process, with one it is changed to it', async () => {
  const { uid, gid } = statSync(directory);
  await replaceFile(file, Buffer.from(''), { mode: 0o644 });
  expect(statSync(file)).toMatchObject({ uid, gid });
  if (process.getuid?.() !== 0) return;
  await replaceFile(file, Buffer.from(''), { mode: 0o644, uid: 65_532, gid: 65_532 });
  expect(statSync(file)).toMatchObject({ uid: 65_532, gid: 65_532 });
});

test.each<Step>(['create', 'write', 'chmod', 'fsync', 'rename'])(
  'a failure at %s leaves the old content and nothing beside it',
  async (failing) => {
    writeFileSync(file, 'old');
    chmodSync(file, 0o600);
    const replacing = replaceFile(file, Buffer.from('new'), { mode: 0o644 }, (step) => {
      if (step === failing) throw new Error('no space');
    });
    await expect(replacing).rejects.toThrow('no space');
    expect(readFileSync(file, 'utf8')).toBe('old');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['a.json']);
  },
);

test('leftovers of a process that was killed are removed when they are old, and only its own', async () => {
  const names = ['.a.json.fairlead-1.tmp', '.b.json.fairlead-1.tmp', '.a.json.fairlead-1.new', 'a.json.tmp'];
  for (const name of [...names, '.a.json.fairlead-2.tmp']) writeFileSync(join(directory, name), '');
  for (const name of names) utimesSync(join(directory, name), 1, 1);
  await removeLeftovers(file, Date.now());
  expect(readdirSync(directory).sort()).toEqual([...names.slice(1), '.a.json.fairlead-2.tmp'].sort());
});

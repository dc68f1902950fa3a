// A fingerprint changes with the content, whatever way the content is replaced.
import { renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileFingerprint } from '../../../src/lib/file-fingerprint.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const file = join(directory, 'ca.crt');
beforeEach(() => writeFileSync(file, 'one'));

const changes: readonly [string, () => void][] = [
  ['it is written in place', () => writeFileSync(file, 'three')],
  [
    'a file with the same size and time replaces it',
    () => {
      const { atime, mtime } = statSync(file);
      writeFileSync(`${file}.new`, 'two');
      utimesSync(`${file}.new`, atime, mtime);
      renameSync(`${file}.new`, file);
    },
  ],
  ['it is removed', () => rmSync(file)],
];

test.each(changes)('changes when %s', async (_, change) => {
  const before = await fileFingerprint(file);
  expect(await fileFingerprint(file)).toBe(before);
  change();
  expect(await fileFingerprint(file)).not.toBe(before);
});

test('changes when a symlink leads elsewhere', async () => {
  const link = join(directory, 'current');
  writeFileSync(`${file}.2`, 'one');
  symlinkSync(file, link);
  const before = await fileFingerprint(link);
  expect(before).toBe(await fileFingerprint(file));
  symlinkSync(`${file}.2`, `${link}.new`);
  renameSync(`${link}.new`, link);
  expect(await fileFingerprint(link)).not.toBe(before);
});

test('of a file that is missing says so', async () => {
  expect(await fileFingerprint(join(directory, 'none'))).toBe('ENOENT');
});

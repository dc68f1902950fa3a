// Where a walk that opens each directory comes out; real files below a scratch root. test/hostile/links.test.ts has the attacks.
import { spawnSync } from 'node:child_process';
import {
  lchownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { atPlace, inDirectory, LinkRefused, NotAFile, readHeld } from '../../../src/lib/held-path.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const scratch = tempDir();
let count = 0;

function makeRoot() {
  count += 1;
  const root = join(scratch, `root-${count}`);
  for (const directory of ['etc', 'agent/sub', 'data/one/two'])
    mkdirSync(join(root, directory), { recursive: true });
  writeFileSync(join(root, 'etc/secret'), 'secret');
  writeFileSync(join(root, 'data/one/two/file'), 'file');
  const held = { root, distrusted: ['/agent'] };
  return {
    root,
    link: (target: string, at: string) => symlinkSync(target, join(root, at)),
    read: (path: string) => atPlace(held, path, async (place) => (await readHeld(place, 100)).toString()),
    write: (path: string, text: string) =>
      atPlace(held, path, ({ path: place }) => writeFile(place, text, { flag: 'wx' }), {
        makeDirectories: true,
      }),
    list: (path: string) =>
      inDirectory(held, path, async (_directory, { path: place }) => readdirSync(place)),
  };
}

test.each([
  ['absolute', '/data/one'],
  ['relative', '../data/one'],
  ['out of the root', '../../../../../../data/one'],
  ['through another link', '/again'],
])('where only root writes a link is followed below the root: %s', async (_what, target) => {
  const node = makeRoot();
  node.link('/data/one', 'again');
  node.link(target, 'etc/disk');
  expect(await node.read('/etc/disk/two/file')).toBe('file');
  expect(await node.read('/etc/disk/two/../two/./file')).toBe('file');
  expect(await node.list('/etc/disk')).toEqual(['two']);
  node.link('/etc/disk/two/file', 'etc/file');
  expect(await node.read('/etc/file')).toBe('file');
  await node.write('/etc/disk/new/deep/file', 'text');
  expect(readFileSync(join(node.root, 'data/one/new/deep/file'), 'utf8')).toBe('text');
});

test('a loop of links is refused', async () => {
  const node = makeRoot();
  node.link('/etc/b', 'etc/a');
  node.link('/etc/a', 'etc/b');
  await expect(node.read('/etc/a')).rejects.toThrow(LinkRefused);
});

test.each([
  ['the last name', 'agent/file', '/etc/secret', '/agent/file'],
  ['a directory', 'agent/sub/dir', '/etc', '/agent/sub/dir/secret'],
  ['a directory below', 'agent/sub/dir', '../../etc', '/agent/sub/dir/secret'],
])('below a distrusted directory none is: %s', async (_what, at, target, path) => {
  const node = makeRoot();
  node.link(target, at);
  await expect(node.read(path)).rejects.toThrow(LinkRefused);
});

test('a distrusted directory stays one when it is reached through a link', async () => {
  const node = makeRoot();
  node.link('/agent', 'etc/other');
  node.link('/etc/secret', 'agent/file');
  await expect(node.read('/etc/other/file')).rejects.toThrow(LinkRefused);
});

const foreign = 'a link of another user is refused';
if (process.getuid?.() !== 0) skipLoudly(foreign, 'only root can give a link to another user');
else
  test(foreign, async () => {
    const node = makeRoot();
    node.link('/data/one', 'etc/theirs');
    lchownSync(join(node.root, 'etc/theirs'), 1234, 1234);
    await expect(node.list('/etc/theirs')).rejects.toThrow('of user 1234');
  });

test('what is renamed while it is used changes nothing', async () => {
  const node = makeRoot();
  await atPlace({ root: node.root, distrusted: ['/agent'] }, '/agent/sub/file', async ({ path }) => {
    renameSync(join(node.root, 'agent/sub'), join(node.root, 'agent/aside'));
    node.link('/etc', 'agent/sub');
    await writeFile(path, 'text', { flag: 'wx' });
  });
  expect(readdirSync(join(node.root, 'etc'))).toEqual(['secret']);
  expect(readdirSync(join(node.root, 'agent/aside'))).toEqual(['file']);
});

test('only regular files of a bounded size are read, and nothing waits', async () => {
  const node = makeRoot();
  spawnSync('mkfifo', [join(node.root, 'agent/pipe')]);
  writeFileSync(join(node.root, 'agent/large'), Buffer.alloc(101));
  for (const path of ['/agent/pipe', '/agent/large', '/agent/sub'])
    await expect(node.read(path)).rejects.toThrow(NotAFile);
});

test('nothing is left open', async () => {
  const node = makeRoot();
  node.link('/data/one', 'etc/disk');
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  for (let round = 0; round < 50; round += 1) {
    await node.read('/etc/disk/two/file');
    await node.read('/etc/disk/none/file').catch(() => {});
    await node.read('/etc/secret/below').catch(() => {});
  }
  expect(open()).toBeLessThan(before + 10);
});

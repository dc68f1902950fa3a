import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { applyHosts, defaultHostName as name, planHosts } from '../../../src/adopt/hosts.ts';
import { lineDiff } from '../../../src/lib/line-diff.ts';
import type { OnStep } from '../../../src/lib/replace-file.ts';
import { runCommand } from '../../support/agent/command-context.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const original = `127.0.0.1 localhost\n10.0.0.9 ${name}\n10.0.0.1 cp1\n`;
const managed = `127.0.0.1 localhost\n# fairlead hosts, instead of [10.0.0.9 ${name}]\n10.0.0.1 cp1\n127.0.0.1 ${name} # fairlead hosts\n`;
let count = 0;

function makeRoot(text = original): { root: string; file: string } {
  count += 1;
  const root = join(directory, String(count));
  mkdirSync(join(root, 'etc'), { recursive: true });
  const file = join(root, 'etc/hosts');
  writeFileSync(file, text);
  return { root, file };
}

const text = (file: string) => readFileSync(file, 'utf8');
const plan = (root: string, addresses: readonly string[] = ['127.0.0.1']) =>
  planHosts({ root, name, addresses });

test('the name is given to this node and taken back, with the mode kept', async () => {
  const { root, file } = makeRoot();
  chmodSync(file, 0o664);
  expect(await runCommand(['hosts', '--root', root])).toEqual({
    code: 0,
    out: `/etc/hosts: ${name} resolves to 127.0.0.1\n`,
    err: '',
  });
  expect(text(file)).toBe(managed);
  expect(statSync(file).mode & 0o777).toBe(0o664);
  expect(readdirSync(join(root, 'etc'))).toEqual(['hosts']);
  expect((await runCommand(['hosts', '--root', root])).out).toContain('nothing to do');
  expect(await runCommand(['hosts', '--undo', '--root', root])).toMatchObject({ code: 0 });
  expect(text(file)).toBe(original);
  expect((await runCommand(['hosts', '--undo', '--root', root])).out).toContain('nothing to do');
});

test('a dry run shows the diff and changes nothing', async () => {
  const { root, file } = makeRoot();
  const { out } = await runCommand(['hosts', '--dry-run', '--root', root]);
  expect(out).toBe(
    [
      '--- /etc/hosts',
      '+++ /etc/hosts',
      '@@ -2,1 +2,1 @@',
      `-10.0.0.9 ${name}`,
      `+# fairlead hosts, instead of [10.0.0.9 ${name}]`,
      '@@ -3,0 +4,1 @@',
      `+127.0.0.1 ${name} # fairlead hosts`,
      '',
    ].join('\n'),
  );
  expect(text(file)).toBe(original);
});

test('several addresses, and another name', async () => {
  const { root, file } = makeRoot('');
  const args = [
    'hosts',
    '--root',
    root,
    '--name',
    'api.example',
    '--address',
    '127.0.0.1',
    '--address',
    '0::1',
  ];
  await runCommand(args);
  expect(text(file)).toBe('127.0.0.1 api.example # fairlead hosts\n::1 api.example # fairlead hosts\n');
});

test('bytes that are no UTF-8 stay', async () => {
  const { root, file } = makeRoot();
  const bytes = Buffer.concat([Buffer.from([0x23, 0xe9, 0xff, 0x0a]), Buffer.from(original)]);
  writeFileSync(file, bytes);
  await runCommand(['hosts', '--root', root]);
  expect(readFileSync(file).subarray(0, 4)).toEqual(bytes.subarray(0, 4));
  await runCommand(['hosts', '--undo', '--root', root]);
  expect(readFileSync(file).equals(bytes)).toBe(true);
});

test.each([
  [['--name', 'localhost'], '"localhost" is not a DNS name, or is a loopback name'],
  [['--name', '10.0.0.1'], 'is not a DNS name'],
  [['--name', 'a b'], 'is not a DNS name'],
  [['--address', 'cp1'], '"cp1" is not an IP address'],
])('%j is bad usage', async (args, problem) => {
  const { root } = makeRoot();
  expect(await runCommand(['hosts', '--root', root, ...args])).toMatchObject({
    code: 2,
    err: expect.stringContaining(problem),
  });
});

test('a file that is missing is an error', async () => {
  const root = join(directory, 'empty');
  mkdirSync(root);
  expect(await runCommand(['hosts', '--root', root])).toMatchObject({
    code: 6,
    err: expect.stringContaining('FILE_NOT_WRITTEN'),
  });
  expect(existsSync(join(root, 'etc'))).toBe(false);
});

test('a failure at any step leaves the old file or the new one, and the next run completes it', async () => {
  for (let step = 0; ; step += 1) {
    const { root, file } = makeRoot();
    let at = 0;
    const onStep: OnStep = () => {
      if (at === step) throw new Error('stopped');
      at += 1;
    };
    const made = await plan(root);
    const hasFailed = await applyHosts(made, { nowMs: Date.now(), onStep }).then(
      () => false,
      () => true,
    );
    expect([original, managed]).toContain(text(file));
    await applyHosts(await plan(root), { nowMs: Date.now() });
    expect(text(file)).toBe(managed);
    if (!hasFailed) {
      expect(step).toBe(6);
      break;
    }
  }
});

test.each(['EBUSY', 'EROFS', 'EACCES'])(
  'where replacing gives %s the file is written in place',
  async (code) => {
    const { root, file } = makeRoot();
    const refuse: OnStep = (step) => {
      if (step === (code === 'EBUSY' ? 'rename' : 'create')) throw Object.assign(new Error(code), { code });
    };
    const { ino } = statSync(file);
    const options = { nowMs: Date.now(), onStep: refuse };
    expect(await applyHosts(await plan(root), options)).toBe('in place');
    expect(text(file)).toBe(managed);
    // Shorter than before: nothing of the longer content is left.
    expect(await applyHosts(await plan(root, []), options)).toBe('in place');
    expect(text(file)).toBe(original);
    expect(statSync(file).ino).toBe(ino);
    expect(readdirSync(join(root, 'etc'))).toEqual(['hosts']);
  },
);

test('any other failure is no reason to write in place', async () => {
  const { root, file } = makeRoot();
  const onStep: OnStep = (step) => {
    if (step === 'fsync') throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
  };
  await expect(applyHosts(await plan(root), { nowMs: Date.now(), onStep })).rejects.toMatchObject({
    code: 'FILE_NOT_WRITTEN',
  });
  expect(text(file)).toBe(original);
});

test('a file that changes between plan and write is left alone', async () => {
  const { root, file } = makeRoot();
  const made = await plan(root);
  writeFileSync(file, `${original}# mine\n`);
  await expect(applyHosts(made, { nowMs: Date.now() })).rejects.toMatchObject({ code: 'FILE_NOT_WRITTEN' });
  expect(text(file)).toBe(`${original}# mine\n`);
});

test('a diff shows only what differs', () => {
  expect(lineDiff('f', 'a\nb\nc\nd\n', 'a\nc\nx\nd\n')).toBe(
    '--- f\n+++ f\n@@ -2,1 +1,0 @@\n-b\n@@ -3,0 +3,1 @@\n+x\n',
  );
  expect(lineDiff('f', 'a\n', 'a\n')).toBe('');
  expect(lineDiff('f', 'a\r\nb\r\n', 'a\nb\n')).toBe('');
  expect(lineDiff('f', 'a\nb', 'a\nc\n')).toBe(
    '--- f\n+++ f\n@@ -2,1 +2,1 @@\n-b\n\\ No newline at end of file\n+c\n',
  );
});

test('a diff of texts that have little in common ends in bounded time', () => {
  const lines = (word: string) => Array.from({ length: 20_000 }, (_, index) => `${word} ${index}\n`).join('');
  expect(lineDiff('f', lines('a'), lines('b'))).toBe('--- f\n+++ f\n(more than 1000 lines differ)\n');
});

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readFileBytes, readFileText, readFileTextSync } from '../../../src/lib/read-file.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const at = (name: string) => join(directory, name);
const ways = [
  [
    'waiting',
    (file: string, maxBytes?: number) => readFileText(file, maxBytes === undefined ? {} : { maxBytes }),
  ],
  ['not waiting', async (file: string, maxBytes?: number) => readFileTextSync(file, maxBytes)],
] as const;

describe.each(ways)('%s', (_, read) => {
  test('reads a regular file up to its bound, through symlinks', async () => {
    writeFileSync(at('small'), 'höre');
    symlinkSync(at('small'), at(`link-${_}`));
    expect(await read(at(`link-${_}`))).toBe('höre');
    writeFileSync(at('large'), 'x'.repeat(200_000));
    expect(await read(at('large'), 200_000)).toHaveLength(200_000);
    await expect(read(at('large'), 199_999)).rejects.toThrow(`${at('large')}: is larger than 199999 bytes`);
  });

  test('reads what says that it is empty, as files of /proc do', async () => {
    expect(await read('/proc/self/status')).toMatch(/^Name:/);
  });

  test('says why a file cannot be read, and keeps the code', async () => {
    mkdirSync(at('directory'), { recursive: true });
    await expect(read(at('missing'))).rejects.toMatchObject({
      message: `${at('missing')}: does not exist`,
      reason: 'does not exist',
      code: 'ENOENT',
    });
    await expect(read(at('directory'))).rejects.toThrow('is a directory, not a file');
    await expect(read('/dev/zero')).rejects.toThrow('/dev/zero: is not a regular file');
  });
});

test.each(['readFileText', 'readFileTextSync'])('%s does not wait for the writer of a FIFO', (name) => {
  const fifo = at(`fifo-${name}`);
  execFileSync('mkfifo', [fifo]);
  // In a process of its own with a time limit: a wait would hold this one for ever.
  const script = `
    import { ${name} } from ${JSON.stringify(resolve('src/lib/read-file.ts'))};
    try {
      await ${name}(${JSON.stringify(fifo)});
    } catch ({ constructor, reason }) {
      console.log(constructor.name + ': ' + reason);
    }`;
  const child = spawnSync(process.execPath, ['--no-warnings', '--input-type=module', '--eval', script], {
    encoding: 'utf8',
    timeout: 20_000,
    killSignal: 'SIGKILL',
  });
  expect(child).toMatchObject({
    signal: null,
    stdout: 'UnreadableFile: is not a regular file\n',
    stderr: '',
  });
});

test('a device that the user named is read up to the bound', async () => {
  await expect(readFileBytes('/dev/zero', { mayBePipe: true, maxBytes: 100_000 })).rejects.toThrow(
    '/dev/zero: is larger than 100000 bytes',
  );
  expect(await readFileText('/dev/null', { mayBePipe: true })).toBe('');
});

test('a file that is somewhere else is read there and named by its own name', async () => {
  writeFileSync(at('there'), 'here');
  const locate = async (file: string) => join(directory, file);
  expect(await readFileText('/there', { locate })).toBe('here');
  await expect(readFileText('/elsewhere', { locate })).rejects.toThrow(/^\/elsewhere: does not exist$/);
});

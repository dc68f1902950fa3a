// The CA on disk: real files in a scratch directory, a write that can fail, a clock that is moved.
import { mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeptCaFile, keptCaPath } from '../../../src/discovery/kept-ca-file.ts';
import { makeCa } from '../../support/credentials/pki.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
let counter = 0;
let pem = '';
beforeAll(async () => {
  pem = `${(await makeCa()).cert.trim()}\n`;
});

function make(write?: (file: string, text: string) => Promise<void>) {
  counter += 1;
  mkdirSync(join(directory, String(counter)));
  const cacheFile = join(directory, String(counter), 'endpoints.json');
  const log = recordingLog();
  const clock = { nowMs: () => clock.at, at: 0 };
  const start = () => new KeptCaFile({ cacheFile, clock, log, ...(write && { write }) });
  return { file: keptCaPath(cacheFile), clock, log, start };
}

test('what was kept is read after a restart, with the time at which it was written, which a restart leaves alone', async () => {
  const { file, start } = make();
  const first = start();
  first.keep(pem);
  await first.stop();
  expect(readFileSync(file, 'utf8')).toBe(pem);
  expect(statSync(file).mode & 0o022).toBe(0);
  utimesSync(file, 1_000, 1_000);
  const second = start();
  expect(await second.read()).toEqual({ ca: pem, file, writtenMs: 1_000_000 });
  second.keep(pem);
  await second.stop();
  expect(statSync(file).mtimeMs).toBe(1_000_000);
});

test('none is kept: undefined, and no word of it', async () => {
  const { start, log } = make();
  expect(await start().read()).toBeUndefined();
  expect(log.lines).toEqual([]);
});

test.each([
  ['half a certificate', () => pem.slice(0, 300)],
  ['nothing', () => ''],
  ['something else', () => 'hello'],
])('a file that holds %s is no CA, said once', async (_, content) => {
  const { file, start, log } = make();
  writeFileSync(file, content());
  const kept = start();
  expect(await kept.read()).toBeUndefined();
  expect(await kept.read()).toBeUndefined();
  expect(log.lines.map(({ level }) => level)).toEqual(['warn']);
});

test('a write that fails is said once and tried again after a minute, not with every check', async () => {
  let writes = 0;
  const { start, clock, log } = make(async () => {
    writes += 1;
    throw Object.assign(new Error('full'), { code: 'ENOSPC' });
  });
  const kept = start();
  for (const at of [0, 2_000, 59_000, 61_000, 62_000]) {
    clock.at = at;
    kept.keep(pem);
    await kept.stop();
  }
  expect(writes).toBe(2);
  expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
});

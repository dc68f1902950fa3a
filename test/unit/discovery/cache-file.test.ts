import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CacheWriter, readCache, writeStateFile } from '../../../src/discovery/cache-file.ts';
import type { CacheContent } from '../../../src/discovery/cache-format.ts';
import { encodeCache } from '../../../src/discovery/cache-format.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const root = tempDir();
let counter = 0;
let file: string;
let log = recordingLog();
beforeEach(() => {
  counter += 1;
  file = join(root, `${counter}`, 'endpoints.json');
  mkdirSync(dirname(file));
  log = recordingLog();
});

const content = (last: number): CacheContent => ({
  endpoints: [{ endpoint: makeEndpoint(`10.0.0.${last}`, 6443), origin: 'watch' }],
});

describe('reading', () => {
  test('no file is no cache, and no warning', () => {
    expect(readCache(file, log)).toBeUndefined();
    expect(log.lines).toEqual([]);
  });

  test.each([
    ['nothing', ''],
    ['half of it', encodeCache(content(1)).slice(0, 60)],
    ['zeros, as after a power cut', '\0'.repeat(200)],
    ['something else', '{"version":1,"endpoints":"none"}'],
  ])('a file that holds %s is set aside with a warning', (_, text) => {
    writeFileSync(file, text);
    expect(readCache(file, log)).toBeUndefined();
    expect(log.lines).toMatchObject([
      { level: 'warn', message: 'the endpoint cache is invalid: moved aside, not used' },
    ]);
    expect(existsSync(file)).toBe(false);
    expect(readFileSync(`${file}.corrupt`, 'utf8')).toBe(text);
  });

  test('a directory in its place is set aside too', () => {
    mkdirSync(file);
    expect(readCache(file, log)).toBeUndefined();
    expect(existsSync(`${file}.corrupt`)).toBe(true);
  });
});

describe('writing', () => {
  function writer(
    over: { write?: (file: string, text: string) => Promise<void> } = {},
    onDisk?: CacheContent,
  ) {
    const clock = new FakeClock();
    const written: string[] = [];
    const write = over.write ?? (async (_: string, text: string) => void written.push(text));
    return { clock, written, cache: new CacheWriter({ file, clock, random: () => 0.5, log, write }, onDisk) };
  }

  test('goes through a temporary file and leaves nothing beside', async () => {
    await writeStateFile(file, 'one');
    await writeStateFile(file, 'two');
    expect(readFileSync(file, 'utf8')).toBe('two');
    expect(readdirSync(dirname(file))).toEqual(['endpoints.json']);
  });

  test('never shows a reader half a file', async () => {
    const texts = ['a', 'b'].map((letter) => letter.repeat(4 << 20));
    await writeStateFile(file, texts[0]!);
    let isWriting = true;
    const writing = (async () => {
      for (let turn = 0; turn < 10; turn += 1) await writeStateFile(file, texts[turn % 2]!);
      isWriting = false;
    })();
    while (isWriting) {
      expect(texts).toContain(readFileSync(file, 'utf8'));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await writing;
  });

  test('makes the directory that is missing', async () => {
    const deep = join(dirname(file), 'a', 'endpoints.json');
    await writeStateFile(deep, 'x');
    expect(readFileSync(deep, 'utf8')).toBe('x');
  });

  test('changes in quick succession are one write, of the last', async () => {
    const { clock, written, cache } = writer();
    cache.save(content(1));
    await clock.advance(500);
    cache.save(content(2));
    expect(written).toEqual([]);
    await clock.advance(2_000);
    expect(written).toEqual([encodeCache(content(2))]);
  });

  test('a change of the pick alone waits longer, and does not hold up a change of the set', async () => {
    const { clock, written, cache } = writer();
    cache.save(content(1), false);
    await clock.advance(30_000);
    expect(written).toEqual([]);
    cache.save(content(2));
    await clock.advance(2_000);
    expect(written).toEqual([encodeCache(content(2))]);
    cache.save(content(3), false);
    await clock.advance(60_000);
    expect(written).toHaveLength(2);
    expect(clock.pendingTimers).toBe(0);
  });

  test('what is on disk already is not written again', async () => {
    const { clock, written, cache } = writer({}, content(1));
    cache.save(content(1));
    await clock.advance(10_000);
    expect(written).toEqual([]);
  });

  test('a full or read-only disk is one warning, tried again later, and then over', async () => {
    let isFull = true;
    const written: string[] = [];
    const write = async (_: string, text: string) => {
      if (isFull) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
      written.push(text);
    };
    const { clock, cache } = writer({ write });
    cache.save(content(1));
    await clock.advance(500_000);
    expect(log.lines).toMatchObject([{ level: 'warn', fields: { reason: 'ENOSPC' } }]);
    expect(cache.isFailing).toBe(true);
    isFull = false;
    await clock.advance(200_000);
    expect(written).toEqual([encodeCache(content(1))]);
    expect(cache.isFailing).toBe(false);
    expect(clock.pendingTimers).toBe(0);
  });

  test('stop writes what is outstanding, and nothing after', async () => {
    const { clock, written, cache } = writer();
    cache.save(content(1));
    await cache.stop();
    expect(written).toEqual([encodeCache(content(1))]);
    cache.save(content(2));
    await cache.stop();
    expect(written).toHaveLength(1);
    expect(clock.pendingTimers).toBe(0);
  });

  test('a failure at stop is no crash', async () => {
    const { cache } = writer({ write: () => Promise.reject(new Error('gone')) });
    cache.save(content(1));
    await cache.stop();
    expect(log.lines).toHaveLength(1);
  });

  test('old leftovers of a killed process are removed, fresh ones are another writer', async () => {
    const beside = (id: number) => join(dirname(file), `.endpoints.json.fairlead-${id}.tmp`);
    writeFileSync(beside(77), 'old');
    utimesSync(beside(77), 1, 1);
    writeFileSync(beside(78), 'new');
    writeFileSync(`${file}.note`, 'mine');
    utimesSync(`${file}.note`, 1, 1);
    const { cache } = writer({ write: writeStateFile });
    cache.save(content(1));
    await cache.stop();
    expect(readdirSync(dirname(file)).sort()).toEqual([
      '.endpoints.json.fairlead-78.tmp',
      'endpoints.json',
      'endpoints.json.note',
    ]);
  });
});

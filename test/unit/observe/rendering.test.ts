// A page for any number of readers costs so many renderings a second, and no two at a time.
import { Rendering } from '../../../src/observe/rendering.ts';

function make(perSecond: number) {
  let nowMs = 0;
  let made = 0;
  let running = 0;
  const rendering = new Rendering({
    clock: { nowMs: () => nowMs },
    perSecond,
    render: async () => {
      made += 1;
      running += 1;
      expect(running).toBe(1);
      await Promise.resolve();
      running -= 1;
      if (made === 13) throw new Error('bug');
      return { contentType: 'text/plain', body: String(made) };
    },
  });
  const read = async () => String((await rendering.page()).body);
  return { read, advance: (ms: number) => (nowMs += ms), made: () => made };
}

test('readers at the same time share one rendering', async () => {
  const { read, made } = make(1);
  expect(await Promise.all([read(), read(), read()])).toEqual(['1', '1', '1']);
  expect(made()).toBe(1);
});

test('once a second: the latest page until then', async () => {
  const { read, advance } = make(1);
  expect(await read()).toBe('1');
  advance(999);
  expect(await read()).toBe('1');
  advance(1);
  expect(await read()).toBe('2');
});

test('ten a second: the first ten are fresh, and under a flood ten a second', async () => {
  const { read, advance, made } = make(10);
  for (let index = 1; index <= 10; index += 1) expect(await read()).toBe(String(index));
  expect(await read()).toBe('10');
  for (let ms = 0; ms < 200; ms += 1) {
    advance(1);
    await read();
  }
  expect(made()).toBe(12);
});

test('a rendering that fails is told to its readers, and the next one is made', async () => {
  const { read, advance } = make(1);
  for (let index = 1; index <= 12; index += 1) {
    await read();
    advance(1_000);
  }
  await expect(Promise.all([read(), read()])).rejects.toThrow('bug');
  advance(1_000);
  expect(await read()).toBe('14');
});

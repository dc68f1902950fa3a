import { readOptions } from '../../../scripts/demo-parts/options.ts';

test('without arguments: a live view that ends by itself', () => {
  expect(readOptions([])).toEqual({ keep: false, isPlain: false });
});

test('--keep and --plain are known', () => {
  expect(readOptions(['--keep', '--plain'])).toEqual({ keep: true, isPlain: true });
});

test('--help explains and succeeds', () => {
  const answer = readOptions(['--help']);
  expect(answer).toMatchObject({ exitCode: 0 });
  expect(answer).toMatchObject({ text: expect.stringContaining('--keep') });
});

test('an unknown option is an error that shows the help', () => {
  expect(readOptions(['--kepe'])).toMatchObject({ exitCode: 2, text: expect.stringContaining('--keep') });
});

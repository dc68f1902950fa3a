import { formatTable } from '../../../src/lib/table.ts';

test('columns are as wide as their widest cell, and no line ends with spaces', () => {
  expect(
    formatTable(
      ['NODE', 'STATE'],
      [
        ['worker-10', 'serving'],
        ['w1', ''],
        ['w2', 3],
      ],
    ),
  ).toBe(['NODE       STATE', 'worker-10  serving', 'w1', 'w2         3'].join('\n'));
});

test('without rows there is the head', () => {
  expect(formatTable(['NODE', 'STATE'], [])).toBe('NODE  STATE');
});

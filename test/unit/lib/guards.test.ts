// What comes from outside is narrowed in one way.
import { fieldsOf, isRecord, isString, listOf } from '../../../src/lib/guards.ts';

const values: readonly [string, unknown][] = [
  ['null', null],
  ['a list', [{ a: 1 }]],
  ['a text', 'a'],
  ['a number', 1],
  ['nothing', undefined],
];

test.each(values)('%s has no members', (_, value) => {
  expect(isRecord(value)).toBe(false);
  expect(fieldsOf(value)).toEqual({});
});

test('an object has its members', () => {
  expect(isRecord({})).toBe(true);
  expect(fieldsOf({ a: 1 })).toEqual({ a: 1 });
});

test('only a list has items', () => {
  expect(listOf(['a'])).toEqual(['a']);
  for (const value of [null, 'a', { length: 1 }, undefined]) expect(listOf(value)).toEqual([]);
});

test('only a text is a text', () => {
  expect(['', 1, null, ['a']].map(isString)).toEqual([true, false, false, false]);
});

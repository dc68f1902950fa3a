import fc from 'fast-check';
import { type JsonBounds, parseJson, readJson } from '../../../src/lib/bounded-json.ts';

const bounds: JsonBounds = { maxDepth: 5, maxContainers: 20 };

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}
function containersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce((sum: number, member) => sum + containersOf(member), 1);
}

test('parses what JSON.parse parses, unless it is deeper or has more containers than allowed', () => {
  const text = fc.string({ unit: fc.constantFrom('"', '\\', '[', ']', '{', '}', 'a', '\n', 'é') });
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 8 },
      text,
      fc.integer(),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(text, tie('tree'), { maxKeys: 3, noNullPrototype: true }),
    ),
  }));
  fc.assert(
    fc.property(tree, fc.boolean(), (value, isSpaced) => {
      const reading = readJson(JSON.stringify(value, null, isSpaced ? 2 : 0), bounds);
      const isWithin = depthOf(value) <= bounds.maxDepth && containersOf(value) <= bounds.maxContainers;
      if (isWithin) expect(reading).toEqual({ ok: true, value });
      else
        expect(reading).toMatchObject({ ok: false, problem: expect.stringMatching(/nests deeper|has more/) });
    }),
    { numRuns: 500 },
  );
});

test('whatever the text is, it is read as JSON.parse reads it or refused', () => {
  const text = fc.string({ unit: fc.constantFrom('"', '\\', '[', ']', '{', '}', ',', ':', '1', ' ') });
  fc.assert(
    fc.property(text, (json) => {
      const reading = readJson(json, bounds);
      if (reading.ok) expect(reading.value).toEqual(JSON.parse(json));
    }),
    { numRuns: 2_000 },
  );
});

test.each([
  ['brackets alone', '['.repeat(1_000_000), 'nests deeper than 64'],
  ['objects within objects', '{"a":'.repeat(200_000), 'nests deeper than 64'],
  ['arrays beside each other', `[${'[],'.repeat(300_000)}[]]`, 'has more than 50000 objects and arrays'],
  ['no JSON', '<html>', 'is not JSON'],
  ['nothing', '', 'is not JSON'],
  ['a string that does not end', `"${'['.repeat(1_000)}`, 'is not JSON'],
  ['a string of backslashes', `"${'\\'.repeat(999_999)}`, 'is not JSON'],
])('%s: refused, and it says why', (_, text, problem) => {
  expect(readJson(text)).toEqual({ ok: false, problem });
});

test('a text that is not JSON is undefined, and null is null', () => {
  expect(parseJson('{"a":[1]}')).toEqual({ a: [1] });
  expect(parseJson('null')).toBeNull();
  for (const text of ['', '{', 'undefined']) expect(parseJson(text)).toBeUndefined();
});

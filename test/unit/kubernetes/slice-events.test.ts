import fc from 'fast-check';
import { parseSliceEvent, parseSliceList } from '../../../src/kubernetes/slice-events.ts';

const list = (over: object = {}) =>
  JSON.stringify({ kind: 'EndpointSliceList', metadata: { resourceVersion: '7' }, items: [{}], ...over });

test('a list gives its items and where to go on', () => {
  expect(parseSliceList(list())).toEqual({ ok: true, items: [{}], resourceVersion: '7' });
  expect(parseSliceList(list({ items: null }))).toMatchObject({ ok: true, items: [] });
});

test.each([
  ['an HTML page', '<html>'],
  ['half a list', list().slice(0, -5)],
  ['another kind', list({ kind: 'Status' })],
  ['items of another kind', list({ items: {} })],
  ['a part of a list', list({ metadata: { resourceVersion: '7', continue: 'x' } })],
  ['no version', list({ metadata: {} })],
  ['a version that is none', list({ metadata: { resourceVersion: '7&watch=0' } })],
])('%s is garbage, not an empty list', (_, body) => {
  expect(parseSliceList(body).ok).toBe(false);
});

test('events are read as the API writes them', () => {
  const object = { metadata: { resourceVersion: '9' } };
  expect(parseSliceEvent(JSON.stringify({ type: 'ADDED', object }))).toEqual({
    type: 'change',
    change: 'ADDED',
    object,
    resourceVersion: '9',
  });
  expect(parseSliceEvent(JSON.stringify({ type: 'BOOKMARK', object }))).toEqual({
    type: 'bookmark',
    resourceVersion: '9',
  });
  const status = { kind: 'Status', code: 410, reason: 'Expired' };
  expect(parseSliceEvent(JSON.stringify({ type: 'ERROR', object: status }))).toEqual({
    type: 'error',
    code: 410,
    reason: 'Expired',
  });
});

test('whatever comes, reading never throws', () => {
  const anyLine = fc.oneof(
    fc.string(),
    fc.json(),
    fc
      .record({ type: fc.constantFrom('ADDED', 'BOOKMARK', 'ERROR', 'x'), object: fc.jsonValue() })
      .map((event) => JSON.stringify(event)),
  );
  fc.assert(
    fc.property(anyLine, (line) => {
      expect(['change', 'bookmark', 'error', 'garbage']).toContain(parseSliceEvent(line).type);
      expect(typeof parseSliceList(line).ok).toBe('boolean');
    }),
    { numRuns: 1000 },
  );
});

import { applyJsonPatch, applyMergePatch } from '../../support/apiserver/patch.ts';
import { decodeProtobuf, isProtobuf } from '../../support/apiserver/protobuf.ts';
import { parseFieldSelector, parseLabelSelector } from '../../support/apiserver/selectors.ts';
import { negotiate } from '../../support/apiserver/table.ts';

describe('label selectors', () => {
  const object = { metadata: { labels: { a: '1', b: '2' } } };

  test.each([
    ['', true],
    ['a=1', true],
    ['a==1,b=2', true],
    ['a=1,b=3', false],
    ['a!=1', false],
    ['c!=1', true],
    ['a in (1,3)', true],
    ['a in (3), b=2', false],
    ['a notin (3,4)', true],
    ['c notin (1)', true],
    ['a', true],
    ['!a', false],
    ['!c', true],
  ])('"%s" is %s', (selector, expected) => {
    expect(parseLabelSelector(selector)(object)).toBe(expected);
  });

  test('what cannot be parsed is a bad request', () => {
    expect(() => parseLabelSelector('a=1=2')).toThrow('unable to parse requirement');
  });
});

test('field selectors know name and namespace, and refuse the rest', () => {
  const object = { metadata: { name: 'x', namespace: 'y' } };
  expect(parseFieldSelector('metadata.name=x,metadata.namespace!=z')(object)).toBe(true);
  expect(parseFieldSelector('metadata.name=y')(object)).toBe(false);
  expect(() => parseFieldSelector('spec.nodeName=z')).toThrow('field label not supported: spec.nodeName');
});

describe('patches', () => {
  test('a merge patch merges objects, replaces lists and removes with null (RFC 7386)', () => {
    expect(applyMergePatch({ a: { b: 1, c: [1, 2] }, d: 1 }, { a: { b: null, c: [3], e: 4 } })).toEqual({
      a: { c: [3], e: 4 },
      d: 1,
    });
    expect(applyMergePatch({ a: 1 }, { a: { b: 2 } })).toEqual({ a: { b: 2 } });
  });

  test('directives of strategic merge patches are no fields', () => {
    expect(applyMergePatch({}, { a: 1, $setElementOrder: [] })).toEqual({ a: 1 });
  });

  test('a JSON patch adds, replaces and removes', () => {
    const patch = [
      { op: 'add', path: '/a/-', value: 3 },
      { op: 'remove', path: '/a/0' },
      { op: 'replace', path: '/b~1c', value: 'x' },
    ];
    expect(applyJsonPatch({ a: [1, 2], 'b/c': 'y' }, patch)).toEqual({ a: [2, 3], 'b/c': 'x' });
    expect(() => applyJsonPatch({}, [{ op: 'add', path: '/a/b', value: 1 }])).toThrow('does not exist');
  });
});

describe('protobuf bodies', () => {
  const field = (number: number, bytes: Buffer | string) => {
    const content = Buffer.from(bytes);
    return Buffer.concat([Buffer.of(number * 8 + 2, content.length), content]);
  };
  const entry = (number: number, key: string, value: string) =>
    field(number, Buffer.concat([field(1, key), field(2, value)]));

  test('a ConfigMap as kubectl sends it', () => {
    const metadata = Buffer.concat([field(1, 'name'), field(3, 'space'), entry(11, 'l', 'x')]);
    // Field 10 of the metadata is a number that nobody needs: it is skipped.
    const raw = Buffer.concat([
      field(1, Buffer.concat([metadata, Buffer.of(10 * 8, 0x85, 0x01)])),
      entry(2, 'a', '1'),
      entry(2, 'b', '2'),
    ]);
    const type = Buffer.concat([field(1, 'v1'), field(2, 'ConfigMap')]);
    const body = Buffer.concat([Buffer.from('k8s\0'), field(1, type), field(2, raw)]);
    expect(isProtobuf(body)).toBe(true);
    expect(decodeProtobuf(body)).toEqual({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'name', namespace: 'space', labels: { l: 'x' } },
      data: { a: '1', b: '2' },
    });
  });

  test('an unknown kind is a bad request', () => {
    const type = Buffer.concat([field(1, 'v1'), field(2, 'Pod')]);
    const body = Buffer.concat([Buffer.from('k8s\0'), field(1, type)]);
    expect(() => decodeProtobuf(body)).toThrow('no protobuf decoder for Pod');
    expect(isProtobuf(Buffer.from('{}'))).toBe(false);
  });
});

test.each([
  [undefined, 'object'],
  ['application/json', 'object'],
  ['*/*', 'object'],
  ['application/json;as=Table;v=v1;g=meta.k8s.io,application/json', 'table'],
  ['application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json', 'object'],
  ['application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1', 'metadata'],
  ['application/vnd.kubernetes.protobuf,application/json', 'object'],
  ['application/vnd.kubernetes.protobuf', undefined],
])('Accept: %s gets %s', (accept, expected) => {
  expect(negotiate(accept)).toBe(expected);
});

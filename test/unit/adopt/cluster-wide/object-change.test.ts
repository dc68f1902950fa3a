import {
  annotationFor,
  digestOf,
  kubectlFor,
  type ObjectChange,
  readSaved,
  savedAnnotation,
} from '../../../../src/adopt/cluster-wide/object-change.ts';

const ref = { kind: 'configmap', namespace: 'kube-system', name: 'x' } as const;
const carrying = (text: string) => ({ metadata: { annotations: { [savedAnnotation]: text } } });

test('the digest does not depend on the order of members, and on everything else', () => {
  expect(digestOf({ a: { x: 1, y: 2 }, b: null })).toBe(digestOf({ b: null, a: { y: 2, x: 1 } }));
  const digests = [{ a: 1 }, { a: '1' }, { a: null }, {}, { a: [1, 2] }, { a: [2, 1] }].map(digestOf);
  expect(new Set(digests).size).toBe(digests.length);
});

test('what was there before the first pointing is kept, unless somebody has written since', () => {
  const first = readSaved(ref, carrying(annotationFor(undefined, { a: 'old' }, { a: 'one' })));
  expect(first?.before).toEqual({ a: 'old' });
  const second = readSaved(ref, carrying(annotationFor(first, { a: 'one' }, { a: 'two' })));
  expect(second).toEqual({ before: { a: 'old' }, after: digestOf({ a: 'two' }) });
  const other = readSaved(ref, carrying(annotationFor(first, { a: 'theirs' }, { a: 'two' })));
  expect(other?.before).toEqual({ a: 'theirs' });
});

test.each(['', '{', '[]', '{"before":{}}', 'null'])(
  'an annotation that is not ours is refused: %s',
  (text) => {
    expect(() => readSaved(ref, carrying(text))).toThrow(savedAnnotation);
  },
);

test('without the annotation, or without the object, nothing is saved', () => {
  expect(readSaved(ref, undefined)).toBeUndefined();
  expect(readSaved(ref, { metadata: { annotations: {} } })).toBeUndefined();
});

test('what kubectl is told survives the shell', () => {
  const base = { ref, warnings: [], fingerprint: '', diff: '' };
  const patch: ObjectChange = { ...base, action: 'patch', patch: { data: { a: "it's\n$HOME" } } };
  expect(kubectlFor(patch)).toBe(
    `kubectl -n kube-system patch configmap x --type merge -p '{"data":{"a":"it'\\''s\\n$HOME"}}'`,
  );
  expect(kubectlFor({ ...patch, isSecret: true })).toBeUndefined();
  expect(kubectlFor({ ...base, action: 'delete', resourceVersion: '1' })).toBe(
    'kubectl -n kube-system delete configmap x',
  );
});

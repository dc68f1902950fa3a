import fc from 'fast-check';
import { parse } from 'yaml';
import { editMember, memberOf } from '../../../../src/adopt/cluster-wide/yaml-member.ts';

const key = 'controlPlaneEndpoint';

function edited(text: string, value: string | null): string {
  const result = editMember(text, key, value, 'kind');
  if (!result.ok) throw new Error(result.problem);
  return result.value.text;
}

test.each([
  ['plain', 'kind: C\ncontrolPlaneEndpoint: a.example:6443 # x\nz: 1\n', 'a.example:1', 'a.example:1 # x'],
  ['quoted', "controlPlaneEndpoint: 'a:1'\nkind: C\n", 'b:2', "'b:2'"],
  ['empty', 'kind: C\ncontrolPlaneEndpoint: ""\n', 'b:2', '"b:2"'],
])('a value that is there is replaced in its style: %s', (_name, text, value, shown) => {
  expect(edited(text, value)).toBe(
    text.replace(/controlPlaneEndpoint: [^\n]*/, `controlPlaneEndpoint: ${shown}`),
  );
});

test('one that is not there is put behind its neighbour, and can be taken out again', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('\n', '\r\n'),
      fc.boolean(),
      fc.subarray(['apiServer:\n  certSANs: [a]', 'clusterName: x # c', '# comment', 'dns: {}']),
      fc.subarray(['networking:\n  dnsDomain: d', 'scheduler: {}', 'etcd:\n  local:\n    dataDir: /e']),
      (eol, isEnded, before, after) => {
        const lines = [...before, 'kind: ClusterConfiguration', ...after].join('\n');
        const text = `${lines}${isEnded ? '\n' : ''}`.replaceAll('\n', eol);
        const next = edited(text, '127.0.0.1:6443');
        expect(parse(next)).toEqual({ ...parse(text), [key]: '127.0.0.1:6443' });
        expect(edited(next, null)).toBe(text);
        expect(memberOf(next, key)).toEqual({ ok: true, value: '127.0.0.1:6443' });
      },
    ),
    { numRuns: 60 },
  );
});

test.each([
  ['no mapping', '- a\n'],
  ['no YAML', 'kind: "C\n'],
  ['no neighbour', 'a: 1\n'],
  ['an anchor that is used elsewhere', 'kind: C\ncontrolPlaneEndpoint: &e a:1\nother: *e\n'],
])('%s is refused', (_name, text) => {
  expect(editMember(text, key, 'b:2', 'kind')).toMatchObject({ ok: false });
});

test('the same value is no edit', () => {
  const text = 'kind: C\ncontrolPlaneEndpoint: b:2\n';
  expect(editMember(text, key, 'b:2', 'kind')).toEqual({ ok: true, value: { text, edits: [] } });
});

test('the value is read where it is a text', () => {
  expect(memberOf('kind: C\n', key)).toEqual({ ok: true, value: undefined });
  expect(memberOf('controlPlaneEndpoint: [1]\n', key)).toMatchObject({ ok: false });
});

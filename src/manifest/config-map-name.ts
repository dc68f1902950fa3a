// The name of a ConfigMap that another content renames, so that its pods are rolled out: kustomize's, so that what the
// program prints and what `kubectl kustomize` renders are the same object.
import { createHash } from 'node:crypto';

const replaced: Readonly<Record<string, string>> = { 0: 'g', 1: 'h', 3: 'k', a: 'm', e: 't' };

/** As Go encodes JSON: keys sorted, and the characters escaped that HTML would read. */
function goJson(value: Readonly<Record<string, unknown>>): string {
  const escapes: Readonly<Record<string, string>> = {
    '<': '\\u003c',
    '>': '\\u003e',
    '&': '\\u0026',
    '\u2028': '\\u2028',
    '\u2029': '\\u2029',
  };
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (character) => escapes[character] ?? character);
}

export function configMapName(name: string, data: Readonly<Record<string, string>>): string {
  const sorted = Object.fromEntries(Object.entries(data).sort(([a], [b]) => (a < b ? -1 : 1)));
  const digest = createHash('sha256')
    // kustomize hashes an object that has no name yet.
    .update(goJson({ data: sorted, kind: 'ConfigMap', name: '' }))
    .digest('hex');
  const suffix = digest.slice(0, 10).replace(/[013ae]/g, (digit) => replaced[digit] ?? digit);
  return `${name}-${suffix}`;
}

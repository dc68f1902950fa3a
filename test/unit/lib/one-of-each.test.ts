// Each tool exists once: what only its own file may contain, as text. A new match is a second tool, or a reason to be
// written down here.
import { readFileSync } from 'node:fs';
import { sourceFiles } from '../../../scripts/layers.ts';

const tools: readonly { readonly tool: string; readonly text: RegExp; readonly files: readonly string[] }[] =
  [
    { tool: 'the test for an object', text: /!== null && !Array\.isArray\(/, files: ['lib/guards.ts'] },
    { tool: 'the fingerprint of a file', text: /mtimeNs/, files: ['lib/file-fingerprint.ts'] },
    { tool: 'the atomic replace', text: /[^#.\w]rename\(/, files: ['lib/replace-file.ts'] },
    {
      tool: 'the table of system errors',
      text: /\b(EMFILE|EHOSTUNREACH|EISDIR|EAFNOSUPPORT)['":]/,
      files: ['lib/errno.ts'],
    },
    {
      tool: 'the words for a missing file',
      text: /'does not exist'/,
      files: ['lib/errno.ts', 'cli/named-files.ts'],
    },
    { tool: 'the wait that grows', text: /[\w)] \*\* [(\w]/, files: ['lib/backoff.ts'] },
    { tool: 'the wait until something is so', text: /while \(.*nowMs\(\)/, files: [] },
    { tool: 'the reader of JSON', text: /\bJSON\.parse\(|parseJson\(\),/, files: ['lib/bounded-json.ts'] },
    // network.ts asks whether a client is in a configured network.
    {
      tool: 'the meaning of an address',
      text: /new BlockList|startsWith\('(127\.|::ffff)/,
      files: ['model/host.ts', 'model/network.ts'],
    },
    { tool: 'the table for people', text: /from 'cli-table3'|widths/, files: ['lib/table.ts'] },
  ];

/** Code without its comments, which may speak of anything. */
const codeOf = (file: string) => readFileSync(`src/${file}`, 'utf8').replace(/^\s*(\/\/|\/?\*).*$/gm, '');

test.each(tools)('$tool is in one place', ({ text, files }) => {
  expect(
    sourceFiles()
      .filter((file) => text.test(codeOf(file)))
      .sort(),
  ).toEqual([...files].sort());
});

// The difference of two texts by lines, as a unified diff without context lines. Pure.
import { createTwoFilesPatch, FILE_HEADERS_ONLY } from 'diff';

/** The time grows with the square of the changed lines. */
const maxChangedLines = 1_000;

/** Empty when only line endings differ. */
export function lineDiff(name: string, before: string, after: string): string {
  const patch = createTwoFilesPatch(name, name, before, after, undefined, undefined, {
    context: 0,
    stripTrailingCr: true,
    headerOptions: FILE_HEADERS_ONLY,
    maxEditLength: maxChangedLines,
  });
  if (patch === undefined) return `--- ${name}\n+++ ${name}\n(more than ${maxChangedLines} lines differ)\n`;
  return patch.includes('\n@@ ') ? patch : '';
}

// Changes of a text by position, and how they are shown: as a diff without what must not be seen. Pure.
import { lineDiff } from '../lib/line-diff.ts';

/** Replaces the characters from `from` up to `to`. */
export interface TextEdit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** `edits` in the order of the text, without overlap. */
export function applyEdits(text: string, edits: readonly TextEdit[]): string {
  let result = '';
  let at = 0;
  for (const edit of edits) {
    result += text.slice(at, edit.from) + edit.text;
    at = edit.to;
  }
  return result + text.slice(at);
}

/** The edits that take the result of `edits` back to `text`. */
export function invertEdits(text: string, edits: readonly TextEdit[]): TextEdit[] {
  let shift = 0;
  return edits.map((edit) => {
    const from = edit.from + shift;
    shift += edit.text.length - (edit.to - edit.from);
    return { from, to: from + edit.text.length, text: text.slice(edit.from, edit.to) };
  });
}

export const lineStart = (text: string, at: number) => text.lastIndexOf('\n', at - 1) + 1;

/** Behind the line break that ends the line of `at`, or the end of the text. */
export function lineEnd(text: string, at: number): number {
  const found = text.indexOf('\n', at);
  return found < 0 ? text.length : found + 1;
}

/** The line ending that the text uses: that of its first line. */
export function lineEnding(text: string): string {
  return /\r?\n/.exec(text)?.[0] ?? '\n';
}

type Range = readonly [from: number, to: number];

/** Of an unchanged stretch of a changed line, this much is shown beside each change. */
const shownAround = 60;
/** Stands for one hidden character: private use, so that no file has it. */
const hiddenCharacter = '\uE000';

/**
 * The change as a unified diff without context lines. What lies in `hidden` (ranges of `text`) is masked, and
 * long unchanged stretches (JSON on one line) are left out, so that no key is ever printed.
 */
export function formatDiff(
  name: string,
  text: string,
  edits: readonly TextEdit[],
  hidden: readonly Range[] = [],
): string {
  const masked = hidden.reduce(
    (rest, [from, to]) =>
      rest.slice(0, from) + rest.slice(from, to).replace(/[^\n]/g, hiddenCharacter) + rest.slice(to),
    text,
  );
  const left = elisions(masked, edits);
  const after = [...left, ...edits].sort((a, b) => a.from - b.from);
  const diff = lineDiff(name, applyEdits(masked, left), applyEdits(masked, after));
  return diff.replaceAll(new RegExp(`${hiddenCharacter}+`, 'g'), '<not shown>');
}

/** The middles of long unchanged stretches before, between and behind the edits of a line. */
function elisions(text: string, edits: readonly TextEdit[]): TextEdit[] {
  const found: TextEdit[] = [];
  const leaveOut = (from: number, to: number, head: number, tail: number) => {
    if (to - from > head + tail + shownAround) found.push({ from: from + head, to: to - tail, text: '...' });
  };
  for (const [index, { from, to }] of edits.entries()) {
    const previous = edits[index - 1]?.to ?? 0;
    const start = lineStart(text, from);
    if (previous > start) leaveOut(previous, from, shownAround, shownAround);
    else leaveOut(start, from, 0, shownAround);
    const end = text.indexOf('\n', to) < 0 ? text.length : text.indexOf('\n', to);
    if ((edits[index + 1]?.from ?? text.length + 1) > end) leaveOut(to, end, shownAround, 0);
  }
  return found;
}

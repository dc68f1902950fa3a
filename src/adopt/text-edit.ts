// Changes of a text by position, and how they are shown: as the lines before and after, without what must
// not be seen. Pure.

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
  const hunks: string[] = [];
  let shift = 0;
  for (const group of byLines(masked, edits)) {
    const { from, to } = linesOf(masked, group);
    const left = elisions(masked, from, to, group);
    const removed = shownLines(masked, from, to, left);
    const added = shownLines(masked, from, to, [...left, ...group]);
    const line = masked.slice(0, from).split('\n').length;
    const at = (start: number, count: number) => `${count === 0 ? start - 1 : start},${count}`;
    hunks.push(
      `@@ -${at(line, removed.length)} +${at(line + shift, added.length)} @@`,
      ...removed.map((content) => `-${content}`),
      ...added.map((content) => `+${content}`),
    );
    shift += added.length - removed.length;
  }
  return [`--- ${name}`, `+++ ${name}`, ...hunks, ''].join('\n');
}

/** Edits that touch the same or neighbouring lines together. */
function byLines(text: string, edits: readonly TextEdit[]): TextEdit[][] {
  const groups: TextEdit[][] = [];
  for (const edit of edits) {
    const previous = groups.at(-1)?.at(-1);
    if (previous && lineStart(text, edit.from) <= lineEnd(text, previous.to)) groups.at(-1)?.push(edit);
    else groups.push([edit]);
  }
  return groups;
}

/** The whole lines that a group of edits changes; none for whole lines that are put in between. */
function linesOf(text: string, group: readonly TextEdit[]): { from: number; to: number } {
  const [first, last] = [group[0] as TextEdit, group.at(-1) as TextEdit];
  const from = lineStart(text, first.from);
  const isWholeLines = first.from === from && last.text.endsWith('\n');
  const isAtLineStart = last.to === lineStart(text, last.to);
  if (isAtLineStart && (last.to > from || isWholeLines)) return { from, to: last.to };
  return { from, to: lineEnd(text, last.to) };
}

/** The middles of long unchanged stretches within a line. */
function elisions(text: string, from: number, to: number, group: readonly TextEdit[]): TextEdit[] {
  const found: TextEdit[] = [];
  let at = from;
  for (const next of [...group, undefined]) {
    const end = next?.from ?? to;
    const [head, tail] = [at === from ? 0 : shownAround, next ? shownAround : 0];
    const stretch = text.slice(at, end).replace(/\r?\n$/, '');
    if (!stretch.includes('\n') && stretch.length > head + tail + shownAround) {
      found.push({ from: at + head, to: at + stretch.length - tail, text: '...' });
    }
    at = next?.to ?? to;
  }
  return found;
}

function shownLines(text: string, from: number, to: number, changes: readonly TextEdit[]): string[] {
  const ordered = changes
    .map((edit) => ({ ...edit, from: edit.from - from, to: edit.to - from }))
    .sort((a, b) => a.from - b.from);
  const result = applyEdits(text.slice(from, to), ordered);
  if (result === '') return [];
  const lines = result.replaceAll(new RegExp(`${hiddenCharacter}+`, 'g'), '<not shown>').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) => line.replace(/\r$/, ''));
}

// Edits of single values in a YAML text: the parser says where a value stands, and only those bytes are replaced,
// in the style in which they are written. Whoever makes such an edit proves it afterwards, by parsing. Pure.
import { isNode, isScalar, type Pair, parse, type YAMLMap } from 'yaml';
import { lineEnd, lineEnding, lineStart, type TextEdit } from './text-edit.ts';

export function pairOf(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((item) => isScalar(item.key) && item.key.value === key);
}

function rangeOf(node: unknown): readonly [number, number] {
  if (isNode(node) && node.range) return [node.range[0], node.range[1]];
  throw new Error('a parsed node has a range');
}

/** Replaces a value in the style in which it is written. */
export function valueEdit(text: string, { key, value }: Pair, next: string): TextEdit {
  const [from, to] = rangeOf(value);
  if (from === to) {
    // Nothing is written (`tls-server-name:`): the value goes right behind the colon.
    const colon = text.indexOf(':', rangeOf(key)[1]) + 1;
    return { from: colon, to: colon, text: ` ${plainOrQuoted(next)}` };
  }
  const old = text.slice(from, to);
  if (old.startsWith('"')) return { from, to, text: JSON.stringify(next) };
  if (old.startsWith("'")) return { from, to, text: `'${next.replaceAll("'", "''")}'` };
  // A block scalar (`>-`) includes the end of its last line.
  const end = /^[|>]/.test(old) ? (/\r?\n$/.exec(old)?.[0] ?? '') : '';
  return { from, to, text: `${plainOrQuoted(next)}${end}` };
}

function plainOrQuoted(value: string): string {
  return /^[a-z][\w./:-]*\w$/i.test(value) && parse(value) === value ? value : JSON.stringify(value);
}

/** Puts a new pair behind one that is there, in its style. */
export function insertion(
  text: string,
  map: YAMLMap,
  { key, value }: Pair,
  added: { readonly key: string; readonly value: string },
): TextEdit {
  const keyStart = rangeOf(key)[0];
  const valueEnd = rangeOf(value)[1];
  const isQuoted = text[keyStart] === '"';
  const entry = isQuoted
    ? `"${added.key}": ${JSON.stringify(added.value)}`
    : `${added.key}: ${plainOrQuoted(added.value)}`;
  const start = lineStart(text, keyStart);
  const before = text.slice(start, keyStart);
  const eol = lineEnding(text);
  if (map.flow) {
    // On a line of its own where the other one is.
    const gap = before.trim() === '' ? `${eol}${before}` : ' ';
    return { from: valueEnd, to: valueEnd, text: `,${gap}${entry}` };
  }
  const indent = before.trim() === '' ? before : ' '.repeat(before.length);
  // A block scalar ends with its line; any other value may have a comment behind it.
  const hasLineEnd = text[valueEnd - 1] === '\n';
  const at = hasLineEnd ? valueEnd : lineEnd(text, valueEnd);
  const isLast = text[at - 1] !== '\n';
  const line = isLast ? `${eol}${indent}${entry}` : `${indent}${entry}${eol}`;
  return { from: at, to: at, text: line };
}

/** Takes a pair out, with its line where it has one of its own. */
export function removal(text: string, map: YAMLMap, pair: Pair): TextEdit {
  const index = map.items.indexOf(pair);
  const keyStart = rangeOf(pair.key)[0];
  const valueEnd = Math.max(rangeOf(pair.value)[1], rangeOf(pair.key)[1] + 1);
  if (map.flow) {
    const [previous, next] = [map.items[index - 1], map.items[index + 1]];
    if (previous) return { from: rangeOf(previous.value)[1], to: valueEnd, text: '' };
    return { from: keyStart, to: next ? rangeOf(next.key)[0] : valueEnd, text: '' };
  }
  const from = lineStart(text, keyStart);
  const to = text[valueEnd - 1] === '\n' ? valueEnd : lineEnd(text, valueEnd);
  // Of the last line of a file without a final line break, the break before it goes too.
  if (text[to - 1] !== '\n')
    return { from: from - (/\r?\n$/.exec(text.slice(0, from))?.[0].length ?? 0), to, text: '' };
  return { from, to, text: '' };
}

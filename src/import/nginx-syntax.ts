// nginx's configuration syntax: directives, blocks, quotes and comments, with the line of each directive.
// Pure. Own code, as no maintained package says on which line a directive stands (nginx-conf,
// @webantic/nginx-config-parser), and a reader of the notes needs to know.
import type { Parsed } from '../model/endpoint.ts';

export interface Directive {
  readonly name: string;
  readonly args: readonly string[];
  readonly line: number;
  /** The directives in braces. */
  readonly block?: readonly Directive[];
}

interface Word {
  readonly kind: 'word' | 'end' | 'open' | 'close';
  readonly text: string;
  readonly line: number;
}

const marks: Readonly<Record<string, Word['kind']>> = { ';': 'end', '{': 'open', '}': 'close' };

/** One pass: blanks and comments, marks, quoted words, plain words (`${name}` holds braces). */
const pattern =
  /\s+|#[^\n]*|[;{}]|"((?:\\[\s\S]|[^"\\])*)"|'((?:\\[\s\S]|[^'\\])*)'|((?:\$\{[^}]*\}|\\[\s\S]|[^\s;{}"'\\])+)/y;

function words(text: string): Parsed<Word[]> {
  const found: Word[] = [];
  let line = 1;
  pattern.lastIndex = 0;
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (!match) return { ok: false, problem: `line ${line}: a quote is not closed` };
    const [whole, double, single, plain] = match;
    const mark = marks[whole];
    const word = double ?? single ?? plain;
    if (mark) found.push({ kind: mark, text: whole, line });
    else if (word !== undefined)
      found.push({ kind: 'word', text: word.replace(/\\(["'\\;{} ])/g, '$1'), line });
    line += whole.split('\n').length - 1;
  }
  return { ok: true, value: found };
}

/** A proxy configuration does not nest deeper than this. */
const maxDepth = 32;

export function parseNginx(text: string): Parsed<readonly Directive[]> {
  const split = words(text);
  if (!split.ok) return split;
  const all = split.value;
  let at = 0;
  const block = (depth: number): Directive[] => {
    const directives: Directive[] = [];
    let pending: Word[] = [];
    for (let word = all[at]; word; word = all[at]) {
      at += 1;
      if (word.kind === 'word') {
        pending.push(word);
        continue;
      }
      const [name, ...args] = pending;
      if (word.kind === 'close') {
        if (name) throw new Error(`line ${name.line}: "${name.text}" does not end with ";"`);
        if (depth === 0) throw new Error(`line ${word.line}: "}" without "{"`);
        return directives;
      }
      pending = [];
      if (!name) throw new Error(`line ${word.line}: "${word.text}" without a directive`);
      const directive = { name: name.text, args: args.map((arg) => arg.text), line: name.line };
      if (word.kind === 'end') directives.push(directive);
      else if (depth >= maxDepth) throw new Error(`line ${word.line}: blocks are nested too deeply`);
      else directives.push({ ...directive, block: block(depth + 1) });
    }
    if (pending[0]) throw new Error(`line ${pending[0].line}: "${pending[0].text}" does not end with ";"`);
    if (depth > 0) throw new Error('a "{" is not closed');
    return directives;
  };
  try {
    return { ok: true, value: block(0) };
  } catch (error) {
    return { ok: false, problem: (error as Error).message };
  }
}

/** nginx's times: seconds, or with units, also several (`1h30m`); undefined for anything else. */
export function parseNginxTime(text: string): number | undefined {
  const units: Readonly<Record<string, number>> = {
    ms: 1,
    s: 1_000,
    m: 60_000,
    h: 3_600_000,
    d: 86_400_000,
    w: 7 * 86_400_000,
    M: 30 * 86_400_000,
    y: 365 * 86_400_000,
  };
  if (!/^(\d+(ms|[smhdwMy])?)+$/.test(text)) return undefined;
  return [...text.matchAll(/(\d+)(ms|[smhdwMy])?/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * (units[unit ?? 's'] ?? 0),
    0,
  );
}

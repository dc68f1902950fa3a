// HAProxy's configuration syntax: sections of lines of words, with quotes, escapes and comments. Pure. Own
// code: there is no package for it.
import type { Parsed } from '../model/endpoint.ts';

export interface Line {
  readonly words: readonly string[];
  readonly line: number;
  /** It uses environment variables, whose values are not known here. */
  readonly hasVariables: boolean;
}

export interface Section {
  /** `global`, `defaults`, `frontend`, `backend`, `listen`, or another one. */
  readonly keyword: string;
  readonly name: string;
  readonly line: number;
  /** The `defaults` section that `from NAME` asks for. */
  readonly from?: string;
  readonly lines: readonly Line[];
}

export const sectionKeywords: ReadonlySet<string> = new Set([
  'global',
  'defaults',
  'frontend',
  'backend',
  'listen',
  'cache',
  'crt-list',
  'crt-store',
  'fcgi-app',
  'http-errors',
  'log-forward',
  'log-profile',
  'mailers',
  'peers',
  'program',
  'resolvers',
  'ring',
  'traces',
  'userlist',
]);

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

/** The words of one line: configuration manual, section 2.2 (quoting and escaping). */
function splitLine(text: string): Parsed<{ words: string[]; hasVariables: boolean }> {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  let hasVariables = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] as string;
    if (quote === "'") {
      if (character === "'") quote = '';
      else word += character;
    } else if (character === '\\') {
      at += 1;
      const next = text[at] ?? '';
      word = (word ?? '') + (escapes[next] ?? next);
    } else if (quote === '"') {
      if (character === '"') quote = '';
      else {
        if (character === '$') hasVariables = true;
        word += character;
      }
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= '';
    } else if (character === '#') {
      break;
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + character;
    }
  }
  if (quote !== '') return { ok: false, problem: 'a quote is not closed' };
  if (word !== undefined) words.push(word);
  return { ok: true, value: { words, hasVariables } };
}

export function parseHaproxy(text: string): Parsed<readonly Section[]> {
  const sections: { keyword: string; name: string; line: number; from?: string; lines: Line[] }[] = [];
  for (const [index, content] of text.split(/\r?\n/).entries()) {
    const line = index + 1;
    const split = splitLine(content);
    if (!split.ok) return { ok: false, problem: `line ${line}: ${split.problem}` };
    const { words, hasVariables } = split.value;
    const [keyword, ...rest] = words;
    if (keyword === undefined) continue;
    if (sectionKeywords.has(keyword)) {
      const at = rest.indexOf('from');
      const from = at >= 0 ? rest[at + 1] : undefined;
      const name = at === 0 ? '' : (rest[0] ?? '');
      sections.push({ keyword, name, line, lines: [], ...(from !== undefined && { from }) });
      continue;
    }
    const section = sections.at(-1);
    if (!section) return { ok: false, problem: `line ${line}: "${keyword}" appears before any section` };
    section.lines.push({ words, line, hasVariables });
  }
  if (sections.length === 0) return { ok: false, problem: 'it has no sections' };
  return { ok: true, value: sections };
}

/** HAProxy's times: milliseconds, or one number with a unit; undefined for anything else. */
export function parseHaproxyTime(text: string): number | undefined {
  const units: Readonly<Record<string, number>> = {
    us: 0.001,
    ms: 1,
    s: 1_000,
    m: 60_000,
    h: 3_600_000,
    d: 86_400_000,
  };
  const match = /^(\d+)(us|ms|[smhd])?$/.exec(text);
  return match ? Math.ceil(Number(match[1]) * (units[match[2] ?? 'ms'] ?? 0)) : undefined;
}

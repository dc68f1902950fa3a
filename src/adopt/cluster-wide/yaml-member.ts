// One member at the top of a YAML text is given another value, and every other byte stays. Pure; proved by parsing.
import { isDeepStrictEqual } from 'node:util';
import { isMap, isScalar, parseDocument } from 'yaml';
import type { Parsed } from '../../model/endpoint.ts';
import { applyEdits, type TextEdit } from '../text-edit.ts';
import { insertion, pairOf, removal, valueEdit } from '../yaml-edit.ts';

export interface EditedText {
  readonly text: string;
  readonly edits: readonly TextEdit[];
}

const parsed = (text: string) => {
  const document = parseDocument(text, { prettyErrors: false, logLevel: 'silent' });
  return document.errors.length === 0 && isMap(document.contents) ? document : undefined;
};

/** The member's value where it is a string; undefined where there is none. */
export function memberOf(text: string, key: string): Parsed<string | undefined> {
  const document = parsed(text);
  if (!document) return { ok: false, problem: 'is not a YAML mapping' };
  const value: unknown = document.get(key);
  if (value === undefined || value === null || value === '') return { ok: true, value: undefined };
  return typeof value === 'string'
    ? { ok: true, value }
    : { ok: false, problem: `has a ${key} that is not text` };
}

/** `value` null: the member is to be absent. A new one is put behind `behind`. */
export function editMember(
  text: string,
  key: string,
  value: string | null,
  behind: string,
): Parsed<EditedText> {
  const document = parsed(text);
  if (!document || !isMap(document.contents)) return { ok: false, problem: 'is not a YAML mapping' };
  const map = document.contents;
  const pair = pairOf(map, key);
  const edits: TextEdit[] = [];
  if (value === null) {
    if (pair) edits.push(removal(text, map, pair));
  } else if (pair) {
    if (!isScalar(pair.value) || pair.value.value !== value) edits.push(valueEdit(text, pair, value));
  } else {
    const neighbour = pairOf(map, behind);
    if (!neighbour) return { ok: false, problem: `has no ${behind}` };
    edits.push(insertion(text, map, neighbour, { key, value }));
  }
  const edited = applyEdits(text, edits);
  const wanted = { ...(document.toJS() as object), [key]: value };
  if (value === null) delete (wanted as Record<string, unknown>)[key];
  if (!isDeepStrictEqual(parsed(edited)?.toJS(), wanted))
    return { ok: false, problem: 'is written in a way that cannot be changed safely' };
  return { ok: true, value: { text: edited, edits } };
}

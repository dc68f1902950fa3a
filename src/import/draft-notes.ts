// The notes of an import: what could not be applied as it is, one message for each directive of a line.

/**
 * `covered`: Fairlead does it another way, or always; `changed`: applied, with a difference; `dropped`: without
 * a counterpart; `todo`: needs manual work.
 */
export type NoteKind = 'covered' | 'changed' | 'dropped' | 'todo';

export interface Note {
  readonly kind: NoteKind;
  /** In ascending order; empty when the note is about the whole file. */
  readonly lines: readonly number[];
  /** The directive as it is written. */
  readonly directive: string;
  readonly text: string;
}

const kindOrder: readonly NoteKind[] = ['todo', 'changed', 'dropped', 'covered'];

interface DraftNote {
  kind: NoteKind;
  readonly line: number | undefined;
  readonly directive: string;
  readonly texts: string[];
}

export class DraftNotes {
  /** By line and directive. */
  readonly #notes = new Map<string, DraftNote>();

  /** A second note on a directive is added to the first; the more urgent kind counts. */
  add(kind: NoteKind, line: number | undefined, directive: string, text: string): void {
    const key = `${line ?? ''} ${directive}`;
    const note = this.#notes.get(key);
    if (!note) this.#notes.set(key, { kind, line, directive, texts: [text] });
    else {
      if (!note.texts.includes(text)) note.texts.push(text);
      if (kindOrder.indexOf(kind) < kindOrder.indexOf(note.kind)) note.kind = kind;
    }
  }

  /** The most urgent first, then by line. Equal ones on several lines become one. */
  sorted(): Note[] {
    const byText = new Map<string, { note: DraftNote; lines: number[] }>();
    for (const note of this.#notes.values()) {
      const key = JSON.stringify([note.kind, note.directive, note.texts]);
      const same = byText.get(key) ?? { note, lines: [] };
      if (note.line !== undefined) same.lines.push(note.line);
      byText.set(key, same);
    }
    return [...byText.values()]
      .map(({ note: { kind, directive, texts }, lines }) => ({
        kind,
        directive,
        text: texts.join('; '),
        lines: lines.sort((a, b) => a - b),
      }))
      .sort(
        (a, b) =>
          kindOrder.indexOf(a.kind) - kindOrder.indexOf(b.kind) || (a.lines[0] ?? 0) - (b.lines[0] ?? 0),
      );
  }
}

/** `todo: line 3, 4: worker_processes 2: ...`, for people. */
export function formatNote(name: string, { kind, lines, directive, text }: Note): string {
  const place = lines.length === 0 ? name : `${name}:${lines.join(',')}`;
  return `${place}: ${directive}: ${kind}: ${text}`;
}

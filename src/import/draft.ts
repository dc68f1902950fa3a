// The Fairlead configuration that an import puts together, with the line that each setting comes from, and
// the notes on everything that could not be applied as it is.
import * as v from 'valibot';
import { stringify } from 'yaml';
import { formatDuration } from '../config/duration.ts';
import { sectionLines } from '../config/paths.ts';
import { isLoopback, isWildcard } from '../model/host.ts';
import { type SettingKey, settingKeys, settingOf } from '../config/settings.ts';
import { formatHostPort, type HostPort, parseHostPort } from '../model/endpoint.ts';

/**
 * `covered`: Fairlead does it another way, or always; `changed`: applied, with a difference; `dropped`: there
 * is no counterpart; `todo`: something has to be done by hand.
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

export interface Imported {
  /** A configuration file. */
  readonly yaml: string;
  readonly notes: readonly Note[];
}

/** Where a value, or one item of a list, comes from; no lines: not from the file. */
type Origin = readonly number[];

interface Value {
  readonly raw: unknown;
  /** One for the value, or one for each item of a list. */
  readonly origins: readonly Origin[];
}

/** One address among others of a host: it may move from host to host. */
const isVirtual = (host: string) => !isLoopback(host) && !isWildcard(host);

const writtenOrigin = (lines: Origin = []) => (lines.length === 0 ? '' : ` # line ${lines.join(', ')}`);

const kindOrder: readonly NoteKind[] = ['todo', 'changed', 'dropped', 'covered'];

export interface ImportOptions {
  /** What the notes and the file call the other file. */
  readonly name: string;
  /** Kubeconfig to take credentials and CA from. */
  readonly kubeconfig?: string;
}

/** What a listener says beside its address. */
export interface ListenerOptions {
  readonly acceptProxyFrom?: readonly string[];
}

export class Draft {
  readonly #options: ImportOptions;
  readonly #values = new Map<SettingKey, Value>();
  readonly #notes = new Map<
    string,
    { kind: NoteKind; lines: Set<number>; directive: string; text: string }
  >();
  readonly #endpoints: { text: string; line: number }[] = [];
  readonly #listeners: { text: string; line: number; options: ListenerOptions }[] = [];
  #sendsProxy = false;

  constructor(options: ImportOptions) {
    this.#options = options;
    const { kubeconfig } = options;
    if (kubeconfig !== undefined)
      this.#values.set('credentials.kubeconfig', { raw: kubeconfig, origins: [] });
  }

  /** Equal notes on several lines become one. */
  note(kind: NoteKind, line: number | undefined, directive: string, text: string): void {
    const key = `${kind} ${directive} ${text}`;
    const note = this.#notes.get(key) ?? { kind, lines: new Set(), directive, text };
    if (line !== undefined) note.lines.add(line);
    this.#notes.set(key, note);
  }

  has(key: SettingKey): boolean {
    return this.#values.has(key);
  }

  /** Sets a value as YAML would have it; one that the setting does not take is dropped, with a note. */
  set(
    key: SettingKey,
    raw: unknown,
    line: number,
    directive: string,
    origins: readonly Origin[] = [[line]],
  ): void {
    const result = v.safeParse(settingOf(key).schema, raw);
    if (result.success) this.#values.set(key, { raw, origins });
    else this.note('dropped', line, directive, `${key} ${result.issues[0].message}`);
  }

  /** What a duration is now: as it was set, else its default. */
  durationMs(key: SettingKey): number {
    const { schema, fallback } = settingOf(key);
    return v.parse(schema, this.#values.get(key)?.raw ?? fallback) as number;
  }

  setDuration(key: SettingKey, durationMs: number | undefined, line: number, directive: string): void {
    if (durationMs === undefined) this.note('dropped', line, directive, 'is not a time that could be read');
    else this.set(key, formatDuration(durationMs), line, directive);
  }

  endpoint({ host, port }: HostPort, line: number, directive: string): void {
    const text = formatHostPort({ host, port });
    const parsed = parseHostPort(text);
    if (!parsed.ok)
      this.note('dropped', line, directive, `is no API server that could be used: ${parsed.problem}`);
    else if (!this.#endpoints.some((known) => known.text === text)) this.#endpoints.push({ text, line });
  }

  /** A listener; one that other hosts can reach has to be allowed explicitly. */
  listener({ host, port }: HostPort, line: number, directive: string, options: ListenerOptions = {}): void {
    const own = host === 'localhost' ? '127.0.0.1' : host;
    const text = formatHostPort({ host: own, port });
    const result = v.safeParse(settingOf('listeners').schema, [text]);
    if (!result.success) {
      this.note('dropped', line, directive, `is no address to listen on: ${result.issues[0].message}`);
      return;
    }
    if (!this.#listeners.some((known) => known.text === text))
      this.#listeners.push({
        text,
        line,
        options: { ...options, ...(isVirtual(own) && { waitForAddress: true }) },
      });
    if (isLoopback(own)) return;
    this.set('allowNonLoopback', true, line, directive);
    this.note(
      'changed',
      line,
      directive,
      'other hosts can reach this address; Fairlead has to be told so (allowNonLoopback)',
    );
    if (!isVirtual(own)) return;
    const waits = 'should the host not have the address (a VIP), Fairlead waits for it (waitForAddress)';
    this.note('changed', line, directive, waits);
  }

  /** Every connection to a server begins with a PROXY header. */
  sendProxy(): void {
    this.#sendsProxy = true;
  }

  /** Fairlead verifies API servers where the other proxy did not, and needs a CA for it. */
  needsCa(line: number | undefined, directive: string, text: string): void {
    const hasCa = this.#options.kubeconfig !== undefined;
    const how = hasCa
      ? 'with the CA of the kubeconfig'
      : 'give it the CA (--kubeconfig, or credentials.caFile)';
    this.note(hasCa ? 'changed' : 'todo', line, directive, `${text}: ${how}`);
  }

  /** The health port of the proxy becomes the admin server's, which stays on loopback. */
  admin({ host, port }: HostPort, line: number, directive: string): void {
    const own = isLoopback(host) && host !== 'localhost' ? host : '127.0.0.1';
    if (this.has('admin')) {
      this.note('covered', line, directive, 'the admin server has one address');
      return;
    }
    this.set('admin', formatHostPort({ host: own, port }), line, directive);
    const moved = own === host ? '' : `only on ${own}, so that a probe needs "host: ${own}"; `;
    this.note(
      'changed',
      line,
      directive,
      `${moved}for readiness ask /readyz, as /healthz answers 200 whatever the API servers do`,
    );
  }

  get hasEndpoints(): boolean {
    return this.#endpoints.length > 0;
  }

  get hasListeners(): boolean {
    return this.#listeners.length > 0;
  }

  finish(): Imported {
    const listeners = this.#listeners.map(({ text, line, options }) => {
      const said = { ...options, ...(this.#sendsProxy && { sendProxy: true }) };
      return { line, raw: Object.keys(said).length === 0 ? text : { address: text, ...said } };
    });
    const endpoints = this.#endpoints.map(({ text, line }) => ({ line, raw: text }));
    for (const [key, list] of [
      ['listeners', listeners],
      ['endpoints', endpoints],
    ] as const) {
      const origins = list.map(({ line }) => [line]);
      if (list.length > 0) this.#values.set(key, { raw: list.map(({ raw }) => raw), origins });
    }
    const notes = [...this.#notes.values()]
      .map((note) => ({ ...note, lines: [...note.lines].sort((a, b) => a - b) }))
      .sort(
        (a, b) =>
          kindOrder.indexOf(a.kind) - kindOrder.indexOf(b.kind) || (a.lines[0] ?? 0) - (b.lines[0] ?? 0),
      );
    return { yaml: this.#yaml(), notes };
  }

  /** As `config print` writes it, with the place of each value in the other file. */
  #yaml(): string {
    const written: string[] = [`# Made by fairlead import from ${this.#options.name}.`];
    let previous: string | undefined;
    for (const key of settingKeys) {
      const value = this.#values.get(key);
      if (!value) continue;
      written.push(...sectionLines(previous, key));
      previous = key;
      const names = key.split('.');
      const leaf = names.at(-1);
      const indent = '  '.repeat(names.length - 1);
      const { raw, origins } = value;
      if (Array.isArray(raw)) {
        written.push(`${indent}${leaf}:`);
        for (const [index, item] of raw.entries()) {
          written.push(`${indent}  - ${JSON.stringify(item)}${writtenOrigin(origins[index])}`);
        }
      } else {
        const text = stringify(raw, { lineWidth: 0 }).trimEnd();
        written.push(`${indent}${leaf}: ${text}${writtenOrigin(origins[0])}`);
      }
    }
    return `${written.join('\n')}\n`;
  }
}

/** `todo: line 3, 4: worker_processes 2: ...`, for people. */
export function formatNote(name: string, { kind, lines, directive, text }: Note): string {
  const place = lines.length === 0 ? name : `${name}:${lines.join(',')}`;
  return `${place}: ${directive}: ${kind}: ${text}`;
}

// Which lines of an HAProxy configuration have been dealt with, so that each is accounted for once.
import type { Line, Section } from './haproxy-syntax.ts';

/** A proxy section with the `defaults` that hold for it. */
export interface ProxySection {
  readonly section: Section;
  readonly defaults: readonly Line[];
}

export const is = ({ words }: Line, ...start: readonly string[]) =>
  start.every((word, index) => words[index] === word);

export class LineUse {
  readonly #done = new Set<Line>();
  /** Lines of defaults or sections that a later one overrides, in some section at least. */
  readonly #overridden = new Set<Line>();
  readonly #used = new Set<Line>();

  /** The line that counts: the last one of the section, else of its defaults. Both are dealt with by that. */
  find({ section, defaults }: ProxySection, ...start: readonly string[]): Line | undefined {
    const [own, inherited] = [section.lines, defaults].map((lines) =>
      lines.filter((line) => is(line, ...start)),
    );
    const found = own?.at(-1) ?? inherited?.at(-1);
    for (const line of [...(own ?? []), ...(inherited ?? [])]) {
      this.#done.add(line);
      if (line === found) this.#used.add(line);
      else this.#overridden.add(line);
    }
    return found && this.#isSwitchedOff(section, start) ? undefined : found;
  }

  /** `no option redispatch`. */
  #isSwitchedOff(section: Section, start: readonly string[]): boolean {
    const off = section.lines.find((line) => is(line, 'no', ...start));
    if (off) this.#done.add(off);
    return off !== undefined;
  }

  all({ section, defaults }: ProxySection, keyword: string): Line[] {
    const found = [...defaults, ...section.lines].filter((line) => is(line, keyword));
    for (const line of found) this.#done.add(line);
    return found;
  }

  done(line: Line): void {
    this.#done.add(line);
  }

  isDone(line: Line): boolean {
    return this.#done.has(line);
  }

  /** Those that no section uses, because another line counts in each. */
  get onlyOverridden(): Line[] {
    return [...this.#overridden].filter((line) => !this.#used.has(line));
  }
}

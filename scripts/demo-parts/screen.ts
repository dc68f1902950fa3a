// A terminal that is drawn again and again. On the alternate screen, so that what was there before comes back;
// or, `below` what has been printed, in place.
const alternate = { on: '\x1b[?1049h\x1b[?25l', off: '\x1b[?25h\x1b[?1049l' };

export class Screen {
  readonly #out: NodeJS.WriteStream;
  #mode: 'off' | 'full' | 'below' = 'off';
  #drawn = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  get size(): { width: number; height: number } {
    return { width: this.#out.columns ?? 80, height: this.#out.rows ?? 24 };
  }

  full(): void {
    this.#mode = 'full';
    this.#out.write(alternate.on);
  }

  below(): void {
    this.#mode = 'below';
    this.#drawn = 0;
    this.#out.write('\x1b[?25l');
  }

  draw(lines: readonly string[]): void {
    if (this.#mode === 'off') return;
    const shown = lines.slice(0, this.size.height - (this.#mode === 'full' ? 0 : 1));
    // No wrapping: a line that is too long is cut by the terminal.
    const text = `\x1b[?7l${shown.map((line) => `\x1b[2K${line}`).join('\n')}\x1b[J\x1b[?7h`;
    const up = this.#drawn > 1 ? `\x1b[${this.#drawn - 1}A` : '';
    this.#out.write(`${this.#mode === 'full' ? '\x1b[H' : `\r${up}`}${text}`);
    this.#drawn = shown.length;
  }

  /** Gives the terminal back. Idempotent. */
  close(): void {
    if (this.#mode === 'full') this.#out.write(alternate.off);
    if (this.#mode === 'below') this.#out.write('\x1b[?25h\n');
    this.#mode = 'off';
  }
}

// The times of HAProxy's tunnels. Fairlead has one idle timeout and one half-close timeout for all pools.
import type { Draft } from './draft.ts';
import { shownLine } from './haproxy-check.ts';
import type { LineUse, ProxySection } from './haproxy-lines.ts';
import { type Line, parseHaproxyTime } from './haproxy-syntax.ts';

export class Timeouts {
  readonly #draft: Draft;
  readonly #lines: LineUse;
  /** Times that have been dealt with. */
  readonly #timed = new Set<Line>();

  constructor(draft: Draft, lines: LineUse) {
    this.#draft = draft;
    this.#lines = lines;
  }

  /** HAProxy ends a tunnel when either side has been idle for its time, unless `timeout tunnel` says another. */
  apply(front: ProxySection, backend: ProxySection): void {
    const [client, server, tunnel] = [
      this.#lines.find(front, 'timeout', 'client'),
      this.#lines.find(backend, 'timeout', 'server'),
      this.#lines.find(backend, 'timeout', 'tunnel') ?? this.#lines.find(front, 'timeout', 'tunnel'),
    ];
    const timed = (tunnel ? [tunnel] : [client, server]).flatMap((line) => {
      const ms = line && parseHaproxyTime(line.words[2] ?? '');
      return line && ms !== undefined ? [{ line, ms }] : [];
    });
    if (this.#draft.has('tunnels.idleTimeout')) {
      for (const line of [client, server, tunnel]) {
        if (!line || this.#timed.has(line)) continue;
        this.#timed.add(line);
        const text = 'tunnels.idleTimeout is one time for all pools, and is set already';
        this.#draft.note('dropped', line.line, shownLine(line), text);
      }
    }
    const shortest = timed.sort((a, b) => a.ms - b.ms).find(({ line }) => !this.#timed.has(line));
    const isFirst = !this.#draft.has('tunnels.idleTimeout');
    for (const line of [client, server, tunnel]) {
      if (!line || this.#timed.has(line)) continue;
      this.#timed.add(line);
      if (line === shortest?.line) continue;
      const isTime = parseHaproxyTime(line.words[2] ?? '') !== undefined;
      const why = isTime ? 'the shorter timeout (or timeout tunnel) applies' : 'is not a valid time';
      this.#draft.note(isTime ? 'covered' : 'dropped', line.line, shownLine(line), why);
    }
    if (
      isFirst &&
      shortest &&
      this.#draft.setDuration(
        'tunnels.idleTimeout',
        shortest.ms,
        shortest.line.line,
        shownLine(shortest.line),
      )
    ) {
      this.#draft.note(
        'changed',
        shortest.line.line,
        shownLine(shortest.line),
        'applied as tunnels.idleTimeout; it is off by default, because keepalive detects vanished hosts and a quiet watch is normal',
      );
    }
    const half = [
      this.#lines.find(front, 'timeout', 'client-fin'),
      this.#lines.find(backend, 'timeout', 'server-fin'),
    ];
    for (const line of half) {
      if (!line || this.#timed.has(line)) continue;
      this.#timed.add(line);
      if (this.#draft.has('tunnels.halfCloseTimeout')) {
        const text = 'tunnels.halfCloseTimeout is one time for all pools, and is set already';
        this.#draft.note('covered', line.line, shownLine(line), text);
      } else
        this.#draft.setDuration(
          'tunnels.halfCloseTimeout',
          parseHaproxyTime(line.words[2] ?? ''),
          line.line,
          shownLine(line),
        );
    }
  }
}

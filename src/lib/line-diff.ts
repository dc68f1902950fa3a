// The difference of two short texts by lines, as a unified diff without context. Pure.

/** Beyond this the common middle is not looked for: everything between is shown as changed. */
const maxCells = 4_000_000;

const linesOf = (text: string) => {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
};

export function lineDiff(name: string, before: string, after: string): string {
  const [a, b] = [linesOf(before), linesOf(after)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end])
    end += 1;
  const hunks = changes(a.slice(start, a.length - end), b.slice(start, b.length - end));
  if (hunks.length === 0) return '';
  const lines = [`--- ${name}`, `+++ ${name}`];
  for (const { at, removed, toAt, added } of hunks) {
    const place = (index: number, count: number) => `${start + index + (count === 0 ? 0 : 1)},${count}`;
    lines.push(`@@ -${place(at, removed.length)} +${place(toAt, added.length)} @@`);
    lines.push(...removed.map((line) => `-${line}`), ...added.map((line) => `+${line}`));
  }
  return `${lines.join('\n')}\n`;
}

interface Hunk {
  readonly at: number;
  readonly removed: string[];
  readonly toAt: number;
  readonly added: string[];
}

/** By the longest common subsequence. */
function changes(a: readonly string[], b: readonly string[]): Hunk[] {
  if (a.length === 0 && b.length === 0) return [];
  if (a.length * b.length > maxCells) return [{ at: 0, removed: [...a], toAt: 0, added: [...b] }];
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  const length = (i: number, j: number) => lengths[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] =
        a[i] === b[j] ? length(i + 1, j + 1) + 1 : Math.max(length(i + 1, j), length(i, j + 1));
    }
  }
  const hunks: Hunk[] = [];
  let [i, j] = [0, 0];
  let open: Hunk | undefined;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      open = undefined;
      i += 1;
      j += 1;
      continue;
    }
    if (!open) {
      open = { at: i, removed: [], toAt: j, added: [] };
      hunks.push(open);
    }
    if (j >= b.length || (i < a.length && length(i + 1, j) >= length(i, j + 1))) {
      open.removed.push(a[i] as string);
      i += 1;
    } else {
      open.added.push(b[j] as string);
      j += 1;
    }
  }
  return hunks;
}

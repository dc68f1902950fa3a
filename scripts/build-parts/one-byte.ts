// V8 keeps a program's text for as long as it runs: in one byte a character, or in two when a single character needs
// them. A few ellipses in comments of bundled packages doubled it, by 1.75 MiB.

const wide = /[\u0100-\uffff]/g;
const commentLine = /^\s*(?:\/\/|\/\*|\*).*$/gm;

/** Replaces such characters in whole-line comments; fails where they are anywhere else, as esbuild escapes those. */
export function oneByte(program: string): string {
  const text = program.replace(commentLine, (line) => line.replace(wide, '?'));
  const [found] = wide.exec(text) ?? [];
  wide.lastIndex = 0;
  if (found !== undefined) throw new Error(`the bundle has "${found}" outside a comment line: escape it`);
  return text;
}

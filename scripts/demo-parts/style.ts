// Colours and columns for a terminal. Without colours everything still says what it means.
const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const;

export type Colour = keyof typeof codes;
export type Paint = (colour: Colour, text: string) => string;

export function paintWith(isColoured: boolean): Paint {
  return (colour, text) => (isColoured && text ? `\x1b[${codes[colour]}m${text}\x1b[0m` : text);
}

/** Left-aligned, cut to the width. */
export function cell(text: string | number, width: number): string {
  return String(text).slice(0, width).padEnd(width);
}

/** Right-aligned. */
export function number(text: string | number, width: number): string {
  return String(text).padStart(width);
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 9_995 ? 2 : 1)} s`;
}

export function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}

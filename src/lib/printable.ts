// Text that others wrote, made safe for a terminal: an escape sequence could change what is shown before and after it.
// Pure.

/** C0, DEL and C1; line and paragraph separators; what changes the direction of text, and what is not seen. */
const unsafe =
  /[\p{Cc}\p{Zl}\p{Zp}\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+/gu;

/** `text` on one line, without control characters, at most `maxLength` long. */
export function printable(text: string, maxLength: number): string {
  // Cut first: what is long is not worth looking through.
  const short = text
    .slice(0, 4 * maxLength)
    .replace(unsafe, ' ')
    .trim()
    .toWellFormed();
  return short.length > maxLength ? `${short.slice(0, maxLength - 3).toWellFormed()}...` : short;
}

// Parses JSON that comes from elsewhere. The length of a text does not bound what JSON.parse makes of it: eight million
// brackets became 665 MB and stopped the process for 1.6 s. So the brackets are counted first, which costs about a
// millisecond for a megabyte.

export interface JsonBounds {
  /** Objects and arrays within each other. */
  readonly maxDepth: number;
  /** Objects and arrays in all. */
  readonly maxContainers: number;
}

/**
 * An EndpointSlice of 1,000 endpoints with everything that a slice can say of each has 8,000 containers, a list of
 * 500 ConfigMaps with their managed fields 12,000; no object of Kubernetes is more than 25 deep.
 */
export const defaultJsonBounds: JsonBounds = { maxDepth: 64, maxContainers: 50_000 };

export type JsonReading =
  | { readonly ok: true; readonly value: unknown }
  /** `is not JSON`, `nests deeper than 64`: what the text is, for a sentence. */
  | { readonly ok: false; readonly problem: string };

export function readJson(text: string, bounds: JsonBounds = defaultJsonBounds): JsonReading {
  const problem = beyond(text, bounds);
  if (problem !== undefined) return { ok: false, problem };
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch {
    return { ok: false, problem: 'is not JSON' };
  }
}

/** What a JSON text says; undefined when it is not JSON, or beyond the bounds. */
export function parseJson(text: string): unknown {
  const reading = readJson(text);
  return reading.ok ? reading.value : undefined;
}

const quote = 34;
const backslash = 92;
const openArray = 91;
const closeArray = 93;
const openObject = 123;
const closeObject = 125;

/** Which bound the text breaks, if one. A text that is not JSON may be counted wrongly; JSON.parse refuses it. */
function beyond(text: string, { maxDepth, maxContainers }: JsonBounds): string | undefined {
  let depth = 0;
  let containers = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === openArray || code === openObject) {
      depth += 1;
      containers += 1;
      if (depth > maxDepth) return `nests deeper than ${maxDepth}`;
      if (containers > maxContainers) return `has more than ${maxContainers} objects and arrays`;
    } else if (code === closeArray || code === closeObject) depth -= 1;
    else if (code === quote) at = endOfString(text, at);
  }
  return undefined;
}

/** Where the string that begins at `at` ends. */
function endOfString(text: string, at: number): number {
  let end = at + 1;
  for (;;) {
    end = text.indexOf('"', end);
    if (end < 0) return text.length;
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes += 1;
    if (escapes % 2 === 0) return end;
    end += 1;
  }
}

// What is wrong with a configuration, in a form that can be shown to people: all problems at once, each
// with where the value came from, its path, what was found and what would be right.

export interface Problem {
  /** Where it was said: `fairlead.yaml:3:13`, `FAIRLEAD_LOG_LEVEL`, `--listen`. */
  readonly source: string;
  /** The setting, `health.interval` or `listeners[0].address`; empty when the whole source is meant. */
  readonly path: string;
  /** What would be right, as a phrase: `must be one of https, tcp`. */
  readonly right: string;
  /** The value found, ready to print; absent where there is none to show. */
  readonly found?: string;
  /** What was probably meant. */
  readonly suggestion?: string;
  /** The source could not be read at all, as opposed to saying something wrong. */
  readonly isUnreadable?: boolean;
}

export function formatProblem({ source, path, right, found, suggestion }: Problem): string {
  const head = path === '' ? source : `${source}: ${path}`;
  const tail = found === undefined ? '' : `; found ${found}`;
  return `${head}: ${right}${tail}${suggestion === undefined ? '' : `; did you mean ${suggestion}?`}`;
}

const maxShownLength = 80;

/** True for PEM and for what begins like a JSON web token. */
export function looksSecret(text: string): boolean {
  return /-----BEGIN|^eyJ/.test(text);
}

/** A value for a message: JSON, shortened; what looks like a key or a token is not repeated. */
export function showValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string' && looksSecret(value)) return 'what looks like a key or a token (not shown)';
  if (typeof value === 'bigint' || typeof value === 'number') return String(value);
  const text = toJson(value);
  return text.length > maxShownLength ? `${text.slice(0, maxShownLength)}...` : text;
}

function toJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    // A YAML anchor can make a list that contains itself.
    return 'a value that cannot be shown';
  }
}

export type PathSegment = string | number;

/** `['listeners', 0, 'address']` as `listeners[0].address`. */
export function formatPath(segments: readonly PathSegment[]): string {
  return segments
    .map((segment, index) => (typeof segment === 'number' ? `[${segment}]` : index ? `.${segment}` : segment))
    .join('');
}

// Narrows what comes from outside (JSON, YAML, objects of the API) to something that can be looked into.

/** The members of a JSON object or a YAML mapping. */
export type Fields = Readonly<Record<string, unknown>>;

/** True for an object with members: not for null and not for a list. */
export function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value's members; none when it is something else. */
export function fieldsOf(value: unknown): Fields {
  return isRecord(value) ? value : {};
}

/** The items of a list; none when the value is something else. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function isString(value: unknown): value is string {
  return typeof value === 'string';
}

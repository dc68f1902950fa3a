// Nested objects, and the sections of a YAML file, by the paths of settings: `balance.rebalance.over`.

/** The value at `path`; undefined where a part of the way is missing. */
export function valueAt(root: object, path: string): unknown {
  let value: unknown = root;
  for (const name of path.split('.')) value = (value as Record<string, unknown> | undefined)?.[name];
  return value;
}

/** Sets the value at `path`, and makes the objects on the way that are missing. */
export function setValueAt(root: Record<string, unknown>, path: string, value: unknown): void {
  const names = path.split('.');
  const last = names.pop() ?? path;
  let object = root;
  for (const name of names) {
    object[name] ??= {};
    object = object[name] as Record<string, unknown>;
  }
  object[last] = value;
}

/** The lines that open the sections of `key` in a YAML file in which `previous` is the setting before it. */
export function sectionLines(previous: string | undefined, key: string): string[] {
  const open = previous?.split('.').slice(0, -1) ?? [];
  const sections = key.split('.').slice(0, -1);
  const first = sections.findIndex((section, depth) => open[depth] !== section);
  if (first < 0) return [];
  return sections.slice(first).map((section, index) => `${'  '.repeat(first + index)}${section}:`);
}

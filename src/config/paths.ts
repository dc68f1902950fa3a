// Nested objects by the paths of settings: `balance.rebalance.over`.

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

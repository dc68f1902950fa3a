// JSON merge patch (RFC 7386) and JSON patch (RFC 6902, without move, copy and test on deep structures).
import { badRequest, StatusError } from './status.ts';

type Json = Record<string, unknown>;

export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Json = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    // Directives of strategic merge patches are no fields.
    else if (!name.startsWith('$')) result[name] = applyMergePatch(result[name], value);
  }
  return result;
}

export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw new StatusError(badRequest('a JSON patch is a list of operations'));
  const result = structuredClone(target);
  for (const { op, path, value } of patch as { op: string; path: string; value?: unknown }[]) {
    const steps = path
      .split('/')
      .slice(1)
      .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = steps.pop() ?? '';
    let parent: unknown = result;
    for (const step of steps) parent = isContainer(parent) ? parent[step] : undefined;
    if (!isContainer(parent)) throw new StatusError(badRequest(`the path ${path} does not exist`));
    if (Array.isArray(parent)) {
      const index = last === '-' ? parent.length : Number(last);
      parent.splice(index, op === 'add' ? 0 : 1, ...(op === 'remove' ? [] : [value]));
    } else if (op === 'remove') {
      delete parent[last];
    } else if (op === 'test') {
      if (JSON.stringify(parent[last]) !== JSON.stringify(value)) {
        throw new StatusError(badRequest(`the test of ${path} failed`));
      }
    } else {
      parent[last] = value;
    }
  }
  return result;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isContainer(value: unknown): value is Json {
  return typeof value === 'object' && value !== null;
}

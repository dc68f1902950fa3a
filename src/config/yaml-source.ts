// Settings from a YAML file: parses, finds every key that is not a setting, and remembers the line and
// column of each value. Loaded only when there is a configuration file: the parser costs start-up time.
import {
  type Alias,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  visit,
} from 'yaml';
import { formatPath, type PathSegment, type Problem, showValue } from './problem.ts';
import { isSettingKey, type SettingKey, settingKeys, settingOf } from './settings.ts';
import type { Entry, Source } from './source.ts';
import { suggest } from './suggest.ts';

/** Aliases may multiply what they name by this much at most; a configuration needs none. */
const maxAliasCount = 100;

/** Reads `text`; `name` is what messages call the file. */
export function readYaml(text: string, name: string): Source {
  const entries = new Map<SettingKey, Entry>();
  const problems: Problem[] = [];
  const lines = new LineCounter();
  const at = (offset: number | undefined) => {
    if (offset === undefined) return name;
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  const source = (more: readonly Problem[]): Source => ({ entries, problems: [...problems, ...more] });

  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const [document, second] = 'empty' in documents ? [] : documents;
  for (const { errors, warnings } of document ? documents : []) {
    for (const { message, pos } of [...errors, ...warnings]) {
      problems.push({
        source: at(pos[0]),
        path: '',
        right: `not valid YAML: ${message}`,
        isUnreadable: true,
      });
    }
  }
  if (!document || (document.contents === null && problems.length === 0)) {
    const right = 'is empty; write {} to use the defaults';
    return source([{ source: name, path: '', right, isUnreadable: true }]);
  }
  if (second) {
    const right = 'must be one YAML document; a second one begins here';
    problems.push({ source: at(second.range?.[0]), path: '', right, isUnreadable: true });
  }
  // A document with errors has holes; what is missing from it would be reported as well, wrongly.
  if (problems.length > 0) return source([]);

  const root = document.contents;
  if (!isMap(root)) {
    const right = 'must be a map of settings, such as "endpoints: [10.0.0.1:6443]"';
    return source([
      { source: at(root?.range?.[0]), path: '', right, found: kindOf(root), isUnreadable: true },
    ]);
  }
  let values: unknown;
  try {
    values = document.toJS({ maxAliasCount });
  } catch (error) {
    const right = `not usable YAML: ${error instanceof Error ? error.message : String(error)}`;
    let dangling: Alias | undefined;
    visit(document, {
      Alias(_key, alias) {
        dangling ??= alias.resolve(document) === undefined ? alias : undefined;
      },
    });
    return source([{ source: at(dangling?.range?.[0]), path: '', right, isUnreadable: true }]);
  }

  const resolve = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);

  /** The place of `path` below `start`, or of the nearest node on the way that exists. */
  const locate = (start: Node, path: readonly PathSegment[]): string => {
    let node = start;
    for (const segment of path) {
      const parent = resolve(node);
      let next: unknown;
      if (isSeq(parent)) next = parent.items[Number(segment)];
      else if (isMap(parent)) next = parent.items.find(({ key }) => nameOf(key) === String(segment))?.value;
      if (!isNode(next)) break;
      node = next;
    }
    return at(node.range?.[0]);
  };

  /** Reports the unknown members of the maps in a list. */
  const checkItems = (path: SettingKey, list: unknown): void => {
    const { itemKeys } = settingOf(path);
    if (!itemKeys || !isSeq(list)) return;
    for (const [index, item] of list.items.entries()) {
      const itemMap = resolve(item);
      for (const { key: keyNode } of isMap(itemMap) ? itemMap.items : []) {
        const key = nameOf(keyNode);
        if (itemKeys.includes(key)) continue;
        const suggestion = suggest(key, itemKeys);
        problems.push({
          source: at(isNode(keyNode) ? keyNode.range?.[0] : undefined),
          path: formatPath([path, index, key]),
          right: `is not known here; ${itemKeys.join(', ')} are`,
          ...(suggestion && { suggestion }),
        });
      }
    }
  };

  const walk = (node: Node, value: unknown, prefix: string): void => {
    const mapNode = resolve(node);
    if (!isMap(mapNode) || typeof value !== 'object' || value === null) return;
    const known = childrenOf(prefix);
    for (const { key: keyNode, value: child } of mapNode.items) {
      const key = nameOf(keyNode);
      const path = prefix ? `${prefix}.${key}` : key;
      const position = at(isNode(keyNode) ? keyNode.range?.[0] : undefined);
      const raw: unknown = Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
      if (isSettingKey(path)) {
        const valueNode = isNode(child) ? child : undefined;
        checkItems(path, resolve(valueNode));
        if (raw === null || raw === undefined) {
          const right = 'must have a value; remove the key to use the default';
          problems.push({ source: position, path, right, found: 'nothing' });
          continue;
        }
        entries.set(path, {
          raw,
          locate: (within = []) => (valueNode ? locate(valueNode, within) : position),
        });
      } else if (known.has(key)) {
        // A section whose settings are all commented out says nothing, and that is fine.
        if (raw === null) continue;
        if (isNode(child) && isMap(resolve(child))) walk(child, raw, path);
        else {
          const right = `must be a map with ${[...childrenOf(path)].join(', ')}`;
          problems.push({ source: position, path, right, found: showValue(raw) });
        }
      } else {
        const suggestion = suggestKey(key, prefix, [...known]);
        problems.push({
          source: position,
          path: path === '' ? '""' : path,
          right: 'is not a setting',
          ...(suggestion && { suggestion }),
        });
      }
    }
  };
  walk(root, values, '');
  return source([]);
}

function nameOf(key: unknown): string {
  return isScalar(key) ? String(key.value) : String(key);
}

function kindOf(node: unknown): string {
  if (isSeq(node)) return 'a list';
  return isScalar(node) ? showValue(node.value) : 'something else';
}

/** The names that may stand under `prefix`: settings and sections. */
function childrenOf(prefix: string): Set<string> {
  const start = prefix ? `${prefix}.` : '';
  return new Set(
    settingKeys
      .filter((key) => key.startsWith(start))
      .map((key) => key.slice(start.length).split('.')[0] ?? ''),
  );
}

/** A name of the same section that is near, else the full path of a setting that ends like this. */
function suggestKey(key: string, prefix: string, siblings: readonly string[]): string | undefined {
  const sibling = suggest(key, siblings);
  if (sibling) return prefix ? `${prefix}.${sibling}` : sibling;
  const path = prefix ? `${prefix}.${key}` : key;
  return settingKeys.find((known) => known.endsWith(`.${key}`)) ?? suggest(path, settingKeys);
}

// Label and field selectors of list and watch requests.
import type { KubeObject } from './objects.ts';
import { badRequest, StatusError } from './status.ts';

export type Matcher = (object: KubeObject) => boolean;

const fields: Record<string, (object: KubeObject) => string | undefined> = {
  'metadata.name': (object) => object.metadata.name,
  'metadata.namespace': (object) => object.metadata.namespace,
};

/** Parses `a=b,c!=d,e in (f,g),h notin (i),j,!k`. */
export function parseLabelSelector(text: string): Matcher {
  const matchers: Matcher[] = [];
  for (const part of text.match(/(?:[^,(]|\([^)]*\))+/g) ?? []) {
    const set = /^\s*(\S+)\s+(in|notin)\s*\(([^)]*)\)\s*$/.exec(part);
    const equality = /^\s*([^\s!=]+)\s*(==|!=|=)\s*([^\s=]*)\s*$/.exec(part);
    const existence = /^\s*(!?)\s*([^\s!=()]+)\s*$/.exec(part);
    if (set) {
      const [, key = '', operator, list = ''] = set;
      const values = list.split(',').map((value) => value.trim());
      const isIn = operator === 'in';
      matchers.push((object) => values.includes(object.metadata.labels?.[key] ?? '\0') === isIn);
    } else if (equality) {
      const [, key = '', operator, value] = equality;
      const isEqual = operator !== '!=';
      matchers.push((object) => (object.metadata.labels?.[key] === value) === isEqual);
    } else if (existence) {
      const [, not, key = ''] = existence;
      matchers.push((object) => Object.hasOwn(object.metadata.labels ?? {}, key) === !not);
    } else {
      throw new StatusError(badRequest(`unable to parse requirement: found '${part.trim()}'`));
    }
  }
  return (object) => matchers.every((matches) => matches(object));
}

/** Parses `metadata.name=x,metadata.namespace!=y`; other fields are refused as by a real API server. */
export function parseFieldSelector(text: string): Matcher {
  const matchers = text
    .split(',')
    .filter(Boolean)
    .map((part): Matcher => {
      const [, field = '', operator, value] = /^\s*([^!=]+?)\s*(==|!=|=)\s*(.*?)\s*$/.exec(part) ?? [];
      const read = fields[field];
      if (!read) throw new StatusError(badRequest(`field label not supported: ${field || part}`));
      return (object) => (read(object) === value) === (operator !== '!=');
    });
  return (object) => matchers.every((matches) => matches(object));
}

// Which proxy a configuration belongs to. Pure.
import { sectionKeywords } from './haproxy-syntax.ts';

export type ProxyKind = 'nginx' | 'haproxy';

/** HAProxy's files begin with a section; nginx's have no such words at the top. */
export function detectProxy(text: string): ProxyKind {
  const [first = ''] = text.replace(/^(\s*#[^\n]*\n|\s+)*/, '').split(/[\s;{]/, 1);
  return sectionKeywords.has(first) ? 'haproxy' : 'nginx';
}

// The proxies of an HAProxy configuration, each with the defaults that hold for it, and where a frontend leads.
import { is, type ProxySection } from './haproxy-lines.ts';
import { parseHaproxyAddress } from './haproxy-server.ts';
import type { Line, Section } from './haproxy-syntax.ts';

/** The port of kube-apiserver. */
export const hasApiServers = ({ section }: ProxySection) =>
  section.lines.some((line) => is(line, 'server') && parseHaproxyAddress(line.words[2] ?? '')?.port === 6443);

export const title = ({ keyword, name }: Section) => (name === '' ? keyword : `${keyword} ${name}`);

/** Each proxy with its defaults: the ones it names, else the last ones before it. */
export function proxiesOf(sections: readonly Section[]): ProxySection[] {
  const named = new Map<string, readonly Line[]>();
  let latest: readonly Line[] = [];
  const proxies: ProxySection[] = [];
  for (const section of sections) {
    const inherited = section.from === undefined ? undefined : named.get(section.from);
    if (section.keyword === 'defaults') {
      latest = [...(inherited ?? []), ...section.lines];
      if (section.name !== '') named.set(section.name, latest);
    } else if (/^(frontend|backend|listen)$/.test(section.keyword)) {
      proxies.push({ section, defaults: inherited ?? latest });
    }
  }
  return proxies;
}

/** Where a frontend leads when no condition holds; a `listen` section leads to itself. */
export function backendOf(
  { section, defaults }: ProxySection,
  proxies: readonly ProxySection[],
): ProxySection | undefined {
  const hasServers = (candidate: ProxySection | undefined) =>
    candidate?.section.lines.some((line) => is(line, 'server')) ? candidate : undefined;
  if (section.keyword === 'listen') return hasServers(proxies.find((proxy) => proxy.section === section));
  const lines = [...defaults, ...section.lines];
  const always = lines.find((line) => is(line, 'use_backend') && line.words.length === 2);
  const wanted = (always ?? lines.findLast((line) => is(line, 'default_backend')))?.words[1];
  return hasServers(
    proxies.find((proxy) => proxy.section.keyword !== 'frontend' && proxy.section.name === wanted),
  );
}

// The lines of /etc/hosts that Fairlead manages: a name that is to mean this node. Pure.
//
// Each of Fairlead's lines carries a mark, and a foreign line that gives the name another address is kept,
// whole, in a marked comment. So nothing but the file itself is needed to take it all back, whatever else has
// been changed in it meanwhile. Resolvers differ in whether the first line for a name counts or all of them
// (glibc's getaddrinfo and Go take all), so there may be only ours.
import { isIP } from 'node:net';

/** Who means what: the addresses that Fairlead gives to a name. */
export type ManagedHosts = ReadonlyMap<string, readonly string[]>;

const mark = '# fairlead hosts';
const managedLine = /^(\S+) (\S+) # fairlead hosts$/;
/** What is left of a line from which a managed name was taken. */
const restLine = /# fairlead hosts, \[\S+\] taken out$/;
/** A whole foreign line. No mark ends with the name: tools look for such lines (`.*NAME$`). */
const replacedLine = /^# fairlead hosts, instead of \[(.*)\]$/;

/** The lines, each with its own ending; the last one may lack it. */
const linesOf = (text: string): string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
const contentOf = (line: string) => line.replace(/\r?\n$/, '');
const endingOf = (line: string) => /\r?\n$/.exec(line)?.[0] ?? '';

/** Puts lines together such that the last one ends, or does not, as `text` does. */
function joinAs(text: string, lines: readonly string[]): string {
  const joined = lines.join('');
  const isEnded = text === '' || text.endsWith('\n');
  return isEnded ? joined : contentOf(joined);
}

/** The entry of a line: address and names; undefined for comments and blanks. */
function entryOf(line: string): { address: string; names: string[] } | undefined {
  const [address, ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
  return address !== undefined && isIP(address) !== 0 && names.length > 0 ? { address, names } : undefined;
}

const isSameName = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();

export function managedHosts(text: string): ManagedHosts {
  const found = new Map<string, string[]>();
  for (const line of linesOf(text)) {
    const [, address, name] = managedLine.exec(contentOf(line)) ?? [];
    if (address === undefined || name === undefined) continue;
    found.set(name, [...(found.get(name) ?? []), address]);
  }
  return found;
}

/** The file without anything of Fairlead's, and with everything that it took the place of. */
export function withoutManaged(text: string): string {
  const kept = linesOf(text).flatMap((line) => {
    let content = contentOf(line);
    // One managed name may have taken the place of what another one had left.
    for (let match = replacedLine.exec(content); match; match = replacedLine.exec(content)) {
      content = match[1] ?? '';
    }
    return managedLine.test(content) || restLine.test(content) ? [] : [content + endingOf(line)];
  });
  return joinAs(text, kept);
}

/** The file with exactly these names managed; the same text when they are already. */
export function withManaged(text: string, hosts: ManagedHosts): string {
  const original = withoutManaged(text);
  const ending = endingOf(linesOf(original)[0] ?? '') || '\n';
  // Whatever is not the last line any more needs an ending.
  let lines = linesOf(original).map((line) => contentOf(line) + (endingOf(line) || ending));
  for (const name of hosts.keys()) lines = lines.flatMap((line) => withoutName(line, name));
  for (const [name, addresses] of hosts) {
    lines.push(...addresses.map((address) => `${address} ${name} ${mark}${ending}`));
  }
  return joinAs(original, lines);
}

function withoutName(line: string, name: string): string[] {
  const content = contentOf(line);
  const entry = entryOf(content);
  if (!entry?.names.some((other) => isSameName(other, name))) return [line];
  const names = entry.names.filter((other) => !isSameName(other, name));
  const rest = names.length > 0 ? [`${entry.address} ${names.join(' ')} ${mark}, [${name}] taken out`] : [];
  return [`${mark}, instead of [${content}]`, ...rest].map((own) => own + endingOf(line));
}

/** The addresses that the file gives to a name. */
export function addressesOf(text: string, name: string): string[] {
  return linesOf(text).flatMap((line) => {
    const entry = entryOf(contentOf(line));
    return entry?.names.some((other) => isSameName(other, name)) ? [entry.address] : [];
  });
}

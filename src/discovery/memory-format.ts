// The format of the file of remembered API servers, beside the cache. Pure. A file of its own because an agent of the
// previous release refuses a cache with members that it does not know, and rewrites the cache with its own.
// A bad entry costs itself only, and members that are not known here are left to the release that knows them.
import { readEndpoint, readVersioned } from './cache-format.ts';
import { maxRemembered, type RememberedEndpoint } from './memory.ts';
import { isRecord } from '../lib/guards.ts';
import type { Parsed } from '../model/endpoint.ts';

const version = 1;

/** Whole seconds: the file changes no more often than it has to. */
export function encodeMemory(entries: readonly RememberedEndpoint[]): string {
  const lines = entries.map(({ endpoint: { host, port, name, zone }, listing, unlistedMs }) => {
    const unlistedSeconds = Math.floor(unlistedMs / 1000);
    return `    ${JSON.stringify({ host, port, listing, unlistedSeconds, name, zone })}`;
  });
  return ['{', `  "version": ${version},`, '  "remembered": [', lines.join(',\n'), '  ]', '}', ''].join('\n');
}

export function decodeMemory(text: string): Parsed<readonly RememberedEndpoint[]> {
  const root = readVersioned(text, version);
  if (!root.ok) return root;
  const { remembered } = root.value;
  if (!Array.isArray(remembered)) return { ok: false, problem: 'remembered is not a list' };
  const byId = new Map<string, RememberedEndpoint>();
  for (const item of remembered) {
    const entry = readEntry(item);
    if (entry && byId.size < maxRemembered) byId.set(entry.endpoint.id, entry);
  }
  return { ok: true, value: [...byId.values()] };
}

function readEntry(item: unknown): RememberedEndpoint | undefined {
  const endpoint = readEndpoint(item);
  if (!endpoint || !isRecord(item)) return undefined;
  const { unlistedSeconds, listing: said } = item;
  const listing = (['listed', 'left', 'replaced'] as const).find((known) => known === said) ?? 'unlisted';
  // A number that makes no sense must neither expire the entry now nor keep it forever.
  const isNumber = typeof unlistedSeconds === 'number' && Number.isFinite(unlistedSeconds);
  return { endpoint, listing, unlistedMs: isNumber && unlistedSeconds > 0 ? unlistedSeconds * 1000 : 0 };
}

// The format of the cache file: the last good set and the pick that worked. Pure. Strict on reading what is known
// here: half a set is worse than the static list. Members that are not known here are of a later release, and ignored.
// The release before this one refuses them, so a new member needs a release in which nothing writes it.
import { isIP } from 'node:net';
import {
  canonicalHost,
  type Endpoint,
  type EndpointId,
  makeEndpoint,
  type Parsed,
} from '../model/endpoint.ts';
import { parseJson } from '../lib/bounded-json.ts';
import { type Fields, isRecord } from '../lib/guards.ts';

export const cacheVersion = 1;
const maxEntries = 512;

/** What told us of a cached endpoint (`kubeconfig`: by a name in it); a configured address needs no cache. */
export type CacheOrigin = 'watch' | 'dns' | 'kubeconfig';

export interface CachedEndpoint {
  readonly endpoint: Endpoint;
  readonly origin: CacheOrigin;
}

export interface CacheContent {
  readonly endpoints: readonly CachedEndpoint[];
  /** Wall time of the watch's last message. */
  readonly syncedAtMs?: number;
  /** The endpoint that carried clients last. */
  readonly lastPick?: EndpointId;
}

interface Entry {
  host: string;
  port: number;
  origin: CacheOrigin;
  name?: string;
  zone?: string;
}

/** The file's text: one endpoint a line, so that people can read it. */
export function encodeCache({ endpoints, syncedAtMs, lastPick }: CacheContent): string {
  const lines = endpoints.map(({ endpoint: { host, port, name, zone }, origin }) => {
    const entry: Entry = { host, port, origin };
    if (name !== undefined) entry.name = name;
    if (zone !== undefined) entry.zone = zone;
    return `    ${JSON.stringify(entry)}`;
  });
  return [
    '{',
    `  "version": ${cacheVersion},`,
    ...(syncedAtMs === undefined
      ? []
      : [`  "syncedAt": ${JSON.stringify(new Date(syncedAtMs).toISOString())},`]),
    ...(lastPick === undefined ? [] : [`  "lastPick": ${JSON.stringify(lastPick)},`]),
    '  "endpoints": [',
    lines.join(',\n'),
    '  ]',
    '}',
    '',
  ].join('\n');
}

/** Reads what `encodeCache` wrote; anything else is a problem, never a throw. */
export function decodeCache(text: string): Parsed<CacheContent> {
  const root = readVersioned(text, cacheVersion);
  if (!root.ok) return root;
  const { endpoints: list, syncedAt, lastPick } = root.value;
  if (!Array.isArray(list) || list.length > maxEntries)
    return { ok: false, problem: 'endpoints is not a list' };
  const endpoints: CachedEndpoint[] = [];
  for (const [index, entry] of list.entries()) {
    const cached = readEntry(entry);
    if (!cached) return { ok: false, problem: `endpoints[${index}] is not an endpoint` };
    endpoints.push(cached);
  }
  const syncedAtMs =
    syncedAt === undefined ? undefined : typeof syncedAt === 'string' ? Date.parse(syncedAt) : Number.NaN;
  if (Number.isNaN(syncedAtMs)) return { ok: false, problem: 'syncedAt is not a time' };
  if (lastPick !== undefined && (typeof lastPick !== 'string' || lastPick.length > 300)) {
    return { ok: false, problem: 'lastPick is not an endpoint id' };
  }
  return {
    ok: true,
    value: {
      endpoints,
      ...(syncedAtMs === undefined ? {} : { syncedAtMs }),
      ...(lastPick === undefined ? {} : { lastPick }),
    },
  };
}

/** The members of a file of the agent, where it is an object of this version of its format. */
export function readVersioned(text: string, version: number): Parsed<Fields> {
  const root = parseJson(text);
  if (root === undefined)
    return { ok: false, problem: text.trim() === '' ? 'it is empty' : 'it is not JSON' };
  if (!isRecord(root)) return { ok: false, problem: 'it is not an object' };
  return root.version === version
    ? { ok: true, value: root }
    : { ok: false, problem: `its version is ${JSON.stringify(root.version)}, not ${version}` };
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= 253;
}

/** The endpoint that a member of a list describes; undefined when it is not one. */
export function readEndpoint(entry: unknown): Endpoint | undefined {
  if (!isRecord(entry)) return undefined;
  const { host, port, name, zone } = entry;
  if (typeof host !== 'string' || isIP(host) === 0 || host.includes('%') || canonicalHost(host) !== host)
    return undefined;
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65535) return undefined;
  if ((name !== undefined && !isText(name)) || (zone !== undefined && !isText(zone))) return undefined;
  const extra = { ...(name === undefined ? {} : { name }), ...(zone === undefined ? {} : { zone }) };
  return makeEndpoint(host, port, extra);
}

function readEntry(entry: unknown): CachedEndpoint | undefined {
  const endpoint = readEndpoint(entry);
  if (!endpoint || !isRecord(entry)) return undefined;
  const { origin } = entry;
  if (origin !== 'watch' && origin !== 'dns' && origin !== 'kubeconfig') return undefined;
  return { endpoint, origin };
}

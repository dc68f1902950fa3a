// Which header lines of a client's request are passed on to the API server. Pure.
//
// Built from the raw lines: Node joins repeated ones with a comma, and two `Impersonate-Group` lines are not
// one group with a comma in its name. Nothing that says who the client is survives, but its own
// Authorization: an API server that trusts a front proxy would believe X-Remote-User from any client behind it.

export type RequestHeaders = Record<string, string | string[]>;

export type CleanedHeaders =
  | { readonly ok: true; readonly headers: RequestHeaders }
  | { readonly ok: false; readonly problem: string };

/** RFC 9110 7.6.1, and what was hop-by-hop before it; `expect` is answered here. */
const hopByHop = new Set([
  'connection',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** A second line of these would leave it to the reader which one counts. */
const single = new Set(['authorization', 'content-length', 'content-type', 'host']);

/** Some servers read `_` as `-` (RFC 3875 4.1.18). */
export function normalName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}

const identityPrefixes = ['x-remote-', 'x-forwarded-'];
const identityNames = new Set(['forwarded', 'x-real-ip', 'x-client-ip', 'true-client-ip']);

/** Names who or where the client is, to a server that trusts its proxy. */
export function isIdentityHeader(name: string, more: readonly string[] = []): boolean {
  const normal = normalName(name);
  return (
    identityNames.has(normal) ||
    identityPrefixes.some((prefix) => normal.startsWith(prefix)) ||
    more.some((prefix) => normal.startsWith(normalName(prefix)))
  );
}

/**
 * `raw`: names and values by turns, as in `rawHeaders`. `identity`: further names, or beginnings of names, that
 * clients may not send.
 */
export function cleanRequestHeaders(
  raw: readonly string[],
  identity: readonly string[] = [],
): CleanedHeaders {
  const headers: RequestHeaders = Object.create(null) as RequestHeaders;
  const named = connectionOptions(raw);
  let authority: string | undefined;
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] as string).toLowerCase();
    const value = raw[index + 1] as string;
    if (name === ':authority') authority = value;
    if (name.startsWith(':') || hopByHop.has(name) || named.has(name) || isIdentityHeader(name, identity))
      continue;
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (single.has(name)) return { ok: false, problem: `the header ${name} occurs more than once` };
    // RFC 9113 8.2.3: HTTP/2 may send cookies in pieces.
    else if (name === 'cookie') headers[name] = `${String(before)}; ${value}`;
    else headers[name] = Array.isArray(before) ? [...before, value] : [before, value];
  }
  // RFC 9113 8.3.1: :authority takes the place of Host.
  if (authority !== undefined) headers.host = authority;
  return { ok: true, headers };
}

/** What `Connection` names besides; the names of fields that matter end to end are not taken. */
function connectionOptions(raw: readonly string[]): ReadonlySet<string> {
  const named = new Set<string>();
  for (let index = 0; index + 1 < raw.length; index += 2) {
    if ((raw[index] as string).toLowerCase() !== 'connection') continue;
    for (const option of (raw[index + 1] as string).split(',')) {
      const name = option.trim().toLowerCase();
      // Without its length a body would be taken for the next request.
      if (name !== 'content-length' && name !== 'host') named.add(name);
    }
  }
  return named;
}

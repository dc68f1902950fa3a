// Which header lines of an API server's answer are passed on to the client. Pure.
//
// An answer may come from any server that the API server proxies to (pods, services, aggregated APIs), so it is
// input like a client's: what Node's HTTP/2 would throw on is taken out here.
import type { RequestHeaders } from './request-headers.ts';

/** RFC 9110 7.6.1; Node frames the answer anew, and trailers are not passed on. */
const hopByHop = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** What Node's HTTP/2 sends at most once (kSingleValueFields in lib/internal/http2/util.js). */
const single = new Set([
  'access-control-allow-credentials',
  'access-control-max-age',
  'access-control-request-method',
  'age',
  'authorization',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'dnt',
  'etag',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'tk',
  'upgrade-insecure-requests',
  'user-agent',
  'x-content-type-options',
]);

/** From `rawHeaders`: repeated lines (`Warning`) stay apart; of those that may be there once the first one counts. */
export function cleanResponseHeaders(raw: readonly string[]): RequestHeaders {
  const headers: RequestHeaders = Object.create(null) as RequestHeaders;
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] as string).toLowerCase();
    if (hopByHop.has(name)) continue;
    const value = raw[index + 1] as string;
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (single.has(name)) continue;
    else headers[name] = Array.isArray(before) ? [...before, value] : [before, value];
  }
  return headers;
}

// Which header lines of an API server's answer go on to the client. Pure.
import type { RequestHeaders } from './request-headers.ts';

/** RFC 9110 7.6.1; Node frames the answer anew, and trailers are not passed on. */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** From `rawHeaders`: repeated lines (`Warning`) stay apart. */
export function cleanResponseHeaders(raw: readonly string[]): RequestHeaders {
  const headers: RequestHeaders = {};
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] as string).toLowerCase();
    if (hopByHop.has(name)) continue;
    const value = raw[index + 1] as string;
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else headers[name] = Array.isArray(before) ? [...before, value] : [before, value];
  }
  return headers;
}

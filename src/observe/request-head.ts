// Reads the head of a GET request: no more of HTTP than kubelet, Prometheus, curl and a browser send to a read-only page. Pure.
import { isIP } from 'node:net';

/** Browsers send the cookies of every port of `localhost`. */
export const maxHeadBytes = 8_192;

export type RequestHead =
  | {
      readonly ok: true;
      readonly method: string;
      /** Without its query. */
      readonly path: string;
      /** As sent, with its port; undefined in HTTP/1.0 without it. */
      readonly host: string | undefined;
    }
  | { readonly ok: false; readonly problem: string };

const requestLine = /^([A-Z]{1,16}) (\/[\x21-\x7e]*) HTTP\/1\.([01])$/;
const hostLine = /^host:[ \t]*([^ \t]*)[ \t]*$/i;

/** `text`: everything before the empty line. */
export function parseRequestHead(text: string): RequestHead {
  const [first = '', ...lines] = text.split('\r\n');
  const found = requestLine.exec(first);
  if (!found) return { ok: false, problem: 'expected a request such as GET /livez HTTP/1.1' };
  const [, method = '', target = '', minor] = found;
  const hosts = lines.filter((line) => /^host[ \t]*:/i.test(line)).map((line) => hostLine.exec(line)?.[1]);
  const [host] = hosts;
  if (hosts.length > 1 || (hosts.length === 1 && host === undefined))
    return { ok: false, problem: 'expected one Host header' };
  if (host === undefined && minor === '1') return { ok: false, problem: 'the Host header is missing' };
  return { ok: true, method, path: target.split('?')[0] ?? '/', host };
}

/**
 * Whether a page may answer for this Host header. A browser sends the name that it looked up: a web page whose name was
 * pointed at this host (DNS rebinding) has another one than an IP address, `localhost` or one of `names` (lower case).
 */
export function isExpectedHost(host: string, names: ReadonlySet<string>): boolean {
  const found = /^(\[[^\]]*\]|[^:]*)(?::\d{1,5})?$/.exec(host)?.[1];
  if (found === undefined) return false;
  if (found.startsWith('[')) return isIP(found.slice(1, -1)) === 6;
  const name = found.toLowerCase().replace(/\.$/, '');
  return isIP(name) === 4 || name === 'localhost' || names.has(name);
}

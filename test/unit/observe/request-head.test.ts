// What the read-only servers understand of a request.
import fc from 'fast-check';
import { isExpectedHost, parseRequestHead } from '../../../src/observe/request-head.ts';

test("kubelet's probe, Prometheus and curl are understood", () => {
  const text = 'GET /metrics?x=1 HTTP/1.1\r\nUser-Agent: x\r\nhOST: \t127.0.0.1:6442 \r\nAccept: */*';
  expect(parseRequestHead(text)).toEqual({
    ok: true,
    method: 'GET',
    path: '/metrics',
    host: '127.0.0.1:6442',
  });
});

test('HTTP/1.0 needs no Host, HTTP/1.1 does', () => {
  expect(parseRequestHead('GET /livez HTTP/1.0')).toMatchObject({ ok: true, host: undefined });
  expect(parseRequestHead('GET /livez HTTP/1.1')).toMatchObject({ ok: false });
});

test.each([
  '',
  'GET /livez',
  'GET /livez HTTP/2.0\r\nHost: a',
  'GET http://evil.example/livez HTTP/1.1\r\nHost: 127.0.0.1',
  'GET  /livez HTTP/1.1\r\nHost: 127.0.0.1',
  'get /livez HTTP/1.1\r\nHost: 127.0.0.1',
  'GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example',
  'GET /livez HTTP/1.1\r\nHost: 127.0.0.1 evil.example',
  'GET /livez HTTP/1.1\r\nHost : evil.example',
  '\x16\x03\x01\x02\x00\x01',
])('%j is refused', (text) => expect(parseRequestHead(text)).toMatchObject({ ok: false }));

test('it is total', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseRequestHead(text)));
});

const names = new Set(['node-1', 'lb.example']);
test.each([
  '127.0.0.1',
  '127.0.0.1:6442',
  '10.0.0.1:80',
  '[::1]:6442',
  '[::1]',
  'localhost:6442',
  'LOCALHOST',
  'Node-1:6442',
  'lb.example.',
])('a request for %s is answered', (host) => expect(isExpectedHost(host, names)).toBe(true));
test.each([
  'evil.example',
  'evil.example:6442',
  'localhost.evil.example',
  '127.0.0.1.evil.example',
  '127.0.0.1:6442:1',
  '127.1',
  '0x7f.1',
  '::1',
  '[::1].evil.example',
  '[evil.example]',
  'user@localhost',
  '',
])('a request for %j is not: the page of another name asks', (host) =>
  expect(isExpectedHost(host, names)).toBe(false),
);

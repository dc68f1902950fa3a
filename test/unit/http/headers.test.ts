import fc from 'fast-check';
import { cleanRequestHeaders, isIdentityHeader } from '../../../src/http/request-headers.ts';
import { cleanResponseHeaders } from '../../../src/http/response-headers.ts';

const cleaned = (raw: readonly string[], more: readonly string[] = []) => {
  const result = cleanRequestHeaders(raw, more);
  return result.ok ? { ...result.headers } : result.problem;
};

test('what Connection names goes with it, but for the length and the host', () => {
  const raw = [
    'Host',
    'x',
    'Connection',
    'close, X-Hop',
    'X-Hop',
    'a',
    'Content-Length',
    '3',
    'connection',
    'Content-Length, Host',
  ];
  expect(cleaned(raw)).toEqual({ host: 'x', 'content-length': '3' });
});

test('hop-by-hop headers stay here', () => {
  const raw = [
    'Host',
    'x',
    'TE',
    'trailers',
    'Trailer',
    'X',
    'Transfer-Encoding',
    'chunked',
    'Upgrade',
    'h2c',
    'Keep-Alive',
    '5',
    'Proxy-Authorization',
    'b',
    'Proxy-Connection',
    'c',
    'Expect',
    '100-continue',
  ];
  expect(cleaned(raw)).toEqual({ host: 'x' });
});

test('repeated lines stay apart, cookies are put together', () => {
  expect(cleaned(['A', '1', 'a', '2', 'A', '3', 'Cookie', 'x=1', 'Cookie', 'y=2', 'cookie', 'z=3'])).toEqual({
    a: ['1', '2', '3'],
    cookie: 'x=1; y=2; z=3',
  });
});

test.each(['Host', 'Authorization', 'Content-Length', 'Content-Type'])('a second %s is refused', (name) => {
  expect(cleaned([name, 'a', name.toUpperCase(), 'a'])).toMatch(/more than once/);
});

test('the authority of HTTP/2 is the host', () => {
  expect(
    cleaned([':method', 'GET', ':authority', 'a', ':path', '/', ':scheme', 'https', 'host', 'b']),
  ).toEqual({ host: 'a' });
});

test('names that look like members of every object are headers like others', () => {
  expect(Object.entries(cleaned(['__proto__', 'a', 'constructor', 'b']) as object)).toEqual([
    ['__proto__', 'a'],
    ['constructor', 'b'],
  ]);
});

describe('who the client is', () => {
  test.each([
    'X-Remote-User',
    'x-remote-group',
    'X-REMOTE-EXTRA-a%2fb',
    'X_Remote_User',
    'x-Remote_Uid',
    'X-Forwarded-For',
    'x_forwarded_host',
    'Forwarded',
    'X-Real-Ip',
  ])('%s never passes', (name) => {
    expect(isIdentityHeader(name)).toBe(true);
    expect(cleaned([name, 'a', 'X-B', 'c'])).toEqual({ 'x-b': 'c' });
  });

  test.each([
    'X-Remotely',
    'Impersonate-User',
    'Impersonate-Group',
    'Authorization',
    'Audit-ID',
    'Traceparent',
    'X-Stream-Protocol-Version',
    'Forwarded-By-Me',
  ])('%s passes', (name) => {
    expect(isIdentityHeader(name)).toBe(false);
  });

  test('neither do configured names, in any spelling', () => {
    expect(
      cleaned(['X-Custom-User', 'a', 'x_custom_user', 'b', 'X-CUSTOM-USER', 'c'], ['X-Custom-User']),
    ).toEqual({});
  });

  test('whatever the capitals, underscores and order', () => {
    const letters = fc.array(fc.boolean(), { minLength: 13, maxLength: 13 });
    fc.assert(
      fc.property(letters, letters, fc.string(), (capitals, underscores, value) => {
        const name = [...'x-remote-user']
          .map((letter, index) =>
            letter === '-' && underscores[index] ? '_' : capitals[index] ? letter.toUpperCase() : letter,
          )
          .join('');
        expect(cleaned(['a', 'b', name, value])).toEqual({ a: 'b' });
      }),
    );
  });
});

test('an answer keeps its repeated lines and loses what belongs to its connection', () => {
  const raw = [
    'Warning',
    '299 - "a"',
    'Connection',
    'close',
    'warning',
    '299 - "b"',
    'Transfer-Encoding',
    'chunked',
    'Keep-Alive',
    'timeout=5',
    'Retry-After',
    '5',
    'Trailer',
    'X',
  ];
  expect(cleanResponseHeaders(raw)).toEqual({ warning: ['299 - "a"', '299 - "b"'], 'retry-after': '5' });
});

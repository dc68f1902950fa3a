// Requests that two readers could take apart differently. The endpoint keeps the raw bytes: whatever comes in,
// what arrives is nothing at all, or one request that can be read in one way only.
import { type RawBackend, startRawBackend } from '../../support/apiserver/https-backend.ts';
import { http2Client, rawClient } from '../../support/clients/http-clients.ts';
import { type HttpPath, startHttpPath } from '../../support/agent/http-path.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { watchForLeaks } from '../../support/jest/leaks.ts';
import { makeCa } from '../../support/credentials/pki.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const leftNothing = watchForLeaks();
let backend: RawBackend;
let path: HttpPath;

interface Arrived {
  readonly line: string;
  readonly headers: readonly string[];
  readonly body: string;
}

/** Takes bytes apart as strictly as one can: throws unless they are whole requests, each framed in one way. */
function takeApart(bytes: string): Arrived[] {
  const requests: Arrived[] = [];
  let rest = bytes;
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) throw new Error(`no whole head: ${JSON.stringify(rest)}`);
    const [line = '', ...headers] = rest.slice(0, end).split('\r\n');
    if (!/^[A-Z]+ \/[\x21-\x7e]* HTTP\/1\.1$/.test(line))
      throw new Error(`request line: ${JSON.stringify(line)}`);
    for (const header of headers) {
      if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*$/.test(header))
        throw new Error(`header: ${JSON.stringify(header)}`);
    }
    const values = (name: string) =>
      headers
        .filter((header) => header.toLowerCase().startsWith(`${name}:`))
        .map((header) => header.slice(name.length + 2));
    const [lengths, encodings] = [values('content-length'), values('transfer-encoding')];
    if (lengths.length + encodings.length > 1) throw new Error(`framed twice: ${headers.join(' | ')}`);
    rest = rest.slice(end + 4);
    let body = '';
    if (encodings.length === 1) {
      if (encodings[0] !== 'chunked') throw new Error(`encoding: ${encodings[0]}`);
      for (;;) {
        const head = /^([0-9a-f]+)\r\n/.exec(rest);
        if (!head) throw new Error(`chunk: ${JSON.stringify(rest)}`);
        const size = Number.parseInt(head[1] ?? '', 16);
        rest = rest.slice(head[0].length);
        body += rest.slice(0, size);
        if (rest.slice(size, size + 2) !== '\r\n') throw new Error('a chunk without its end');
        rest = rest.slice(size + 2);
        if (size === 0) break;
      }
    } else {
      const length = Number(lengths[0] ?? 0);
      body = rest.slice(0, length);
      if (body.length < length) throw new Error('a body that is cut');
      rest = rest.slice(length);
    }
    requests.push({ line, headers, body });
  }
  return requests;
}

const isWhole = (bytes: string): boolean => {
  try {
    return bytes !== '' && takeApart(bytes).length > 0;
  } catch {
    return false;
  }
};

beforeAll(async () => {
  const ca = await makeCa();
  const leaf = await ca.issue({ commonName: 'kube-apiserver', sans: ['kubernetes'] });
  backend = await startRawBackend(leaf, (bytes) =>
    isWhole(bytes) ? 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok' : undefined,
  );
  path = await startHttpPath([backend.endpoint], { directory, trust: { ca: ca.cert } });
});

beforeEach(() => {
  // A connection of its own for each case.
  path.core.upstreams.renew();
  backend.received.length = 0;
});

afterAll(async () => {
  await path.stop();
  await backend.close();
  await leftNothing();
});

const arrived = () => backend.received.flatMap(takeApart);
const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n';
const post = (headers: string, body = '') => `POST /a HTTP/1.1\r\nHost: x\r\n${headers}\r\n${body}`;
const chunked = (body: string) => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;

describe('refused, and the connection closed', () => {
  test.each([
    ['CL.TE', post('Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${smuggled}`)],
    ['TE.CL', post('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', `${chunked(smuggled)}`)],
    ['two different lengths', post('Content-Length: 0\r\nContent-Length: 36\r\n', smuggled)],
    ['two equal lengths', post('Content-Length: 0\r\nContent-Length: 0\r\n', smuggled)],
    ['a list of lengths', post('Content-Length: 0, 36\r\n', smuggled)],
    ['a length with a sign', post('Content-Length: +0\r\n', smuggled)],
    ['a length in hexadecimal', post('Content-Length: 0x24\r\n', smuggled)],
    ['a negative length', post('Content-Length: -1\r\n', smuggled)],
    ['a length that overflows', post('Content-Length: 18446744073709551652\r\n', smuggled)],
    ['an unknown encoding', post('Transfer-Encoding: xchunked\r\n', chunked(smuggled))],
    ['chunked that is not last', post('Transfer-Encoding: chunked, identity\r\n', chunked(smuggled))],
    ['an encoding behind a vertical tab', post('Transfer-Encoding: \x0bchunked\r\n', chunked(smuggled))],
    ['a space before the colon', post('Transfer-Encoding : chunked\r\n', chunked(smuggled))],
    ['a name with a control character', post('Transfer\x01Encoding: chunked\r\n', '')],
    ['a folded line', post('X: a\r\n Transfer-Encoding: chunked\r\n', chunked(smuggled))],
    ['a folded length', post('Content-Length:\r\n 36\r\n', smuggled)],
    ['NUL in a value', post('X: a\0b\r\n')],
    ['CR in a value', post('X: a\rX-Remote-User: root\r\n')],
    ['LF for line ends', 'POST /a HTTP/1.1\nHost: x\nContent-Length: 0\n\n'],
    ['LF in the middle', post('X: a\nTransfer-Encoding: chunked\r\n', chunked(smuggled))],
    ['a chunk size with a sign', post('Transfer-Encoding: chunked\r\n', '+3\r\nabc\r\n0\r\n\r\n')],
    ['a chunk size in 0x', post('Transfer-Encoding: chunked\r\n', '0x3\r\nabc\r\n0\r\n\r\n')],
    ['a chunk without its line end', post('Transfer-Encoding: chunked\r\n', '3\r\nabcXX0\r\n\r\n')],
    ['a chunk size that overflows', post('Transfer-Encoding: chunked\r\n', 'fffffffffffffffff\r\nabc')],
    ['LF behind a chunk size', post('Transfer-Encoding: chunked\r\n', '3\nabc\r\n0\r\n\r\n')],
    ['an absolute form', 'GET https://other/a HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['an authority', 'CONNECT other:443 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a target that is no path', 'GET a HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a target with raw bytes', 'GET /\xe4 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a space in the target', 'GET /a /b HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['no host', 'GET /a HTTP/1.1\r\n\r\n'],
    ['two hosts', 'GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n'],
    [
      'two authorizations',
      'GET /a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n',
    ],
    ['an unknown method', 'SMUGGLE /a HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['TRACE', 'TRACE /a HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['another version', 'GET /a HTTP/3.0\r\nHost: x\r\n\r\n'],
    ['no HTTP', 'hello\r\n\r\n'],
    ['header lines without end', `GET /a HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(70_000)}\r\n\r\n`],
  ])('%s', async (_name, bytes) => {
    const client = await rawClient(path, bytes);
    await client.ended;
    expect(client.text).toMatch(/^HTTP\/1\.1 4\d\d /);
    // One answer: nothing behind the request was taken for another one.
    expect(client.text.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(backend.received.filter((text) => text.includes('smuggled') || isWhole(text))).toEqual([]);
  });
});

describe('one request arrives, framed in one way', () => {
  test.each([
    ['a chunk extension', post('Transfer-Encoding: chunked\r\n', '3;a="b"\r\nabc\r\n0\r\n\r\n'), 'abc'],
    [
      'DELETE with a chunked body',
      `DELETE /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(smuggled)}`,
      smuggled,
    ],
    [
      'OPTIONS with a chunked body',
      `OPTIONS /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(smuggled)}`,
      smuggled,
    ],
    [
      'GET with a chunked body',
      `GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(smuggled)}`,
      smuggled,
    ],
    [
      'GET with a length',
      `GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
      smuggled,
    ],
    ['POST with a length', post(`Content-Length: ${smuggled.length}\r\n`, smuggled), smuggled],
    [
      'a length named by Connection',
      post(`Connection: Content-Length, close\r\nContent-Length: ${smuggled.length}\r\n`, smuggled),
      smuggled,
    ],
    ['an encoding in capitals', post('Transfer-Encoding: CHUNKED\r\n', chunked('abc')), 'abc'],
    [
      'trailers',
      post('Transfer-Encoding: chunked\r\n', '3\r\nabc\r\n0\r\nX-Remote-User: root\r\n\r\n'),
      'abc',
    ],
    ['a header with underscores', post('Content_Length: 9\r\nContent-Length: 0\r\n'), ''],
  ])('%s', async (_name, bytes, body) => {
    const client = await rawClient(path, bytes);
    await eventually('an answer', () => client.text.endsWith('ok'));
    client.socket.destroy();
    const requests = arrived();
    expect(requests.map(({ body: got }) => got)).toEqual([body]);
    expect(requests[0]?.headers.join()).not.toMatch(/remote|trailer/i);
  });

  test('two requests in one go are two', async () => {
    const client = await rawClient(
      path,
      `${post('Content-Length: 3\r\n', 'abc')}${post('Transfer-Encoding: chunked\r\n', chunked('def'))}`,
    );
    await eventually('two answers', () => client.text.match(/ok/g)?.length === 2);
    client.socket.destroy();
    expect(arrived().map(({ body }) => body)).toEqual(['abc', 'def']);
  });

  test('a body that ends early reaches nobody as a whole', async () => {
    const client = await rawClient(path, post('Content-Length: 100\r\n', smuggled));
    client.socket.end();
    await client.ended;
    expect(backend.received.filter(isWhole)).toEqual([]);
  });
});

describe('HTTP/2', () => {
  test.each([
    ['a transfer encoding', { 'transfer-encoding': 'chunked' }],
    ['a connection header', { connection: 'x-a' }],
    ['a length that is not the body', { 'content-length': '0' }],
    ['a line break in a value', { 'x-a': 'b\r\nx-remote-user: root' }],
    ['another authority than the host', { host: 'y' }],
    ['a path with a line break', {}, { ':path': '/a HTTP/1.1\r\nX-Remote-User: root\r\n\r\n' }],
    ['a path with a space', {}, { ':path': '/a /b' }],
    ['no path', {}, { ':path': '' }],
    ['an absolute path', {}, { ':path': 'https://other/a' }],
    ['a method with a line break', {}, { ':method': 'GET /b HTTP/1.1\r\n\r\n' }],
    ['CONNECT', {}, { ':method': 'CONNECT' }],
    ['another scheme', {}, { ':scheme': 'http' }],
  ] as [string, Record<string, string>, Record<string, string>?][])(
    '%s: refused, or one plain request',
    async (_name, headers, pseudo = {}) => {
      const client = await http2Client(path);
      const outcome = await client
        .ask({
          method: 'POST',
          path: '/a',
          body: smuggled,
          headers,
          pseudo,
        })
        .then(({ status }) => status)
        .catch(() => 'refused by Node');
      await client.close();
      const requests = arrived();
      if (outcome === 200) {
        expect(requests).toHaveLength(1);
        expect([requests[0]?.line, requests[0]?.body]).toEqual(['POST /a HTTP/1.1', smuggled]);
      } else {
        expect(requests).toEqual([]);
      }
      expect(backend.received.join()).not.toMatch(/remote|GET \/smuggled HTTP\/1\.1\r\nHost: x\r\n\r\n./);
    },
  );

  test('cookies in pieces are put together', async () => {
    const client = await http2Client(path);
    await client.ask({ headers: { cookie: ['a=1', 'b=2'] } });
    await client.close();
    expect(arrived()[0]?.headers).toContain('cookie: a=1; b=2');
  });
});

describe('abuse of HTTP/2', () => {
  test('more streams at once than announced are refused', async () => {
    const client = await http2Client(path);
    await eventually('settings', () => client.session.remoteSettings.maxConcurrentStreams === 250);
    expect(client.session.remoteSettings.maxHeaderListSize).toBe(65_536);
    await client.close();
  });

  test('a client that resets streams as fast as it opens them is cut off', async () => {
    const client = await http2Client(path);
    let sent = 0;
    for (; sent < 6_000 && !client.session.destroyed; sent += 1) {
      const stream = client.session.request({ ':path': '/slow' });
      stream.on('error', () => {});
      stream.close(8);
      if (sent % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await eventually('it is cut off', () => client.session.destroyed);
    expect(sent).toBeLessThan(3_000);
    await client.close();
    await eventually('nothing is left', () => path.core.counters.inFlight === 0);
  });
});

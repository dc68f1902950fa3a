import fc from 'fast-check';
import { canonicalHost } from '../../../src/model/endpoint.ts';
import {
  localProxyHeader,
  maxProxyHeaderBytes,
  parseProxyHeader,
  proxyHeader,
} from '../../../src/model/proxy-header.ts';

const port = fc.integer({ min: 0, max: 65_535 });
const end = (host: fc.Arbitrary<string>) =>
  fc.record({ host: host.map((text) => canonicalHost(text)), port });
const connection = fc.oneof(
  fc.record({ source: end(fc.ipV4()), destination: end(fc.ipV4()) }),
  fc.record({
    source: end(fc.ipV6().filter((text) => !/^::ffff:\d+\./i.test(canonicalHost(text)))),
    destination: end(fc.ipV6().filter((text) => !/^::ffff:\d+\./i.test(canonicalHost(text)))),
  }),
);

test('the bytes are those of the specification', () => {
  const bytes = proxyHeader({
    source: { host: '192.0.2.1', port: 4660 },
    destination: { host: '198.51.100.2', port: 443 },
  });
  expect(bytes.toString('hex')).toBe(
    '0d0a0d0a000d0a515549540a' + '21' + '11' + '000c' + 'c0000201' + 'c6336402' + '1234' + '01bb',
  );
  expect(localProxyHeader.toString('hex')).toBe('0d0a0d0a000d0a515549540a20000000');
});

test('what is built is parsed again, whatever follows it', () => {
  fc.assert(
    fc.property(connection, fc.uint8Array({ maxLength: 40 }), (given, rest) => {
      const header = proxyHeader(given);
      expect(parseProxyHeader(Buffer.concat([header, rest]))).toEqual({
        kind: 'complete',
        byteCount: header.length,
        connection: given,
      });
    }),
  );
});

test('no beginning of a header is taken for a whole one, or for a bad one', () => {
  fc.assert(
    fc.property(connection, fc.nat(51), (given, cut) => {
      const header = proxyHeader(given);
      expect(parseProxyHeader(header.subarray(0, Math.min(cut, header.length - 1)))).toEqual({
        kind: 'partial',
      });
    }),
  );
});

test('no bytes make the parser throw, and none that differ in the signature are a header', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (bytes) => {
      const { kind } = parseProxyHeader(Buffer.from(bytes));
      if (bytes[0] !== 0x0d) expect(kind).toBe('bad');
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (tail) => {
      parseProxyHeader(Buffer.concat([localProxyHeader.subarray(0, 12), tail]));
    }),
  );
});

test('what senders add behind the addresses is skipped, within a bound', () => {
  const given = { source: { host: '10.0.0.1', port: 1 }, destination: { host: '10.0.0.2', port: 2 } };
  const plain = proxyHeader(given);
  const withMore = Buffer.concat([plain, Buffer.alloc(100, 7), Buffer.from('hello')]);
  withMore.writeUInt16BE(12 + 100, 14);
  expect(parseProxyHeader(withMore)).toEqual({ kind: 'complete', byteCount: 128, connection: given });
  withMore.writeUInt16BE(maxProxyHeaderBytes, 14);
  expect(parseProxyHeader(withMore)).toMatchObject({ kind: 'bad' });
});

test.each([
  ['version 1', 'PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n'],
  ['TLS', '\x16\x03\x01'],
])('%s is not a header of version 2', (_, text) => {
  expect(parseProxyHeader(Buffer.from(text, 'latin1'))).toMatchObject({ kind: 'bad' });
});

test('a header that promises addresses and is too short for them is bad; an unknown command too', () => {
  const bytes = Buffer.from(
    proxyHeader({ source: { host: '10.0.0.1', port: 1 }, destination: { host: '10.0.0.2', port: 2 } }),
  );
  bytes.writeUInt16BE(11, 14);
  expect(parseProxyHeader(bytes)).toMatchObject({ kind: 'bad' });
  bytes.writeUInt8(0x22, 12);
  expect(parseProxyHeader(bytes)).toMatchObject({ kind: 'bad' });
});

test('a sender that speaks for itself names no connection, and so does one of another family', () => {
  expect(parseProxyHeader(localProxyHeader)).toEqual({
    kind: 'complete',
    byteCount: 16,
    connection: undefined,
  });
  const unix = Buffer.from(localProxyHeader);
  unix.writeUInt8(0x21, 12);
  unix.writeUInt8(0x31, 13);
  expect(parseProxyHeader(unix)).toMatchObject({ kind: 'complete', connection: undefined });
});

test('an IPv4 address in IPv6 clothes is written as IPv4; ends of two families name nobody', () => {
  const destination = { host: '10.0.0.2', port: 2 };
  expect(proxyHeader({ source: { host: '::ffff:10.0.0.1', port: 1 }, destination })).toEqual(
    proxyHeader({ source: { host: '10.0.0.1', port: 1 }, destination }),
  );
  expect(proxyHeader({ source: { host: 'fd00::1', port: 1 }, destination })).toEqual(localProxyHeader);
  expect(proxyHeader({ source: { host: '', port: 0 }, destination })).toEqual(localProxyHeader);
});

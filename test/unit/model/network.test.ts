import fc from 'fast-check';
import { networkCheck, parseNetwork } from '../../../src/model/network.ts';

const parsed = (text: string) => {
  const result = parseNetwork(text);
  return result.ok ? result.value : undefined;
};

test.each([
  ['10.0.0.0/8', '10.0.0.0/8'],
  ['10.0.0.5/32', '10.0.0.5'],
  ['FD00:0::/8', 'fd00::/8'],
  ['::1', '::1'],
  ['0.0.0.0/0', '0.0.0.0/0'],
])('%s is the network %s', (text, wanted) => {
  expect(parsed(text)).toBe(wanted);
});

test.each(['10.0.0.0/33', 'fd00::/129', '10.0.0', 'a.example/8', '10.0.0.0/', '10.0.0.0/-1', '/8'])(
  '%s is no network',
  (text) => {
    expect(parsed(text)).toBeUndefined();
  },
);

test('an address is in a network when its first bits are the same', () => {
  const bits = (host: string) =>
    host
      .split('.')
      .map((part) => Number(part).toString(2).padStart(8, '0'))
      .join('');
  fc.assert(
    fc.property(fc.ipV4(), fc.ipV4(), fc.nat(32), (network, address, length) => {
      const isIn = networkCheck([parsed(`${network}/${length}`) ?? ''])(address);
      expect(isIn).toBe(bits(network).slice(0, length) === bits(address).slice(0, length));
    }),
  );
});

test('IPv4 written as IPv6, zones and what is no address', () => {
  const isIn = networkCheck(['10.0.0.0/8', 'fe80::/10']);
  expect(isIn('::ffff:10.1.2.3')).toBe(true);
  expect(isIn('fe80::1%eth0')).toBe(true);
  expect(isIn('192.168.0.1')).toBe(false);
  expect(isIn('')).toBe(false);
  expect(networkCheck([])('10.0.0.1')).toBe(false);
});

test('every IPv6 address is not every IPv4 address', () => {
  const isIn = networkCheck(['::/0']);
  expect(isIn('2001:db8::1')).toBe(true);
  expect(isIn('10.0.0.1')).toBe(false);
  expect(isIn('::ffff:10.0.0.1')).toBe(false);
  expect(networkCheck(['::ffff:10.0.0.0/104'])('10.0.0.1')).toBe(true);
});

// What addresses and names of hosts mean, wherever they are compared.
import {
  isHostName,
  isLocalhost,
  isLoopback,
  isWildcard,
  plainAddress,
  reachableAt,
  withoutBrackets,
} from '../../../src/model/host.ts';

test.each([
  // host, loopback, localhost, wildcard
  ['127.0.0.1', true, true, false],
  ['::1', true, true, false],
  ['localhost', true, true, false],
  ['127.8.0.1', true, false, false],
  ['::ffff:127.0.0.1', true, false, false],
  ['api.localhost', true, false, false],
  ['0.0.0.0', false, false, true],
  ['::', false, false, true],
  ['10.0.0.1', false, false, false],
  ['128.0.0.1', false, false, false],
  ['::2', false, false, false],
  ['127.example.com', false, false, false],
  ['', false, false, false],
])('%s is loopback: %s, localhost: %s, a wildcard: %s', (host, loopback, localhost, wildcard) => {
  expect([isLoopback(host), isLocalhost(host), isWildcard(host)]).toEqual([loopback, localhost, wildcard]);
});

test('a listener on every address is reached at the loopback address of its family', () => {
  expect(['0.0.0.0', '::', '10.0.0.1'].map(reachableAt)).toEqual(['127.0.0.1', '::1', '10.0.0.1']);
});

test.each([
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['::FFFF:0a00:0001', '10.0.0.1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['2001:DB8:0:0::5', '2001:db8::5'],
  ['10.0.0.1', '10.0.0.1'],
  ['::ffff:0:10.0.0.1', '::ffff:0:a00:1'],
])('%s is plainly %s', (host, plain) => {
  expect(plainAddress(host)).toBe(plain);
});

test('brackets are those of a URL', () => {
  expect(['[fd00::5]', 'fd00::5', 'a.example'].map(withoutBrackets)).toEqual([
    'fd00::5',
    'fd00::5',
    'a.example',
  ]);
});

test.each([
  ['lb.example', true],
  ['A-1', true],
  ['10.0.0.1', false],
  ['::1', false],
  ['a_b', false],
  ['-a', false],
  ['a..b', false],
  ['a.', false],
  ['*.example', false],
  [`${'a.'.repeat(127)}a`, false],
  ['', false],
])('%s may stand in /etc/hosts: %s', (name, expected) => {
  expect(isHostName(name)).toBe(expected);
});

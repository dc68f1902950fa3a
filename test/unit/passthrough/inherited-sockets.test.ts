import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assignSockets, inheritedSockets } from '../../../src/passthrough/socket/inherited-sockets.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
let count = 0;

const head =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const row = (local: string, state: string, inode: number) =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0\n`;

/** A /proc in which descriptors lead to what is given. */
function proc(descriptors: Readonly<Record<number, string>>, { hasIpv6 = true } = {}): string {
  count += 1;
  const root = join(directory, String(count));
  mkdirSync(join(root, 'self/net'), { recursive: true });
  mkdirSync(join(root, 'self/fd'));
  const tcp = row('0100007F:192B', '0A', 11) + row('0100007F:192B', '01', 12);
  writeFileSync(join(root, 'self/net/tcp'), head + tcp);
  const tcp6 =
    row('00000000000000000000000001000000:192B', '0A', 21) +
    row('B80D01200000000000000000010000FF:1F90', '0A', 22);
  if (hasIpv6) writeFileSync(join(root, 'self/net/tcp6'), head + tcp6);
  for (const [fd, target] of Object.entries(descriptors)) symlinkSync(target, join(root, 'self/fd', fd));
  return root;
}

const env = (fds: number, pid = 42) => ({ LISTEN_PID: String(pid), LISTEN_FDS: String(fds) });

test('the addresses of the sockets are read, IPv4 and IPv6', () => {
  const procDir = proc({ 3: 'socket:[11]', 4: 'socket:[21]', 5: 'socket:[22]' });
  expect(inheritedSockets({ env: env(3), pid: 42, procDir })).toEqual([
    { fd: 3, address: { host: '127.0.0.1', port: 6443 } },
    { fd: 4, address: { host: '::1', port: 6443 } },
    { fd: 5, address: { host: '2001:db8::ff00:1', port: 8080 } },
  ]);
});

test('a host without IPv6 has sockets all the same', () => {
  const procDir = proc({ 3: 'socket:[11]' }, { hasIpv6: false });
  expect(inheritedSockets({ env: env(1), pid: 42, procDir })).toHaveLength(1);
});

test.each([
  ['there are none', {}],
  ['they are for another process', env(1, 41)],
  ['the number is none', { LISTEN_PID: '42', LISTEN_FDS: 'x' }],
  ['there is no number', { LISTEN_PID: '42' }],
])('no socket is taken when %s', (_name, environment) => {
  const procDir = proc({ 3: 'socket:[11]' });
  expect(inheritedSockets({ env: environment, pid: 42, procDir })).toEqual([]);
});

test.each([
  ['a connection', { 3: 'socket:[12]' }],
  ['a socket that is not TCP', { 3: 'socket:[99]' }],
  ['a file', { 3: '/dev/null' }],
  ['nothing', {}],
])('%s at the descriptor is refused', (_name, descriptors) => {
  expect(() => inheritedSockets({ env: env(1), pid: 42, procDir: proc(descriptors) })).toThrow(
    'descriptor 3, passed by systemd or another program (LISTEN_FDS), is not a listening TCP socket',
  );
});

test('sockets go to the listeners with their addresses, in whatever order', () => {
  const [one, two] = [
    { host: '127.0.0.1', port: 1 },
    { host: '::1', port: 1 },
  ];
  const sockets = [
    { fd: 3, address: two },
    { fd: 4, address: one },
  ];
  const other = { host: '127.0.0.2', port: 1 };
  expect(assignSockets(sockets, [one, two, other])).toEqual(
    new Map([
      ['[::1]:1', 3],
      ['127.0.0.1:1', 4],
    ]),
  );
});

test('a socket that no listener has is an error: clients would wait there for ever', () => {
  const sockets = [{ fd: 3, address: { host: '127.0.0.1', port: 1 } }];
  expect(() => assignSockets(sockets, [{ host: '127.0.0.1', port: 2 }])).toThrow(
    'a socket on 127.0.0.1:1 was passed in (LISTEN_FDS), but no passthrough listener has that address',
  );
});

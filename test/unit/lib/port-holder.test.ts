import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { holderOf, inUseText } from '../../../src/lib/port-holder.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const address = { host: '127.0.0.1', port: 6443 };
const header =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const row = (local: string, state: string, uid: number, inode: number) =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000 ${uid} 0 ${inode} 1\n`;

const root = tempDir();
let made = 0;

/** A /proc with these rows, and with a process that holds the socket of inode 77 where it can be seen. */
function proc({ tcp = '', tcp6 = '', isVisible = false }): string {
  made += 1;
  const dir = join(root, String(made));
  mkdirSync(join(dir, 'self/net'), { recursive: true });
  writeFileSync(join(dir, 'self/net/tcp'), header + tcp);
  writeFileSync(join(dir, 'self/net/tcp6'), header + tcp6);
  if (isVisible) {
    mkdirSync(join(dir, '41/fd'), { recursive: true });
    writeFileSync(join(dir, '41/comm'), 'nginx\n');
    symlinkSync('socket:[77]', join(dir, '41/fd/3'));
  }
  return dir;
}

const port = '192B';

test('the process that holds a port is named where it can be seen', async () => {
  const dir = proc({ tcp: row(`0100007F:${port}`, '0A', 0, 77), isVisible: true });
  expect(await inUseText(address, dir)).toBe('127.0.0.1:6443 is already in use by nginx (pid 41)');
});

test('from a pod the user of the socket is named, and the command that shows the rest', async () => {
  const dir = proc({ tcp6: row(`00000000000000000000000000000000:${port}`, '0A', 101, 77) });
  expect(await inUseText(address, dir)).toBe(
    '127.0.0.1:6443 is already in use by a process of uid 101 that is not visible from here; on the node, as root, ' +
      "ss -ltnp 'sport = :6443' shows the process",
  );
});

test('several users are all named; connections and other ports are not looked at', async () => {
  const dir = proc({
    tcp:
      row(`0100007F:${port}`, '0A', 0, 5) +
      row(`0100007F:${port}`, '01', 33, 6) +
      row('0100007F:0050', '0A', 44, 7),
    tcp6: row(`00000000000000000000000000000000:${port}`, '0A', 101, 8),
  });
  expect(await holderOf(6443, dir)).toEqual({ uids: [0, 101] });
});

test('without a readable /proc the command is left', async () => {
  expect(await inUseText(address, '/nowhere')).toMatch(/^127\.0\.0\.1:6443 is already in use; on the node/);
});

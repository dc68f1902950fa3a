// /etc/hosts of a container is a bind mount: it cannot be replaced, only written.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { builtProgram } from '../../support/agent/agent-process.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const title = 'a bind-mounted file of hosts is written in place, and given back';
const canMount = spawnSync('unshare', ['--mount', 'true']).status === 0;

if (!canMount) skipLoudly(title, 'no mount namespaces here');
else {
  test(title, () => {
    const root = join(directory, 'root');
    mkdirSync(join(root, 'etc'), { recursive: true });
    const [inside, outside] = [join(root, 'etc/hosts'), join(directory, 'hosts')];
    const original = '127.0.0.1 localhost\n10.0.0.9 lb-apiserver.kubernetes.local\n';
    writeFileSync(inside, '');
    writeFileSync(outside, original);
    // A mount namespace of its own: the mount goes with the shell.
    const within = (...args: readonly string[]) =>
      spawnSync(
        'unshare',
        [
          ...['--mount', 'sh', '-c', 'mount --bind "$1" "$2" && shift 2 && exec "$@"', 'sh'],
          ...[outside, inside, process.execPath, builtProgram, 'hosts', '--root', root, ...args],
        ],
        { encoding: 'utf8' },
      );
    expect(within()).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringContaining('written in place'),
    });
    expect(readFileSync(outside, 'utf8')).toContain(
      '127.0.0.1 lb-apiserver.kubernetes.local # fairlead hosts\n',
    );
    expect(within('--undo')).toMatchObject({ status: 0 });
    expect(readFileSync(outside, 'utf8')).toBe(original);
  });
}

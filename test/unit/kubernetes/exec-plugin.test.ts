import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execPlugin } from '../../../src/kubernetes/exec-plugin.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();

test('a plugin that hangs is ended with everything that it started', async () => {
  const command = join(directory, 'hang.sh');
  const pidFile = join(directory, 'pid');
  writeFileSync(
    command,
    `#!/bin/sh\nsleep 1000 &\necho $! > ${pidFile}.new && mv ${pidFile}.new ${pidFile}\nwait\n`,
  );
  chmodSync(command, 0o755);
  const user = { name: 'u', exec: { command } };
  const plugin = await execPlugin({ user, kubeconfig: join(directory, 'kc'), timeoutMs: 500 });
  await expect(plugin.run()).rejects.toThrow('no answer within 0.5 s');
  expect(existsSync(pidFile)).toBe(true);
  const state = () => {
    try {
      return readFileSync(`/proc/${readFileSync(pidFile, 'utf8').trim()}/stat`, 'utf8').split(' ')[2];
    } catch {
      return 'gone';
    }
  };
  await eventually('the child is gone', () => ['gone', 'Z'].includes(state() ?? 'gone'));
});

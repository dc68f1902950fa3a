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

/** A plugin that prints what `shell` prints. */
function plugin(name: string, shell: string) {
  const command = join(directory, name);
  writeFileSync(command, `#!/bin/sh\n${shell}\n`);
  chmodSync(command, 0o755);
  return execPlugin({ user: { name: 'u', exec: { command } }, kubeconfig: join(directory, 'kc') });
}
const credential = (more: string) =>
  `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t"}${more}}`;

test('a credential is taken, however much the plugin says of errors', async () => {
  const good = await plugin('good.sh', `head -c 3000000 /dev/zero >&2\nprintf '%s' '${credential('')}'`);
  expect(await good.run()).toEqual({ token: 't' });
});

test.each([
  ['writes without end', "yes '{}'", 'its output exceeds 1048576 bytes'],
  [
    'writes a byte more than the bound',
    `printf '%s' '${credential('')}'\nhead -c 1048576 /dev/zero | tr '\\0' ' '`,
    'its output exceeds 1048576 bytes',
  ],
  [
    'writes a credential with deep JSON in it',
    `printf '%s' '${credential(`,"x":${'['.repeat(100)}${']'.repeat(100)}`)}'`,
    'its output nests deeper than 64',
  ],
  ['writes brackets', "head -c 1000000 /dev/zero | tr '\\0' '['", 'its output nests deeper than 64'],
  ['writes no JSON', 'echo hello', 'its output is not JSON'],
])('a plugin that %s is refused, and the message says what it must print', async (name, shell, message) => {
  const bad = await plugin(`${name.replaceAll(' ', '-')}.sh`, shell);
  await expect(bad.run()).rejects.toThrow(`${message}; it must print one ExecCredential`);
});

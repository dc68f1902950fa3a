// `fairlead kubeconfig point` that is killed: the child kills itself with SIGKILL between two changes of the file system.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { backupSuffix } from '../../../src/adopt/point.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const original = `apiVersion: v1
clusters:
- cluster:
    server: https://10.0.0.1:6443
  name: kubernetes
current-context: here
contexts:
- context: {cluster: kubernetes, user: node}
  name: here
`;
const pointed = original.replace(
  'https://10.0.0.1:6443\n',
  'https://127.0.0.1:6443\n    tls-server-name: kubernetes\n',
);
const file = '/etc/kubelet.conf';

/** Runs the child; true when it killed itself before `step`. */
function run(root: string, action: 'point' | 'undo', step: number): boolean {
  const { signal, status, stderr } = spawnSync(
    process.execPath,
    ['test/support/children/point-child.ts', root, file, action, String(step)],
    { encoding: 'utf8' },
  );
  if (signal === null && status !== 0) throw new Error(stderr);
  return signal === 'SIGKILL';
}

const never = -1;

test('a kill -9 at any step of pointing or undoing leaves the old file or the new one, whole', () => {
  let steps = 0;
  for (let isKilled = true; isKilled; steps += 1) {
    const root = join(directory, String(steps));
    const conf = join(root, file);
    mkdirSync(join(root, 'etc'), { recursive: true });
    writeFileSync(conf, original);

    isKilled = run(root, 'point', steps);
    const state = readFileSync(conf, 'utf8');
    expect([original, pointed]).toContain(state);
    // Whatever is new has its original beside it, so that it can always be undone.
    if (state === pointed) expect(readFileSync(conf + backupSuffix, 'utf8')).toBe(original);
    run(root, 'point', never);
    expect(readFileSync(conf, 'utf8')).toBe(pointed);

    const isUndoKilled = run(root, 'undo', steps);
    expect([original, pointed]).toContain(readFileSync(conf, 'utf8'));
    if (isUndoKilled) run(root, 'undo', never);
    expect(readFileSync(conf, 'utf8')).toBe(original);
    expect(existsSync(conf + backupSuffix)).toBe(false);
  }
  // The run that was not killed: every step before it was.
  expect(steps - 1).toBe(12);
});

// Where the installer keeps its notes, and what it believes of those of the release before; files below a scratch root.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  openState,
  pointingPath,
  refuseToShare,
  rememberedPath,
  removeState,
  stateDirectory,
  takingOverPath,
} from '../../../src/installer/installer-state.ts';
import { NodeFiles } from '../../../src/installer/node-files.ts';
import { agentDirectories } from '../../../src/installer/static-pod.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const scratch = tempDir();
let count = 0;

function makeNode({ hasBackup = true } = {}) {
  count += 1;
  const root = join(scratch, `node-${count}`);
  const path = (file: string) => join(root, file);
  for (const directory of ['/etc/kubernetes', '/var/lib/fairlead'])
    mkdirSync(path(directory), { recursive: true });
  writeFileSync(path('/etc/kubernetes/kubelet.conf'), '');
  if (hasBackup) writeFileSync(path('/etc/kubernetes/kubelet.conf.fairlead-backup'), '');
  const files = new NodeFiles(root);
  return {
    files,
    path,
    has: (file: string) => existsSync(path(file)),
    text: (file: string) => readFileSync(path(file), 'utf8'),
    plant: (name: string, text: string) => writeFileSync(path(`/var/lib/fairlead/${name}`), text),
  };
}

test('the directory is made, and made private again', async () => {
  const node = makeNode();
  mkdirSync(node.path(stateDirectory), { mode: 0o755, recursive: true });
  await openState(node.files);
  expect(statSync(node.path(stateDirectory)).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(node.path(stateDirectory)))
    expect(statSync(join(node.path(stateDirectory), name)).mode & 0o777).toBe(0o600);
});

test('the notes of the release before are moved', async () => {
  const node = makeNode();
  node.plant('pointing', 'fairlead-turn-0\n');
  node.plant('taking-over', '');
  node.plant('tcp_migrate_req.before', '0');
  node.plant('endpoints.json', '{}');
  await openState(node.files);
  expect([node.text(pointingPath), node.text(takingOverPath), node.text(rememberedPath)]).toEqual([
    'fairlead-turn-0\n',
    '',
    '0',
  ]);
  expect(readdirSync(node.path('/var/lib/fairlead'))).toEqual(['endpoints.json']);
});

test("once only: later ones are the agent's, and mean nothing", async () => {
  const node = makeNode();
  await openState(node.files);
  node.plant('pointing', 'fairlead-turn-0\n');
  node.plant('taking-over', '');
  node.plant('tcp_migrate_req.before', '1');
  await openState(node.files);
  expect([pointingPath, takingOverPath, rememberedPath].filter(node.has)).toEqual([]);
});

test.each([
  ['an empty one', ''],
  ['a long one', `fairlead-turn-0\n${'x'.repeat(1000)}`],
])('a note of pointing that no installer wrote is not believed: %s', async (_what, text) => {
  const node = makeNode();
  node.plant('pointing', text);
  await openState(node.files);
  expect(node.has(pointingPath)).toBe(false);
});

test('nor one without a backup beside the kubeconfig, where the agent cannot write', async () => {
  const node = makeNode({ hasBackup: false });
  node.plant('pointing', 'fairlead-turn-0\n');
  await openState(node.files);
  expect(node.has(pointingPath)).toBe(false);
});

test('nor a link', async () => {
  const node = makeNode();
  writeFileSync(node.path('/etc/note'), 'fairlead-turn-0\n');
  symlinkSync('/etc/note', node.path('/var/lib/fairlead/pointing'));
  await openState(node.files);
  expect([node.has(pointingPath), node.has('/etc/note')]).toEqual([false, true]);
});

test('a removal leaves nothing of it', async () => {
  const node = makeNode();
  await openState(node.files);
  await node.files.put(pointingPath, Buffer.from(''));
  node.plant('pointing', '');
  await removeState(node.files);
  expect([node.has(stateDirectory), readdirSync(node.path('/var/lib/fairlead'))]).toEqual([false, []]);
});

const podWith = (mount: string, path: string) => `
kind: Pod
spec:
  containers:
    - {name: fairlead, volumeMounts: [{name: it, mountPath: /somewhere${mount}}, {name: other, mountPath: /b}]}
  volumes:
    - {name: it, hostPath: {path: ${path}}}
    - {name: other, emptyDir: {}}`;

test('what an agent may write is what its template mounts without readOnly', () => {
  expect(agentDirectories(readFileSync('manifests/static-pod/fairlead.yaml', 'utf8'))).toEqual([
    '/var/lib/fairlead',
  ]);
  expect(agentDirectories(podWith('', '/opt/x'))).toEqual(['/opt/x']);
  expect(agentDirectories(podWith(', readOnly: true', '/opt/x'))).toEqual([]);
  expect(agentDirectories('kind: Pod')).toEqual([]);
  expect(agentDirectories(': {')).toEqual([]);
});

test.each([
  '/',
  '/var/lib',
  '/var/lib/',
  '/etc',
  '/etc/kubernetes',
  '/etc/fairlead',
  '/opt/pods',
  stateDirectory,
])('an agent that may write %s is refused', (directory) => {
  expect(() => refuseToShare(agentDirectories(podWith('', directory)), '/opt/pods')).toThrow(/readOnly/);
});

test('one that writes in a directory of its own is not', () => {
  expect(() =>
    refuseToShare(['/var/lib/fairlead', '/var/lib/fair', '/opt/pods-2'], '/opt/pods'),
  ).not.toThrow();
});

test('a manifest is moved between mounts, whole', async () => {
  const node = makeNode();
  let renames = 0;
  const files = new NodeFiles(node.path(''), (step) => {
    renames += step === 'rename' ? 1 : 0;
    if (step === 'rename' && renames === 1) throw Object.assign(new Error('EXDEV'), { code: 'EXDEV' });
  });
  writeFileSync(node.path('/etc/kubernetes/pod.yaml'), 'kind: Pod', { mode: 0o640 });
  await files.move('/etc/kubernetes/pod.yaml', '/etc/other/pod.yaml');
  expect([node.has('/etc/kubernetes/pod.yaml'), node.text('/etc/other/pod.yaml')]).toEqual([
    false,
    'kind: Pod',
  ]);
  expect(statSync(node.path('/etc/other/pod.yaml')).mode & 0o777).toBe(0o640);
});

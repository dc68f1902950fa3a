// What is looked at before the agent goes; the files are real, below a scratch root.
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NodeFiles } from '../../../src/installer/node-files.ts';
import { type Uninstalled, uninstall } from '../../../src/installer/uninstall.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const scratch = tempDir();
const podDirectory = '/etc/kubernetes/manifests';
const conf = '/etc/kubernetes/kubelet.conf';
const naming = (server: string) => `clusters: [{name: k, cluster: {server: '${server}'}}]\n`;
const pointed = naming('https://127.0.0.1:6443');
const original = naming('https://10.0.0.1:6443');

function makeNode(name: string, config = 'listeners: ["127.0.0.1:6443"]\n') {
  const root = join(scratch, name);
  const path = (file: string) => join(root, file);
  for (const directory of [podDirectory, '/etc/fairlead', '/root/.kube', '/etc/kubernetes/fairlead-replaced'])
    mkdirSync(path(directory), { recursive: true });
  writeFileSync(path(`${podDirectory}/fairlead-b.yaml`), 'kind: Pod\n');
  writeFileSync(path('/etc/fairlead/fairlead-b.yaml'), config);
  const said: string[] = [];
  let restarts = 0;
  return {
    path,
    said,
    write: (file: string, text: string) => writeFileSync(path(file), text),
    text: (file: string) => readFileSync(path(file), 'utf8'),
    hasAgent: () => existsSync(path(`${podDirectory}/fairlead-b.yaml`)),
    restarts: () => restarts,
    uninstall: (): Promise<Uninstalled> =>
      uninstall(
        {
          podDirectory,
          adminPorts: { a: 1, b: 2 },
          cacheFile: '/var/lib/fairlead/endpoints.json',
          graceMs: 1,
        },
        {
          files: new NodeFiles(root),
          view: async () => undefined,
          restartKubelet: async () => {
            restarts += 1;
          },
          pause: async () => {},
          nowMs: () => Date.now(),
          say: (line) => said.push(line),
        },
      ),
  };
}

test.each([
  ['kubelet.conf', conf, 'https://127.0.0.1:6443'],
  ['kubelet.conf by name', conf, 'https://localhost:6443'],
  ['another kubeconfig', '/root/.kube/config', 'https://127.0.0.1:6443/'],
])('without a backup the agent stays while it is what %s names', async (_what, file, server) => {
  const node = makeNode(`named ${server} ${file.replaceAll('/', '-')}`);
  node.write(file, naming(server));
  expect(await node.uninstall()).toEqual({ isDone: false, why: expect.stringContaining(file) });
  expect(node.hasAgent()).toBe(true);
  node.write(file, original);
  expect(await node.uninstall()).toEqual({ isDone: true });
  expect(node.hasAgent()).toBe(false);
});

test('an address that is not the agent’s keeps nobody', async () => {
  const node = makeNode('other');
  node.write(conf, naming('https://127.0.0.1:8443'));
  expect(await node.uninstall()).toEqual({ isDone: true });
});

test('while a configuration of the agent cannot be read, every loopback address may be its own', async () => {
  const node = makeNode('unreadable', 'listeners: 7\n');
  node.write(conf, naming('https://127.0.0.1:8443'));
  expect(await node.uninstall()).toMatchObject({ isDone: false });
  // The API server of a control-plane node is on loopback itself.
  node.write(`${podDirectory}/kube-apiserver.yaml`, 'kind: Pod\n');
  expect(await node.uninstall()).toEqual({ isDone: true });
});

test('a proxy that comes back on the address takes it over', async () => {
  const node = makeNode('proxy');
  node.write(conf, pointed);
  node.write('/etc/kubernetes/fairlead-replaced/nginx-proxy.yml', 'metadata: {name: nginx-proxy}\n');
  expect(await node.uninstall()).toEqual({ isDone: true });
  expect(existsSync(node.path(`${podDirectory}/nginx-proxy.yml`))).toBe(true);
});

test.each(['', 'clusters: [', '[]\n'])('a backup that is spoilt (%j) is an error', async (text) => {
  const node = makeNode(`spoilt ${text.length}`);
  node.write(conf, pointed);
  node.write(`${conf}.fairlead-backup`, text);
  await expect(node.uninstall()).rejects.toMatchObject({ code: 'KUBECONFIG_INVALID' });
  expect([node.hasAgent(), node.said, node.restarts()]).toEqual([true, [], 0]);
});

test('a kubeconfig that is a symlink is put back where it really is', async () => {
  const node = makeNode('symlink');
  mkdirSync(node.path('/srv'));
  node.write('/srv/kubelet.conf', pointed);
  node.write('/srv/kubelet.conf.fairlead-backup', original);
  symlinkSync('/srv/kubelet.conf', node.path(conf));
  expect(await node.uninstall()).toEqual({ isDone: true });
  expect(node.text('/srv/kubelet.conf')).toBe(original);
  expect(node.said).toContain(`${conf} is restored`);
  expect(node.restarts()).toBe(1);
});

test('a file that was changed since is not said to be as it was', async () => {
  const node = makeNode('changed');
  node.write(conf, `${pointed}preferences: {}\n`);
  node.write(`${conf}.fairlead-backup`, original);
  expect(await node.uninstall()).toEqual({ isDone: true });
  expect(node.text(conf)).toBe(`${original}preferences: {}\n`);
  expect(node.said).toContain(`${conf} names its API server again`);
});

test('a backup whose kubeconfig is gone is named and left alone', async () => {
  const node = makeNode('gone');
  node.write('/etc/kubernetes/admin.conf.fairlead-backup', original);
  node.write(conf, pointed);
  node.write(`${conf}.fairlead-backup`, original);
  expect(await node.uninstall()).toEqual({ isDone: true });
  expect(node.text(conf)).toBe(original);
  expect(node.said[0]).toMatch(/^warning: \/etc\/kubernetes\/admin\.conf\.fairlead-backup was not removed/);
  rmSync(node.path('/etc/kubernetes/admin.conf.fairlead-backup'));
});

test('a directory of set-aside proxies that cannot be read is an error, and the agent stays', async () => {
  const node = makeNode('replaced unreadable');
  rmSync(node.path('/etc/kubernetes/fairlead-replaced'), { recursive: true });
  node.write('/etc/kubernetes/fairlead-replaced', 'not a directory');
  await expect(node.uninstall()).rejects.toThrow(/ENOTDIR/);
  expect(node.hasAgent()).toBe(true);
});

test('a kubelet.conf that cannot be read may name the agent, which stays', async () => {
  const node = makeNode('kubeconfig unreadable');
  mkdirSync(node.path(conf));
  await expect(node.uninstall()).rejects.toThrow(/is a directory, not a file/);
  expect(node.hasAgent()).toBe(true);
});

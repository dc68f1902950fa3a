// Where the installer writes the static pod, and when it refuses; files below a scratch root.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { NodeFiles } from '../../../src/installer/node-files.ts';
import { findPodDirectory } from '../../../src/installer/pod-directory.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const scratch = tempDir();
const config = '/var/lib/kubelet/config.yaml';
let count = 0;

function makeNode(staticPodPath?: string) {
  count += 1;
  const root = join(scratch, `node-${count}`);
  const path = (file: string) => join(root, file);
  const make = (directory: string) => mkdirSync(path(directory), { recursive: true });
  for (const directory of ['/etc/kubernetes', dirname(config)]) make(directory);
  if (staticPodPath !== undefined) writeFileSync(path(config), `staticPodPath: ${staticPodPath}\n`);
  return {
    root,
    path,
    make,
    link: (target: string, file: string) => symlinkSync(target, path(file)),
    find: (given?: string) => findPodDirectory(new NodeFiles(root), given),
  };
}

test("kubelet's usual directory needs not be there yet", async () => {
  expect(await makeNode().find()).toBe('/etc/kubernetes/manifests');
  expect(await makeNode('/etc/kubernetes/manifests/').find()).toBe('/etc/kubernetes/manifests');
});

test('another directory is taken where it is', async () => {
  const node = makeNode('/opt/pods');
  node.make('/opt/pods');
  expect(await node.find()).toBe('/opt/pods');
});

test.each([
  ['staticPodPath', '/opt/pods', undefined],
  ['--pod-manifest-path', undefined, '/opt/pods'],
])('one that is not mounted is refused with the mount to add: %s', async (setting, configured, given) => {
  const node = makeNode(configured);
  await expect(node.find(given)).rejects.toMatchObject({
    code: 'INSTALL_REFUSED',
    message: expect.stringContaining(
      `/opt/pods (${setting}), which does not exist below ${node.root}: add a hostPath volume for /opt/pods to the ` +
        `installer, mounted at ${node.root}/opt/pods`,
    ),
  });
});

test.each([
  ['absolute', '/data/pods'],
  ['relative', '../../data/pods'],
])('a directory that is a link is taken where its target is mounted: %s', async (_what, target) => {
  const node = makeNode();
  node.link(target, '/etc/kubernetes/manifests');
  await expect(node.find()).rejects.toThrow(/a link to \/data\/pods, .* volume for \/data\/pods/);
  node.make('/data/pods');
  expect(await node.find()).toBe('/etc/kubernetes/manifests');
});

test("kubelet's configuration behind a link that leads out of the mounts is not taken for none", async () => {
  const node = makeNode();
  node.link('/data/kubelet/config.yaml', config);
  await expect(node.find()).rejects.toThrow(
    /is a link to \/data\/kubelet\/config.yaml, .* volume for \/data\/kubelet /,
  );
  node.make('/data/kubelet');
  writeFileSync(node.path('/data/kubelet/config.yaml'), 'staticPodPath: /data/pods\n');
  node.make('/data/pods');
  expect(await node.find()).toBe('/data/pods');
});

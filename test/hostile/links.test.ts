// Attack: an agent that was taken over puts links, named pipes and files where the installer, which is root, reads and
// writes: in /var/lib/fairlead. The agent has uid 0 as well, so nothing here can depend on who owns a link.
// Bound: no file outside that directory is read, changed or removed, and an install pass still ends serving.
// The node is a scratch directory; nothing outside it is touched.
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { atPlace, LinkRefused, readHeld } from '../../src/lib/held-path.ts';
import { stateDirectory } from '../../src/installer/installer-state.ts';
import { cacheFile, change } from '../support/children/install-child.ts';
import { longTest } from '../support/jest/full-tier.ts';
import { tempDir } from '../support/jest/temp-dir.ts';

const scratch = tempDir();
const agentDirectory = dirname(cacheFile);
const secrets = { '/etc/shadow': 'root:x\n', '/etc/ld.so.conf': '/lib\n', '/etc/passwd': 'root:x:0:0\n' };
/** What the installer has kept, or keeps, in the agent's directory or writes there. */
const names = [
  'pointing',
  'taking-over',
  'tcp_migrate_req.before',
  'endpoints.json',
  'endpoints.json.ca.pem',
  'endpoints.json.remembered',
];

let count = 0;
function makeNode() {
  count += 1;
  const root = join(scratch, `node-${count}`);
  const path = (file: string) => join(root, file);
  for (const directory of [
    '/etc/kubernetes/manifests',
    agentDirectory,
    '/proc/sys/net/ipv4',
    '/var/lib/kubelet',
  ])
    mkdirSync(path(directory), { recursive: true });
  for (const [file, text] of Object.entries(secrets)) writeFileSync(path(file), text);
  writeFileSync(path('/proc/sys/net/ipv4/tcp_migrate_req'), '0');
  return {
    root,
    path,
    agentFile: (name: string) => path(join(agentDirectory, name)),
    expectUntouched() {
      for (const [file, text] of Object.entries(secrets))
        expect([file, readFileSync(path(file), 'utf8')]).toEqual([file, text]);
      expect(readdirSync(path('/etc')).sort()).toEqual(
        expect.arrayContaining(Object.keys(secrets).map((file) => file.slice('/etc/'.length))),
      );
    },
  };
}

type Node = ReturnType<typeof makeNode>;

/** As they are written in a container: absolute links, and relative ones. */
const linkTo = (node: Node, name: string, target: string) => symlinkSync(target, node.agentFile(name));

test.each(Object.keys(secrets).flatMap((secret) => names.map((name) => [name, secret])))(
  'a link %s to %s: nothing behind it changes in an installation, an update and a removal',
  async (name, secret) => {
    const node = makeNode();
    linkTo(node, name, secret);
    await change(node.root, 'install');
    node.expectUntouched();
    await change(node.root, 'update');
    node.expectUntouched();
    rmSync(node.agentFile(name), { force: true });
    linkTo(node, name, `../../..${secret}`);
    await change(node.root, 'uninstall');
    node.expectUntouched();
  },
);

test("a link in place of the agent's list is replaced by a list", async () => {
  const node = makeNode();
  linkTo(node, 'endpoints.json', '/etc/shadow');
  await change(node.root, 'install');
  expect(lstatSync(node.agentFile('endpoints.json')).isFile()).toBe(true);
  expect(readFileSync(node.agentFile('endpoints.json'), 'utf8')).toContain('10.0.0.1');
});

test('a directory of the agent that became a link is not entered', async () => {
  const node = makeNode();
  const nested = join(agentDirectory, 'cache/endpoints.json');
  mkdirSync(node.path('/etc/cache'));
  writeFileSync(node.path('/etc/cache/endpoints.json'), 'root only');
  linkTo(node, 'cache', '/etc/cache');
  await expect(change(node.root, 'install', undefined, nested)).rejects.toThrow(/cache is a symbolic link/);
  await expect(change(node.root, 'uninstall', undefined, nested)).rejects.toThrow(/cache is a symbolic link/);
  expect(readFileSync(node.path('/etc/cache/endpoints.json'), 'utf8')).toBe('root only');
});

test('a named pipe, and a file without end, in place of the list hold nothing up', async () => {
  const node = makeNode();
  spawnSync('mkfifo', [node.agentFile('endpoints.json')]);
  await change(node.root, 'install');
  expect(lstatSync(node.agentFile('endpoints.json')).isFile()).toBe(true);
  writeFileSync(node.agentFile('endpoints.json'), '');
  spawnSync('truncate', ['-s', '1T', node.agentFile('endpoints.json')]);
  await change(node.root, 'install');
  expect(statSync(node.agentFile('endpoints.json')).size).toBeLessThan(10_000);
});

test("plain files with the names of the installer's notes have no effect", async () => {
  const node = makeNode();
  await change(node.root, 'install');
  for (const name of names.slice(0, 3)) writeFileSync(node.agentFile(name), '1');
  await change(node.root, 'update');
  expect(readFileSync(node.path('/proc/sys/net/ipv4/tcp_migrate_req'), 'utf8')).toBe('0');
  const own = lstatSync(node.path(stateDirectory));
  expect([own.isDirectory(), own.mode & 0o777]).toEqual([true, 0o700]);
});

/** As the agent has it: uid 0, no capability, the one directory; it swaps a directory and a link as fast as it can. */
async function race(rounds: number): Promise<void> {
  const node = makeNode();
  mkdirSync(node.path('/etc/real'));
  writeFileSync(node.path('/etc/real/endpoints.json'), 'root only');
  const nested = join(agentDirectory, 'cache/endpoints.json');
  const script = `
    const { mkdirSync, renameSync, symlinkSync, rmSync } = require('node:fs');
    for (;;) {
      try { rmSync('cache', { recursive: true, force: true }); } catch {}
      try { mkdirSync('cache'); } catch {}
      try { renameSync('cache', 'aside'); symlinkSync('${node.path('/etc/real')}', 'cache'); } catch {}
      try { rmSync('aside', { recursive: true, force: true }); } catch {}
    }`;
  const command = [process.execPath, '-e', script];
  if (process.getuid?.() === 0) command.unshift('setpriv', '--bounding-set=-all', '--inh-caps=-all');
  const [program = '', ...args] = command;
  const racer = spawn(program, args, { cwd: node.path(agentDirectory), stdio: 'ignore' });
  try {
    for (let round = 0; round < rounds; round += 1) {
      // Most fail: what was opened is gone. What counts is what they touched.
      await change(node.root, round % 3 === 2 ? 'uninstall' : 'install', undefined, nested).catch(() => {});
      expect(readFileSync(node.path('/etc/real/endpoints.json'), 'utf8')).toBe('root only');
      expect(readdirSync(node.path('/etc/real'))).toEqual(['endpoints.json']);
    }
  } finally {
    racer.kill('SIGKILL');
  }
  node.expectUntouched();
}

/** A walk of a directory again and again, while it becomes a link and a directory as fast as renames go. */
async function raceWalks(walks: number): Promise<void> {
  const node = makeNode();
  mkdirSync(node.path('/etc/real'));
  writeFileSync(node.path('/etc/real/file'), 'root only');
  mkdirSync(node.agentFile('cache'));
  writeFileSync(node.agentFile('cache/file'), 'its own');
  const script = `
    const { renameSync, symlinkSync } = require('node:fs');
    symlinkSync('${node.path('/etc/real')}', 'link');
    for (;;) {
      renameSync('cache', 'aside'); renameSync('link', 'cache');
      renameSync('cache', 'link'); renameSync('aside', 'cache');
    }`;
  const racer = spawn(process.execPath, ['-e', script], {
    cwd: node.path(agentDirectory),
    stdio: 'ignore',
  });
  const held = { root: node.root, distrusted: [agentDirectory] };
  const path = join(agentDirectory, 'cache/file');
  const seen = new Set<string>();
  const isRaced = () => seen.has('its own') && seen.has('refused');
  try {
    // On a busy machine the other process may not have started yet.
    for (let walk = 0; walk < walks || (!isRaced() && walk < 100 * walks); walk += 1) {
      seen.add(
        await atPlace(held, path, (place) => readHeld(place, 100)).then(String, (error: Error) =>
          error instanceof LinkRefused ? 'refused' : 'gone',
        ),
      );
    }
  } finally {
    racer.kill('SIGKILL');
  }
  expect(isRaced()).toBe(true);
  expect([...seen]).not.toContain('root only');
}

test(
  'an agent that swaps a directory for a link while it is walked wins nothing',
  () => raceWalks(5_000),
  60_000,
);
longTest('the same, 50,000 times', () => raceWalks(50_000), 600_000);

test(
  'an agent that swaps a directory for a link while the installer works wins nothing',
  () => race(30),
  60_000,
);
longTest('the same, 1,000 times', () => race(1_000), 600_000);

test("links where only root writes are followed: kubelet's directory on another disk", async () => {
  const node = makeNode();
  rmSync(node.path('/var/lib/kubelet'), { recursive: true });
  mkdirSync(node.path('/data/kubelet'), { recursive: true });
  mkdirSync(node.path('/data/fairlead'), { recursive: true });
  symlinkSync('/data/kubelet', node.path('/var/lib/kubelet'));
  rmSync(node.path(agentDirectory), { recursive: true });
  symlinkSync('/data/fairlead', node.path(agentDirectory));
  mkdirSync(node.path('/data/manifests'));
  rmSync(node.path('/etc/kubernetes/manifests'), { recursive: true });
  symlinkSync('/data/manifests', node.path('/etc/kubernetes/manifests'));
  await change(node.root, 'install');
  expect(existsSync(node.path('/data/fairlead/endpoints.json'))).toBe(true);
  expect(readdirSync(node.path('/data/manifests'))).toEqual(['fairlead-a.yaml']);
  // Behind such a link the agent's directory is the agent's all the same.
  rmSync(node.path('/data/fairlead/endpoints.json'));
  symlinkSync('/etc/shadow', node.path('/data/fairlead/endpoints.json'));
  await change(node.root, 'install');
  node.expectUntouched();
  await change(node.root, 'uninstall');
  node.expectUntouched();
});

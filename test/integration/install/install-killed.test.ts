// A power cut at any step: the child kills itself with SIGKILL between two changes of the file system.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeCache } from '../../../src/discovery/cache-format.ts';
import { renderStaticPod, type Slot } from '../../../src/installer/static-pod.ts';
import { isFullTier } from '../../support/jest/full-tier.ts';
import { cacheFile, type Change, change, desiredState } from '../../support/children/install-child.ts';
import { makeNode, podDirectory } from '../../support/kubelet/kubelet.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const scratch = tempDir();
const proxy = 'metadata: {name: nginx-proxy}\nspec: {containers: [{image: nginx:1.27, command: [nginx]}]}\n';
const original = 'clusters: [{name: k, cluster: {server: "https://10.0.0.1:6443"}}]\n';
const pointed = original.replace('10.0.0.1', '127.0.0.1');
const ownHosts = '10.0.0.9 lb-apiserver.kubernetes.local\n';

/** One file, as it is started some eighty times. */
const child = join(scratch, 'child.mjs');

beforeAll(() => {
  const banner = "import{createRequire}from'node:module';const require=createRequire(import.meta.url);";
  const { status, stderr } = spawnSync(
    'node_modules/.bin/esbuild',
    [
      'test/support/children/install-child.ts',
      ...['--bundle', '--platform=node', '--format=esm', `--outfile=${child}`, `--banner:js=${banner}`],
    ],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(stderr);
});

/** From one step that is cut to the next. */
const stride = isFullTier ? 1 : 3;

/** Each step is a process, a copied node and a second change: half a minute in all on a quiet machine. */
function cut(name: string, run: () => Promise<void>): void {
  test(name, run, 180_000);
}

/** Runs the child; true when it killed itself before `step`. */
function run(root: string, what: Change, step: number): boolean {
  const args = [child, root, what, String(step)];
  const { signal, status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (signal === null && status !== 0) throw new Error(stderr);
  return signal === 'SIGKILL';
}

const rendered = (version: string, slot: Slot) => {
  const { template, image, configText, config } = desiredState(version, false);
  const adminPort = slot === 'a' ? 6440 : 6441;
  return renderStaticPod({ template, image, slot, config: configText, adminPort, admin: config.admin });
};

const read = (root: string, path: string) =>
  existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : undefined;

/** The manifests that kubelet sees; each must be whole, and have all that its pod needs to start. */
function pods(root: string): string[] {
  const names = readdirSync(join(root, podDirectory)).filter((name) => !name.startsWith('.'));
  for (const name of names) {
    const text = read(root, `${podDirectory}/${name}`) ?? '';
    if (name === 'nginx-proxy.yml') {
      expect(text).toBe(proxy);
      continue;
    }
    const slot = name === 'fairlead-a.yaml' ? 'a' : 'b';
    const version = [1, 2].find((one) => text === rendered(String(one), slot));
    expect(version).toBeDefined();
    expect(read(root, `/etc/fairlead/fairlead-${slot}.yaml`)).toBe(
      desiredState(String(version), false).configText.toString(),
    );
    expect(read(root, '/etc/fairlead/ca.crt')).toBe('the CA\n');
    expect(decodeCache(read(root, cacheFile) ?? '')).toMatchObject({ ok: true });
  }
  return names;
}

async function everyStep(
  what: Change,
  prepare: (root: string) => Promise<void>,
  check: (root: string, isKilled: boolean) => void,
): Promise<number> {
  const from = join(scratch, what, 'from');
  mkdirSync(from, { recursive: true });
  makeNode(from);
  await prepare(from);
  let steps = 0;
  for (let isKilled = true; isKilled; steps += stride) {
    const root = join(scratch, what, String(steps));
    cpSync(from, root, { recursive: true, preserveTimestamps: true });
    isKilled = run(root, what, steps);
    check(root, isKilled);
    await change(root, what);
    check(root, false);
  }
  return steps - stride;
}

cut('of an installation: no pod, or one that has everything', async () => {
  const steps = await everyStep(
    'install',
    async () => {},
    (root, isKilled) => {
      const found = pods(root);
      expect(isKilled ? [[], ['fairlead-a.yaml']] : [['fairlead-a.yaml']]).toContainEqual(found);
    },
  );
  expect(steps).toBeGreaterThan(15);
});

cut('of an update: there is always a whole pod, of the old version or the new one', async () => {
  const steps = await everyStep(
    'update',
    (root) => change(root, 'install'),
    (root, isKilled) => {
      const states = [['fairlead-a.yaml'], ['fairlead-a.yaml', 'fairlead-b.yaml'], ['fairlead-b.yaml']];
      expect(isKilled ? states : [states[2]]).toContainEqual(pods(root));
      if (isKilled) return;
      expect(existsSync(join(root, '/etc/fairlead/fairlead-a.yaml'))).toBe(false);
      expect(read(root, '/proc/sys/net/ipv4/tcp_migrate_req')?.trim()).toBe('0');
    },
  );
  expect(steps).toBeGreaterThan(15);
});

cut(
  'of taking over from nginx-proxy: its pod or the agent is there, and its manifest is never lost',
  async () => {
    const steps = await everyStep(
      'take-over',
      async (root) => writeFileSync(join(root, podDirectory, 'nginx-proxy.yml'), proxy),
      (root, isKilled) => {
        const found = pods(root);
        expect(found).not.toEqual([]);
        const aside = read(root, '/etc/kubernetes/fairlead-replaced/nginx-proxy.yml');
        expect(found.includes('nginx-proxy.yml')).toBe(aside === undefined);
        if (aside !== undefined) expect(aside).toBe(proxy);
        if (!isKilled) expect(found).toEqual(['fairlead-a.yaml']);
      },
    );
    expect(steps).toBeGreaterThan(15);
  },
);

cut(
  'of a removal: while a kubeconfig points at the agent, the agent is there; in the end nothing is',
  async () => {
    const steps = await everyStep(
      'uninstall',
      async (root) => {
        writeFileSync(join(root, podDirectory, 'nginx-proxy.yml'), proxy);
        await change(root, 'take-over');
        writeFileSync(join(root, '/etc/kubernetes/kubelet.conf'), pointed);
        writeFileSync(join(root, '/etc/kubernetes/kubelet.conf.fairlead-backup'), original);
        writeFileSync(
          join(root, '/etc/hosts'),
          `# fairlead hosts, instead of [${ownHosts.trim()}]\n127.0.0.1 lb-apiserver.kubernetes.local # fairlead hosts\n`,
        );
      },
      (root, isKilled) => {
        const found = pods(root);
        const conf = read(root, '/etc/kubernetes/kubelet.conf');
        expect([original, pointed]).toContain(conf);
        if (conf === pointed) expect(found).toEqual(['fairlead-a.yaml']);
        // A kubelet that was not restarted still goes through the agent.
        if (!found.includes('fairlead-a.yaml'))
          expect(existsSync(join(root, 'etc/kubernetes/kubelet-restarted'))).toBe(true);
        if (isKilled) return;
        expect(conf).toBe(original);
        expect(found).toEqual(['nginx-proxy.yml']);
        expect(read(root, '/etc/hosts')).toBe(ownHosts);
        expect([
          existsSync(join(root, '/etc/fairlead')),
          existsSync(join(root, '/var/lib/fairlead')),
        ]).toEqual([false, false]);
      },
    );
    expect(steps).toBeGreaterThan(5);
  },
);

import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  applyPlan,
  backupSuffix,
  type FilePlan,
  planPointing,
  planRestoring,
  type PointOptions,
} from '../../../src/adopt/point.ts';
import type { OnStep } from '../../../src/lib/replace-file.ts';
import type { NameChoiceInput } from '../../../src/adopt/server-names.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
let count = 0;

/** A root directory of its own with a kubelet.conf. */
function makeRoot(text = kubeletConf): { root: string; conf: string } {
  count += 1;
  const root = join(directory, String(count));
  mkdirSync(join(root, 'etc/kubernetes'), { recursive: true });
  const conf = join(root, 'etc/kubernetes/kubelet.conf');
  writeFileSync(conf, text, { mode: 0o600 });
  return { root, conf };
}

const kubeletConf = `# made by kubeadm
apiVersion: v1
clusters:
- cluster:
    server: https://10.0.0.1:6443 # the first one
  name: kubernetes
- cluster:
    server: https://192.0.2.1:6443
  name: other
contexts:
- context: {cluster: kubernetes, user: node}
  name: here
current-context: here
users: []
`;
const pointed = kubeletConf.replace(
  'https://10.0.0.1:6443 # the first one\n',
  'https://127.0.0.1:6443 # the first one\n    tls-server-name: kubernetes\n',
);
const file = '/etc/kubernetes/kubelet.conf';

function options(root: string, more: Partial<PointOptions> = {}): PointOptions {
  return {
    root,
    files: [file],
    address: { host: '127.0.0.1', port: 6443 },
    server: 'https://127.0.0.1:6443',
    tlsServerName: 'auto',
    clusters: 'current',
    endpoints: [],
    chooseName: async () => ({ ok: true, name: 'kubernetes', warnings: [] }),
    ...more,
  };
}

async function apply(plans: Promise<FilePlan[]>, onStep?: OnStep): Promise<FilePlan[]> {
  const made = await plans;
  for (const plan of made) await applyPlan(plan, { nowMs: Date.now(), ...(onStep && { onStep }) });
  return made;
}

const text = (path: string) => readFileSync(path, 'utf8');

test('pointing changes the current cluster, keeps the mode and puts the original beside the file', async () => {
  const { root, conf } = makeRoot();
  chmodSync(conf, 0o640);
  const [plan] = await apply(planPointing(options(root)));
  expect(text(conf)).toBe(pointed);
  expect(text(conf + backupSuffix)).toBe(kubeletConf);
  expect([conf, conf + backupSuffix].map((path) => statSync(path).mode & 0o777)).toEqual([0o640, 0o640]);
  expect(plan?.clusters).toEqual([
    {
      cluster: 'kubernetes',
      from: 'https://10.0.0.1:6443',
      to: 'https://127.0.0.1:6443',
      tlsServerName: 'kubernetes',
    },
  ]);
});

test('pointing twice changes nothing the second time, and the backup stays the original', async () => {
  const { root, conf } = makeRoot();
  await apply(planPointing(options(root)));
  const before = statSync(conf, { bigint: true });
  const [plan] = await apply(planPointing(options(root)));
  expect(plan?.action).toBe('nothing');
  expect(statSync(conf, { bigint: true }).ino).toBe(before.ino);
  await apply(planPointing(options(root, { server: 'https://localhost:7443' })));
  expect(text(conf + backupSuffix)).toBe(kubeletConf);
});

test('undo gives back the same bytes, leaves no backup, and does nothing the second time', async () => {
  const { root, conf } = makeRoot();
  await apply(planPointing(options(root, { clusters: 'all' })));
  expect(text(conf).match(/127\.0\.0\.1/g)).toHaveLength(2);
  const [plan] = await apply(planRestoring(options(root)));
  expect(plan?.diff).toContain('+    server: https://10.0.0.1:6443 # the first one');
  expect(text(conf)).toBe(kubeletConf);
  expect(readdirSync(join(root, 'etc/kubernetes'))).toEqual(['kubelet.conf']);
  expect((await apply(planRestoring(options(root))))[0]?.action).toBe('nothing');
});

test('undo of a file that somebody has changed since puts back the addresses only', async () => {
  const { root, conf } = makeRoot();
  await apply(planPointing(options(root)));
  writeFileSync(conf, `${text(conf)}# added later\n`);
  const [plan] = await apply(planRestoring(options(root)));
  expect(plan?.warnings).toEqual([expect.stringContaining('changed since')]);
  expect(text(conf)).toBe(`${kubeletConf}# added later\n`);
  expect(existsSync(conf + backupSuffix)).toBe(false);
});

test('a backup from before a rewrite by somebody else gives way to the newer original', async () => {
  const { root, conf } = makeRoot();
  await apply(planPointing(options(root)));
  const rewritten = `# made again\n${kubeletConf}`;
  writeFileSync(conf, rewritten);
  await apply(planPointing(options(root)));
  await apply(planRestoring(options(root)));
  expect(text(conf)).toBe(rewritten);
});

test('a symlinked kubeconfig stays a symlink; what it leads to, below the root, is replaced', async () => {
  const { root, conf } = makeRoot();
  mkdirSync(join(root, 'srv'));
  writeFileSync(join(root, 'srv/real.conf'), kubeletConf);
  unlinkSync(conf);
  // Absolute, as seen on the node: it must not lead out of the root.
  symlinkSync('/srv/real.conf', conf);
  await apply(planPointing(options(root)));
  expect(text(join(root, 'srv/real.conf'))).toBe(pointed);
  expect(readdirSync(join(root, 'etc/kubernetes'))).toEqual(['kubelet.conf']);
  await apply(planRestoring(options(root)));
  expect(readdirSync(join(root, 'srv'))).toEqual(['real.conf']);
  expect(text(join(root, 'srv/real.conf'))).toBe(kubeletConf);
});

test('the CA is taken from data or from a file relative to the kubeconfig', async () => {
  const ca = '-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n';
  const { root, conf } = makeRoot(
    kubeletConf.replace(
      '    server: https://10',
      '    certificate-authority: pki/ca.crt\n    server: https://10',
    ),
  );
  await expect(planPointing(options(root))).rejects.toThrow(/the CA of cluster "kubernetes".*does not exist/);
  mkdirSync(join(root, 'etc/kubernetes/pki'));
  writeFileSync(join(root, 'etc/kubernetes/pki/ca.crt'), ca);
  await expect(planPointing(options(root))).rejects.toThrow('certificate 1 in /etc/kubernetes/pki/ca.crt');
  expect(text(conf)).toContain('10.0.0.1');
});

test('an address that does not verify is refused, with nothing changed', async () => {
  const { root, conf } = makeRoot();
  const refusing = options(root, {
    chooseName: async () => ({ ok: false, problem: 'no process listens there' }),
  });
  await expect(planPointing(refusing)).rejects.toMatchObject({
    code: 'SERVER_UNVERIFIED',
    message: expect.stringContaining('no process listens there'),
  });
  expect(text(conf)).toBe(kubeletConf);
  expect(existsSync(conf + backupSuffix)).toBe(false);
});

test('without need for another name none is written, and a name that still works stays', async () => {
  const plain = makeRoot();
  const asked: NameChoiceInput[] = [];
  const choosing = (name: string) => ({
    chooseName: async (input: NameChoiceInput) => {
      asked.push(input);
      return { ok: true, name, warnings: [] } as const;
    },
  });
  await apply(planPointing(options(plain.root, choosing('127.0.0.1'))));
  expect(text(plain.conf)).not.toContain('tls-server-name');
  const named = makeRoot(pointed.replace('127.0.0.1:6443', '10.0.0.1:6443'));
  await apply(planPointing(options(named.root, choosing('kubernetes'))));
  expect(text(named.conf)).toBe(pointed);
  expect(asked.map(({ candidates }) => candidates[0])).toEqual(['127.0.0.1', 'kubernetes']);
});

test.each([
  ['no such file', { files: ['/etc/kubernetes/none.conf'] }, '/etc/kubernetes/none.conf does not exist'],
  ['no such cluster', { clusters: ['third'] }, 'no cluster "third" (it has: kubernetes, other)'],
  ['a directory', { files: ['/etc/kubernetes'] }, 'is not a regular file'],
] as const)('%s is an error that says so', async (_, more, message) => {
  const { root } = makeRoot();
  await expect(planPointing(options(root, more))).rejects.toThrow(message);
});

test('the problems of all files come at once, and none of the files is changed', async () => {
  const { root, conf } = makeRoot();
  writeFileSync(join(root, 'bad.conf'), 'clusters: [');
  const planning = planPointing(options(root, { files: [file, '/bad.conf', '/none.conf'] }));
  await expect(planning).rejects.toThrow(/\/bad\.conf is not YAML[\s\S]*\/none\.conf does not exist/);
  expect(text(conf)).toBe(kubeletConf);
});

test('skipped verification is refused: nothing could be checked', async () => {
  const { root } = makeRoot(
    kubeletConf.replace(
      '    server: https://10',
      '    insecure-skip-tls-verify: true\n    server: https://10',
    ),
  );
  await expect(planPointing(options(root))).rejects.toThrow('insecure-skip-tls-verify');
});

test.each([
  ['a proxy', '    proxy-url: http://10.0.0.9:3128\n    server: https://10.0.0.1:6443', 'proxy-url'],
  ['a path', '    server: https://10.0.0.1:6443/k8s/clusters/c-1', 'a path'],
])('a cluster behind %s is refused: its clients would reach something else', async (_, entry, message) => {
  const original = kubeletConf.replace('    server: https://10.0.0.1:6443', entry);
  const { root, conf } = makeRoot(original);
  await expect(planPointing(options(root))).rejects.toThrow(message);
  expect(text(conf)).toBe(original);
});

test.each(['    proxy-url: ""\n    server: https://10.0.0.1:6443', '    server: https://10.0.0.1:6443/'])(
  'an empty proxy and the root path say nothing: %j',
  async (entry) => {
    const { root, conf } = makeRoot(kubeletConf.replace('    server: https://10.0.0.1:6443', entry));
    await apply(planPointing(options(root)));
    expect(text(conf)).toContain('server: https://127.0.0.1:6443');
  },
);

test('a file that an older release pointed behind a proxy can be undone', async () => {
  const original = kubeletConf.replace(
    '    server: https://10',
    '    proxy-url: http://10.0.0.9:3128\n    server: https://10',
  );
  const { root, conf } = makeRoot(original.replace('https://10.0.0.1:6443', 'https://127.0.0.1:6443'));
  writeFileSync(`${conf}${backupSuffix}`, original);
  await apply(planRestoring(options(root)));
  expect(text(conf)).toBe(original);
});

test('a file that changes between plan and write is left alone', async () => {
  const { root, conf } = makeRoot();
  const plans = await planPointing(options(root));
  writeFileSync(conf, `${kubeletConf}# mine\n`);
  await expect(apply(Promise.resolve(plans))).rejects.toMatchObject({ code: 'FILE_NOT_WRITTEN' });
  expect(text(conf)).toBe(`${kubeletConf}# mine\n`);
});

test('the content is on disk before its name is, and the name before the run ends', async () => {
  const { root } = makeRoot();
  const steps: string[] = [];
  await apply(planPointing(options(root)), (step) => void steps.push(step));
  const one = ['create', 'write', 'chmod', 'fsync', 'rename', 'fsync directory'];
  expect(steps).toEqual([...one, ...one]);
});

/** The steps of a run, and what happens when it fails before each of them. */
async function failingAt(step: number, plans: Promise<FilePlan[]>): Promise<boolean> {
  let at = 0;
  try {
    await apply(plans, () => {
      if (at === step) throw new Error('no space left');
      at += 1;
    });
    return false;
  } catch (error) {
    expect(error).toMatchObject({ code: 'FILE_NOT_WRITTEN' });
    return true;
  }
}

test('a failure at any step of pointing leaves the old or the new file, and the next run completes it', async () => {
  for (let step = 0; ; step += 1) {
    const { root, conf } = makeRoot();
    const hasFailed = await failingAt(step, planPointing(options(root)));
    expect([kubeletConf, pointed]).toContain(text(conf));
    expect(readdirSync(join(root, 'etc/kubernetes')).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    await apply(planPointing(options(root)));
    expect(text(conf)).toBe(pointed);
    await apply(planRestoring(options(root)));
    expect(text(conf)).toBe(kubeletConf);
    if (!hasFailed) {
      expect(step).toBe(12);
      break;
    }
  }
});

test.each([
  ['as it was pointed', ''],
  ['changed since', '# added\n'],
])(
  'a failure at any step of an undo (%s) leaves the old or the new file, and the next run completes it',
  async (_, added) => {
    for (let step = 0; ; step += 1) {
      const { root, conf } = makeRoot();
      await apply(planPointing(options(root)));
      writeFileSync(conf, text(conf) + added);
      const hasFailed = await failingAt(step, planRestoring(options(root)));
      expect([kubeletConf + added, pointed + added]).toContain(text(conf));
      await apply(planRestoring(options(root)));
      expect(text(conf)).toBe(kubeletConf + added);
      if (!hasFailed) {
        expect(step).toBeGreaterThan(1);
        break;
      }
    }
  },
);

test('the temporary file of a run that was killed long ago is removed, a fresh one is not', async () => {
  const { root, conf } = makeRoot();
  const [old, fresh] = ['0123', '4567'].map((id) =>
    join(root, `etc/kubernetes/.kubelet.conf.fairlead-${id}.tmp`),
  );
  for (const leftover of [old, fresh]) writeFileSync(leftover as string, '');
  const anHourAgo = Date.now() / 1000 - 3600;
  utimesSync(old as string, anHourAgo, anHourAgo);
  await apply(planPointing(options(root)));
  expect([existsSync(old as string), existsSync(fresh as string)]).toEqual([false, true]);
  expect(text(conf)).toBe(pointed);
});

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  findKubeconfigs,
  judgeHosts,
  type KubeconfigContext,
  judgeKubeconfigs,
} from '../../../src/doctor/kubeconfig-checks.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
let count = 0;

const context: KubeconfigContext = {
  role: 'worker',
  listeners: [
    { host: '127.0.0.1', port: 6443 },
    { host: '::1', port: 6443 },
  ],
  isAgentRunning: false,
  isPortHeld: false,
};

async function judged(file: string, text: string, more: Partial<KubeconfigContext> = {}) {
  count += 1;
  const root = join(directory, String(count));
  mkdirSync(dirname(join(root, file)), { recursive: true });
  writeFileSync(join(root, file), text);
  return judgeKubeconfigs(await findKubeconfigs(root), { ...context, ...more });
}

const to = (server: string, extra = '') =>
  `clusters:\n- name: c\n  cluster:\n    server: ${server}\n${extra}contexts:\n- {name: x, context: {cluster: c, user: u}}\ncurrent-context: x\n`;
const kubelet = '/etc/kubernetes/kubelet.conf';

test.each<[string, string, Partial<KubeconfigContext>, string]>([
  ['past Fairlead, before there is one', 'https://10.0.0.1:6443', {}, 'info'],
  ['past Fairlead, which runs', 'https://10.0.0.1:6443', { isAgentRunning: true }, 'warning'],
  ['to Fairlead, which runs', 'https://localhost:6443', { isAgentRunning: true }, 'ok'],
  [
    'to Fairlead, which a DaemonSet runs',
    'https://localhost:6443',
    { isAgentRunning: true, isDaemonSet: true },
    'error',
  ],
  ['to Fairlead by IPv6', 'https://[::1]:6443', { isAgentRunning: true }, 'ok'],
  ['to another proxy on the port', 'https://127.0.0.1:6443', { isPortHeld: true }, 'info'],
  ['where no process listens', 'https://127.0.0.1:6443', {}, 'error'],
  ['to another local port', 'https://127.0.0.1:7443', { isAgentRunning: true }, 'error'],
  [
    'past Fairlead on a control-plane node',
    'https://10.0.0.1:6443',
    { role: 'control-plane', isAgentRunning: true },
    'ok',
  ],
  ['to the API server of its node', 'https://127.0.0.1:6443', { role: 'control-plane' }, 'ok'],
  ['to no https address', 'http://10.0.0.1:8080', {}, 'info'],
])('kubelet.conf that leads %s', async (_, server, more, severity) => {
  expect(await judged(kubelet, to(server), more)).toMatchObject([{ check: 'kubeconfig', severity }]);
});

test('for clients other than kubelet an agent of a DaemonSet is as good as another', async () => {
  const more = { isAgentRunning: true, isDaemonSet: true };
  const found = await judged('/root/.kube/config', to('https://localhost:6443'), more);
  expect(found).toMatchObject([{ severity: 'ok' }]);
});

test('the fix is the command, with a restart where kubelet needs one', async () => {
  const [finding] = await judged(kubelet, to('https://10.0.0.1:6443'), { isAgentRunning: true });
  expect(finding?.fix).toBe(`fairlead kubeconfig point ${kubelet} && systemctl restart kubelet`);
  const [other] = await judged('/root/.kube/config', to('https://10.0.0.1:6443'), { isAgentRunning: true });
  expect(other).toMatchObject({ severity: 'info', fix: 'fairlead kubeconfig point /root/.kube/config' });
  const [undo] = await judged(kubelet, to('https://127.0.0.1:6443'));
  expect(undo?.fix).toContain(`fairlead kubeconfig point --undo ${kubelet}`);
});

test.each([
  ['clusters: [', 'is not YAML'],
  ['clusters: []\n', 'has no current context'],
])('a kubeconfig that cannot be read is a warning', async (text, problem) => {
  expect(await judged(kubelet, text)).toMatchObject([
    { severity: 'warning', message: expect.stringContaining(problem) },
  ]);
});

test('what a client verifies is the tls-server-name, else the host', async () => {
  const root = join(directory, 'names');
  mkdirSync(join(root, 'etc/kubernetes'), { recursive: true });
  writeFileSync(join(root, kubelet), to('https://127.0.0.1:6443', '    tls-server-name: kubernetes\n'));
  writeFileSync(join(root, 'etc/kubernetes/admin.conf'), to('https://[fd00::1]:6443'));
  expect((await findKubeconfigs(root)).map(({ file, name, server }) => ({ file, name, server }))).toEqual([
    { file: kubelet, name: 'kubernetes', server: { host: '127.0.0.1', port: 6443 } },
    { file: '/etc/kubernetes/admin.conf', name: 'fd00::1', server: { host: 'fd00::1', port: 6443 } },
  ]);
});

test('a server whose name /etc/hosts gives to this node leads to Fairlead, and the name is what is verified', async () => {
  const root = join(directory, 'hosts');
  mkdirSync(join(root, 'etc/kubernetes'), { recursive: true });
  const name = 'lb-apiserver.kubernetes.local';
  writeFileSync(join(root, kubelet), to(`https://${name}:6443`));
  const elsewhere = await findKubeconfigs(root, `10.0.0.9 ${name}\n`);
  expect(judgeKubeconfigs(elsewhere, { ...context, isAgentRunning: true })).toMatchObject([
    {
      severity: 'warning',
      message: expect.stringContaining('bypasses Fairlead and points at 10.0.0.9:6443'),
    },
  ]);
  const here = await findKubeconfigs(root, `127.0.0.1 ${name} # fairlead hosts\n`);
  expect(here).toMatchObject([{ name, server: { host: '127.0.0.1', port: 6443 } }]);
  expect(judgeKubeconfigs(here, { ...context, isAgentRunning: true })).toMatchObject([{ severity: 'ok' }]);
});

test('a managed name that another line names as well is a warning with the fix', () => {
  const own = '127.0.0.1 api.example # fairlead hosts\n';
  expect(judgeHosts(own)).toMatchObject([{ severity: 'ok' }]);
  expect(judgeHosts(`${own}10.0.0.9 api.example\n`)).toMatchObject([
    { severity: 'warning', fix: 'fairlead hosts --name api.example --address 127.0.0.1' },
  ]);
  expect(judgeHosts('10.0.0.9 api.example\n')).toEqual([]);
});

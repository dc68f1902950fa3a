import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDaemonSetListener, isKubelets } from '../../../src/adopt/daemonset-listener.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const address = { host: '127.0.0.1', port: 7443 };
let count = 0;

/** A /proc in which one process listens on 127.0.0.1:7443. */
function proc(environment: string): string {
  count += 1;
  const root = join(directory, String(count));
  mkdirSync(join(root, 'self/net'), { recursive: true });
  mkdirSync(join(root, '42/fd'), { recursive: true });
  const row = `   0: 0100007F:1D13 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 777 1\n`;
  writeFileSync(join(root, 'self/net/tcp'), `  sl  local_address\n${row}`);
  symlinkSync('socket:[777]', join(root, '42/fd/7'));
  writeFileSync(join(root, '42/comm'), 'node\n');
  writeFileSync(join(root, '42/environ'), environment);
  return root;
}

const daemonset = 'PATH=/bin\0FAIRLEAD_DEPLOYMENT=daemonset\0NODE_NAME=n\0';
const host = 'PATH=/bin\0FAIRLEAD_DEPLOYMENT=host\0';

test.each([
  [
    'the agent that listens there says so',
    { deployment: 'daemonset', listeners: [{ address: '127.0.0.1:7443' }] },
    host,
    true,
  ],
  [
    'the agent that listens there says no',
    { deployment: 'host', listeners: [{ address: '127.0.0.1:7443' }] },
    daemonset,
    false,
  ],
  ['an older agent listens there', { listeners: [{ address: '127.0.0.1:7443' }] }, daemonset, false],
  [
    'another agent answers; the process was started so',
    { deployment: 'host', listeners: [{ address: '127.0.0.1:6443' }] },
    daemonset,
    true,
  ],
  ['nobody answers; the process was started so', undefined, daemonset, true],
  ['nobody answers; the process was started otherwise', undefined, host, false],
  ['nobody answers; a longer word', undefined, 'X=FAIRLEAD_DEPLOYMENT=daemonset\0', false],
])('is it a DaemonSet behind the address: %s', async (_name, agent, environment, expected) => {
  expect(await isDaemonSetListener(address, { agent, procDir: proc(environment) })).toBe(expected);
});

test('a port of this host says nothing about another host', async () => {
  const remote = { host: '10.0.0.9', port: 7443 };
  expect(await isDaemonSetListener(remote, { agent: undefined, procDir: proc(daemonset) })).toBe(false);
});

test('a process that may not be looked at is nobody', async () => {
  expect(await isDaemonSetListener(address, { agent: undefined, procDir: join(directory, 'none') })).toBe(
    false,
  );
});

test.each([
  ['/etc/kubernetes/kubelet.conf', true],
  ['/srv/bootstrap-kubelet.conf', true],
  ['/var/lib/kubelet/kubeconfig', true],
  ['/etc/kubernetes/kube-proxy.conf', false],
  ['/root/.kube/config', false],
])('kubelet reads %s: %s', (file, expected) => {
  expect(isKubelets(file)).toBe(expected);
});

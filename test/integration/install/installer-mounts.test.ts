// The mounts of the installer's manifests, made as a container runtime makes them: what the installer does works with
// them, and nothing else of the node is there. Only in mount namespaces that end with each command.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { findKubectl } from '../../support/clients/kubectl.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const kubectl = findKubectl();
const name = "the installer's mounts";
const canMount = spawnSync('unshare', ['--mount', 'true']).status === 0;

interface Mount {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly?: boolean;
}

interface Volume {
  readonly name: string;
  readonly hostPath?: { readonly path: string; readonly type?: string };
}

function mountsOf(overlay: string) {
  const { stdout } = spawnSync(kubectl ?? '', ['kustomize', `manifests/${overlay}`], { encoding: 'utf8' });
  const daemonSet = parseAllDocuments(stdout)
    .map((document) => document.toJS())
    .find(({ kind }) => kind === 'DaemonSet');
  const { containers, volumes } = daemonSet.spec.template.spec;
  const capabilities: string[] = containers[0].securityContext.capabilities.add;
  const mounts = (containers[0].volumeMounts as Mount[]).flatMap(({ name, mountPath, readOnly = false }) => {
    const { hostPath } = (volumes as Volume[]).find((volume) => volume.name === name) ?? {};
    return hostPath ? [{ mountPath, readOnly, path: hostPath.path, type: hostPath.type }] : [];
  });
  return { mounts, capabilities };
}

const scratch = tempDir();
let count = 0;

function makeNode() {
  count += 1;
  const host = join(scratch, `host-${count}`);
  const path = (file: string) => join(host, file);
  const write = (file: string, text: string) => {
    mkdirSync(dirname(path(file)), { recursive: true });
    writeFileSync(path(file), text);
  };
  write('/etc/hosts', '127.0.0.1 localhost\n');
  write('/etc/shadow', 'root:x\n');
  write('/proc/sys/net/ipv4/tcp_migrate_req', '0\n');
  write('/var/lib/kubelet/config.yaml', 'staticPodPath: /etc/kubernetes/manifests\n');
  write(
    '/etc/kubernetes/kubelet.conf',
    'clusters: [{name: k, cluster: {server: "https://10.0.0.1:6443"}}]\n',
  );
  mkdirSync(path('/etc/kubernetes/manifests'));
  /** Runs a command in a container as the overlay has it: its root file system cannot be written. */
  const inPod = (overlay: string, command: readonly string[]) => {
    const { mounts, capabilities } = mountsOf(overlay);
    const container = join(scratch, `container-${count}`);
    mkdirSync(container, { recursive: true });
    const lines = [`mount -t tmpfs none ${container}`];
    for (const { path: from, mountPath, readOnly, type } of mounts) {
      if (type === 'DirectoryOrCreate') lines.push(`mkdir -p ${path(from)}`);
      const at = join(container, mountPath);
      lines.push(type === 'File' ? `mkdir -p ${dirname(at)} && touch ${at}` : `mkdir -p ${at}`);
      lines.push(`mount --bind ${path(from)} ${at}`);
      if (readOnly) lines.push(`mount -o remount,bind,ro ${at}`);
    }
    lines.push(`mount -o remount,ro ${container}`);
    const kept = ['-all', ...capabilities.map((one) => `+${one.toLowerCase()}`)].join(',');
    lines.push(`exec setpriv --bounding-set=${kept} --inh-caps=-all "$@"`);
    const words = ['--mount', 'sh', '-euc', lines.join('\n'), 'sh', ...command];
    const { status, stdout, stderr } = spawnSync('unshare', words, { encoding: 'utf8' });
    return { status, stdout, stderr, root: join(container, 'host') };
  };
  const change = (overlay: string, what: string) => {
    const child = resolve('test/support/children/install-child.ts');
    return inPod(overlay, [process.execPath, child, join(scratch, `container-${count}`, 'host'), what]);
  };
  return {
    path,
    write,
    inPod,
    change,
    text: (file: string) => readFileSync(path(file), 'utf8'),
    list: (file: string) => readdirSync(path(file)).sort(),
  };
}

const isReady = kubectl !== undefined && canMount;
if (!isReady)
  skipLoudly(name, kubectl === undefined ? 'no kubectl on PATH' : 'no mount namespaces for this user');

const done = { status: 0, stderr: '' };

(isReady ? describe : describe.skip)(name, () => {
  test('they are the few directories that it needs', () => {
    const shown = (overlay: string) =>
      mountsOf(overlay).mounts.map(({ path, readOnly }) => path + (readOnly ? ' ro' : ''));
    const base = [
      '/etc/kubernetes',
      '/etc/fairlead',
      '/var/lib/fairlead',
      '/var/lib/fairlead-installer',
      '/proc/sys/net/ipv4',
    ];
    const all = [...base, '/var/lib/kubelet ro', '/root/.kube ro'];
    expect(shown('daemonset-installer').sort()).toEqual([...all].sort());
    expect(shown('installer-replace-proxy').sort()).toEqual([...all].sort());
    expect(shown('installer-point-kubelets').sort()).toEqual([...all, '/run/dbus'].sort());
    expect(shown('installer-remove').sort()).toEqual(
      [...base, '/var/lib/kubelet ro', '/root/.kube', '/run/dbus', '/etc/hosts'].sort(),
    );
  });

  test('an installation, an update, and another load balancer replaced', () => {
    const node = makeNode();
    node.write(
      '/etc/kubernetes/manifests/nginx-proxy.yml',
      'metadata: {name: nginx-proxy}\nspec: {containers: []}\n',
    );
    expect(node.change('installer-replace-proxy', 'take-over')).toMatchObject(done);
    expect(node.list('/etc/kubernetes/manifests')).toEqual(['fairlead-a.yaml']);
    expect(node.list('/etc/kubernetes/fairlead-replaced')).toEqual(['nginx-proxy.yml']);
    expect(node.text('/var/lib/fairlead/endpoints.json')).toContain('10.0.0.1');
    expect(node.change('daemonset-installer', 'update')).toMatchObject(done);
    expect(node.list('/etc/kubernetes/manifests')).toEqual(['fairlead-b.yaml']);
    expect(node.text('/proc/sys/net/ipv4/tcp_migrate_req').trim()).toBe('0');
    expect([node.list('/'), node.list('/etc')]).toEqual([
      ['etc', 'proc', 'root', 'var'],
      ['fairlead', 'hosts', 'kubernetes', 'shadow'],
    ]);
  });

  test('a removal: kubeconfigs, the hosts file, the other load balancer and the files', () => {
    const node = makeNode();
    node.write(
      '/etc/kubernetes/manifests/nginx-proxy.yml',
      'metadata: {name: nginx-proxy}\nspec: {containers: []}\n',
    );
    expect(node.change('installer-replace-proxy', 'take-over')).toMatchObject(done);
    const conf = (server: string) => `clusters: [{name: k, cluster: {server: "${server}"}}]\n`;
    for (const file of ['/etc/kubernetes/kubelet.conf', '/root/.kube/config']) {
      node.write(`${file}.fairlead-backup`, conf('https://10.0.0.1:6443'));
      node.write(file, conf('https://127.0.0.1:6443'));
    }
    node.write(
      '/etc/hosts',
      '127.0.0.1 localhost\n127.0.0.1 lb-apiserver.kubernetes.local # fairlead hosts\n',
    );
    expect(node.change('installer-remove', 'uninstall')).toMatchObject(done);
    expect(node.text('/etc/hosts')).toBe('127.0.0.1 localhost\n');
    for (const file of ['/etc/kubernetes/kubelet.conf', '/root/.kube/config'])
      expect(node.text(file)).toBe(conf('https://10.0.0.1:6443'));
    expect(node.list('/etc/kubernetes/manifests')).toEqual(['nginx-proxy.yml']);
    for (const directory of ['/etc/fairlead', '/var/lib/fairlead', '/var/lib/fairlead-installer'])
      expect([directory, node.list(directory)]).toEqual([directory, []]);
  });

  test('a hosts file that was replaced since it was mounted is not written in vain', () => {
    const node = makeNode();
    node.write('/etc/hosts', '127.0.0.1 lb-apiserver.kubernetes.local # fairlead hosts\n');
    node.write('/etc/hosts.new', node.text('/etc/hosts'));
    const replace = `mv ${node.path('/etc/hosts.new')} ${node.path('/etc/hosts')}; exec "$@"`;
    const child = [process.execPath, resolve('test/support/children/install-child.ts')];
    const root = join(scratch, `container-${count}`, 'host');
    const { stderr } = node.inPod('installer-remove', [
      'sh',
      '-c',
      replace,
      'sh',
      ...child,
      root,
      'uninstall',
    ]);
    expect(stderr).toContain('/etc/hosts: was replaced after it was mounted; restart this pod');
  });

  test('nothing else of the node is there', () => {
    const node = makeNode();
    const { stdout, root } = node.inPod('daemonset-installer', [
      'find',
      join(scratch, `container-${count}`),
      '-type',
      'f',
    ]);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((file) => file.slice(root.length))
        .sort(),
    ).toEqual([
      '/etc/kubernetes/kubelet.conf',
      '/proc/sys/net/ipv4/tcp_migrate_req',
      '/var/lib/kubelet/config.yaml',
    ]);
    expect(existsSync(node.path('/etc/shadow'))).toBe(true);
  });
});

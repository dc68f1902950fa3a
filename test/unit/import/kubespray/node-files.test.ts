import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { kubesprayFiles } from '../../../../scripts/kubespray.ts';
import { loadConfig } from '../../../../src/config/load.ts';
import { readVars } from '../../../../src/import/kubespray/vars.ts';

const directory = mkdtempSync(join(tmpdir(), 'fairlead-test-'));
afterAll(() => rmSync(directory, { recursive: true }));
const template = readFileSync('manifests/static-pod/fairlead.yaml', 'utf8');

function made(text: string) {
  const reading = readVars([{ name: 'all.yml', text }]);
  if (!reading.ok) throw new Error('bad variables');
  const controlPlane = ['10.0.0.11', 'fd00::12'];
  return kubesprayFiles({ vars: reading.value, controlPlane, image: 'r.example/f@sha256:1', template });
}

async function configOf(text: string) {
  const file = join(directory, 'config.yaml');
  writeFileSync(file, made(text)['config.yaml'] ?? '');
  const loaded = await loadConfig({ file, env: {}, hostname: 'worker-1' });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

test('listener, health port and endpoints are those of the inventory', async () => {
  const config = await configOf(
    'loadbalancer_apiserver_port: 7443\nkube_apiserver_port: 8443\nloadbalancer_apiserver_healthcheck_port: 8081\n',
  );
  expect(config.listeners.map(({ host, port }) => `${host}:${port}`)).toEqual(['127.0.0.1:7443', '::1:7443']);
  expect(config.admin).toEqual({ host: '127.0.0.1', port: 8081 });
  expect(config.endpoints).toEqual([
    { host: '10.0.0.11', port: 8443 },
    { host: 'fd00::12', port: 8443 },
  ]);
  expect(config.discovery.cacheFile).toBeDefined();
});

test("Kubespray's defaults where it says nothing", async () => {
  const config = await configOf('{}\n');
  expect(config.listeners[0]).toMatchObject({ host: '127.0.0.1', port: 6443 });
  expect(config.admin).toMatchObject({ port: 6442 });
});

test('the pod waits for the port, runs the image, and is probed on the health port', () => {
  const files = made('loadbalancer_apiserver_healthcheck_port: 8081\n');
  const [container] = parse(files['fairlead.yml'] ?? '').spec.containers;
  expect(container).toMatchObject({
    image: 'r.example/f@sha256:1',
    args: ['run', '--config', '/etc/fairlead/config.yaml', '--wait-for-port'],
  });
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
    expect(container[probe].httpGet).toMatchObject({ host: '127.0.0.1', port: 8081 });
  expect(container.env).toContainEqual({ name: 'FAIRLEAD_ADMIN', value: '127.0.0.1:8081' });
});

test('the playbook is YAML and takes workers one at a time', () => {
  const [play] = parse(readFileSync('scripts/kubespray-parts/playbook.yml', 'utf8'));
  expect(play).toMatchObject({ hosts: 'kube_node:!kube_control_plane', serial: 1 });
  const names = play.tasks.map(({ name }: { name: string }) => name);
  // The proxy goes after the agent is there, never before.
  expect(names.indexOf('nginx-proxy and haproxy give way')).toBeGreaterThan(names.indexOf('Static pod'));
});

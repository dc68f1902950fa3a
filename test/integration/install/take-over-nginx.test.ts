// A node that Kubespray has set up, with its nginx as a static pod, moves to Fairlead and back under clients.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, runFairlead } from '../../support/agent/agent-process.ts';
import { type ControlPlane, startControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { H2Tunnel } from '../../support/clients/h2-tunnel.ts';
import { Kubelet, makeNode, podDirectory } from '../../support/kubelet/kubelet.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const streamModule = '/usr/lib/nginx/modules/ngx_stream_module.so';
const hasNginx = existsSync(streamModule);
if (!hasNginx) skipLoudly('moving from nginx-proxy', 'nginx with its stream module is not installed');
const whenNginx = hasNginx ? test : test.skip;

const scratch = tempDir();
const root = join(scratch, 'node');
const node = (path: string) => join(root, path);
const manifest = node(`${podDirectory}/nginx-proxy.yml`);
let plane: ControlPlane;
let kubelet: Kubelet;
let [port, healthPort] = [0, 0];

beforeAll(async () => {
  if (!hasNginx) return;
  plane = await startControlPlane();
  makeNode(root);
  port = await freePort();
  healthPort = await freePort();
  mkdirSync(node('/etc/nginx'), { recursive: true });
  const conf = node('/etc/nginx/nginx.conf');
  writeFileSync(
    conf,
    `load_module ${streamModule};
user root;
worker_processes 2;
pid ${scratch}/nginx.pid;
error_log stderr;
events { worker_connections 1024; }
stream {
  upstream kube_apiserver { least_conn; ${plane.endpoints.map((one) => `server ${one};`).join(' ')} }
  server { listen 127.0.0.1:${port}; proxy_pass kube_apiserver; proxy_timeout 10m; proxy_connect_timeout 1s; }
}
http {
  access_log off;
  server { listen 127.0.0.1:${healthPort}; location /healthz { return 200; } }
}
`,
  );
  writeFileSync(
    manifest,
    JSON.stringify({
      metadata: { name: 'nginx-proxy' },
      spec: {
        containers: [{ image: 'nginx:1.27', command: ['/usr/sbin/nginx', '-c', conf, '-g', 'daemon off;'] }],
      },
    }),
  );
  kubelet = new Kubelet(root);
  await eventually('nginx serves', () => answers());
});

afterAll(async () => {
  await kubelet?.stop();
  await plane?.stop();
});

/** A new connection and a request on it. */
async function answers(): Promise<boolean> {
  const tunnel = await H2Tunnel.open(`127.0.0.1:${port}`, plane.pki).catch(() => undefined);
  if (!tunnel) return false;
  const isAnswered = await tunnel.ask().then(
    () => true,
    () => false,
  );
  tunnel.destroy();
  return isAnswered;
}

/** One connection after the other; after a failure it waits a second, as kubelet does, and connects again. */
function client(): { stop(): Promise<{ asked: number; mostInARow: number }> } {
  let [isOn, asked, inARow, mostInARow] = [true, 0, 0, 0];
  const loop = (async () => {
    while (isOn) {
      asked += 1;
      inARow = (await answers()) ? 0 : inARow + 1;
      mostInARow = Math.max(mostInARow, inARow);
      await sleep(inARow > 0 ? 1_000 : 10);
    }
  })();
  return {
    async stop() {
      isOn = false;
      await loop;
      return { asked, mostInARow };
    },
  };
}

const adminPorts = async () => `${await freePort()},${await freePort()}`;

whenNginx(
  'nginx-proxy gives way to Fairlead on its port and its health port, and no client reconnects twice',
  async () => {
    const kubeconfig = await plane.writeKubeconfig({ user: 'admin' });
    const imported = await runFairlead(['import', node('/etc/nginx/nginx.conf'), '--kubeconfig', kubeconfig]);
    const config = join(scratch, 'config.yaml');
    writeFileSync(
      config,
      `${imported.stdout.replace(/^admin:.*$/m, '')}
admin: 127.0.0.1:${healthPort}
discovery: {cacheFile: ${node('/var/lib/fairlead/endpoints.json')}}
shutdown: {grace: 1s}
`,
    );
    const ports = await adminPorts();
    const common = ['--root', root, '--admin-ports', ports];
    const install = (...more: string[]) =>
      runFairlead([
        'install',
        ...common,
        ...['--config', config, '--template', 'manifests/static-pod/fairlead.yaml'],
        ...['--image', 'registry.example/fairlead@sha256:1', '--serve-within', '15', ...more],
      ]);

    const watching = await H2Tunnel.open(`127.0.0.1:${port}`, plane.pki);
    const running = client();
    // Not without leave; and what was there goes on.
    const refused = await install();
    expect(refused).toMatchObject({ code: 5, stderr: expect.stringContaining('--replace-proxy') });
    expect([existsSync(manifest), watching.isOpen]).toEqual([true, true]);

    expect(await install('--replace-proxy')).toMatchObject({ code: 0, stderr: '' });
    expect(readdirSync(node(podDirectory))).toEqual(['fairlead-a.yaml']);
    expect(await answers()).toBe(true);
    await watching.ended;
    expect((await running.stop()).mostInARow).toBeLessThanOrEqual(1);
    const health = await fetch(`http://127.0.0.1:${healthPort}/healthz`);
    expect([health.status, await health.text()]).toEqual([200, 'ok\n']);

    const cache = ['--cache-file', '/var/lib/fairlead/endpoints.json', '--grace', '1'];
    expect(await runFairlead(['uninstall', ...common, ...cache])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('nginx-proxy.yml restored'),
    });
    expect(readFileSync(manifest, 'utf8')).toContain('nginx-proxy');
    await eventually('nginx serves again', () => answers());
  },
);

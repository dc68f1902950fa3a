// Go's clients have the last word on whether a pointed kubeconfig verifies: a real kubectl, through a relay on
// 127.0.0.1, to an API server whose certificate has the names that kubeadm gives it.
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { ApiServer } from '../../support/apiserver/api-server.ts';
import { randomHosts } from '../../support/apiserver/control-plane.ts';
import { kubeconfig, makePki } from '../../support/apiserver/pki-files.ts';
import { Store } from '../../support/apiserver/store.ts';
import { findKubectl, Kubectl } from '../../support/clients/kubectl.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { runCommand } from '../../support/agent/command-context.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const root = tempDir();
const program = findKubectl();
const title =
  'kubectl takes a pointed kubeconfig where kubeadm made the certificates, and the original again';
let server: ApiServer | undefined;
let relay: Server | undefined;

afterAll(async () => {
  server?.kill();
  relay?.close();
});

if (!program) skipLoudly(title, 'kubectl is not installed');
else {
  test(title, async () => {
    const pki = await makePki();
    const [host = ''] = randomHosts(1);
    const sans = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', '10.96.0.1', host];
    const good = await pki.ca.issue({ commonName: 'kube-apiserver', sans });
    const certificates = {
      good,
      expired: good,
      'not-yet-valid': good,
      'wrong-name': good,
      'unknown-ca': good,
    };
    const api = new ApiServer({
      name: 'cp-1',
      host,
      port: 0,
      store: new Store(),
      certificates,
      clientCa: pki.ca.cert,
    });
    server = api;
    await api.start();
    await api.ready();
    relay = createServer((client) => {
      const upstream = connect({ host, port: api.port });
      client.pipe(upstream).pipe(client);
      for (const socket of [client, upstream]) socket.on('error', () => socket.destroy());
    }).listen(0, '127.0.0.1');
    await once(relay, 'listening');
    const address = `https://127.0.0.1:${(relay.address() as AddressInfo).port}`;

    mkdirSync(join(root, 'etc/kubernetes'), { recursive: true });
    const conf = join(root, 'etc/kubernetes/kubelet.conf');
    const original = kubeconfig({ server: api.url, ca: pki.ca.cert, client: pki.clients.admin });
    writeFileSync(conf, original);
    const kubectl = new Kubectl({ program, kubeconfig: conf, home: root });
    const ask = () => kubectl.run(['get', '--raw', '/readyz']);

    // What a rewrite of `server` alone would give.
    writeFileSync(conf, original.replace(api.url, address));
    expect(await ask()).toMatchObject({ code: 1, stderr: expect.stringContaining('x509') });
    writeFileSync(conf, original);

    const args = ['kubeconfig', 'point', '--root', root, '--server', address, '--admin', '127.0.0.1:1'];
    expect(await runCommand(args)).toMatchObject({ code: 0 });
    expect(readFileSync(conf, 'utf8')).toContain('"tls-server-name": "kubernetes"');
    expect(await ask()).toMatchObject({ code: 0, stdout: 'ok' });

    await runCommand(['kubeconfig', 'point', '--undo', '--root', root]);
    expect(await ask()).toMatchObject({ code: 0, stdout: 'ok' });
  });
}

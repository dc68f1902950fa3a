import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectApi } from '../../../src/cli/connect-api.ts';
import { encodeCache } from '../../../src/discovery/cache-format.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { makePki } from '../../support/apiserver/pki-files.ts';

const directory = mkdtempSync(join(tmpdir(), 'fairlead-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

const serviceAccountDir = join(directory, 'account');
const nodeRoot = join(directory, 'node');
mkdirSync(serviceAccountDir);
mkdirSync(join(nodeRoot, 'etc/kubernetes'), { recursive: true });
writeFileSync(join(serviceAccountDir, 'token'), 'a-token\n');
beforeAll(async () => writeFileSync(join(serviceAccountDir, 'ca.crt'), (await makePki()).ca.cert));

const env = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };
const clusterIp = { host: '10.96.0.1', port: 443 };

function kubelet(text: string): void {
  writeFileSync(join(nodeRoot, 'etc/kubernetes/kubelet.conf'), text);
}
const naming = (server: string) => `clusters: [{name: c, cluster: {server: '${server}'}}]\n`;

async function servers(root?: string, configFile?: string) {
  const connection = await connectApi(
    {},
    { env, version: '0' },
    {
      serviceAccountDir,
      ...(root !== undefined && { nodeRoot: root }),
      ...(configFile !== undefined && { configFile }),
    },
  );
  return connection?.servers;
}

test.each([
  ['https://10.0.0.11:6443', { host: '10.0.0.11', port: 6443 }],
  ['https://[fd00::11]:6443/', { host: 'fd00::11', port: 6443 }],
  ['https://api.example', { host: 'api.example', port: 443 }],
])(
  'in a pod, the API server of the node’s kubelet comes after the ClusterIP: %s',
  async (server, expected) => {
    kubelet(naming(server));
    expect(await servers(nodeRoot)).toEqual([clusterIp, expected]);
  },
);

test.each([
  ['the node itself', naming('https://127.0.0.1:6443')],
  ['localhost', naming('https://localhost:6443')],
  ['no TLS', naming('http://10.0.0.11:8080')],
  ['nothing', ''],
  ['no YAML', 'clusters: ['],
])('a kubelet.conf that names %s adds none', async (_name, text) => {
  kubelet(text);
  expect(await servers(nodeRoot)).toEqual([clusterIp]);
});

test('then come those of the bootstrap kubeconfig, of the configuration and of the list on the node, each once', async () => {
  kubelet(naming('https://127.0.0.1:6443'));
  const bootstrap = join(nodeRoot, 'etc/kubernetes/bootstrap-kubelet.conf');
  writeFileSync(bootstrap, naming('https://10.0.0.11:6443'));
  const configFile = join(directory, 'config.yaml');
  writeFileSync(configFile, 'endpoints: ["10.0.0.12:6443"]\ndiscovery: {cacheFile: /endpoints.json}\n');
  const known = ['10.0.0.11', '10.0.0.13'].map(
    (host) => ({ endpoint: makeEndpoint(host, 6443), origin: 'watch' }) as const,
  );
  writeFileSync(join(nodeRoot, 'endpoints.json'), encodeCache({ endpoints: known }));
  expect(await servers(nodeRoot, configFile)).toEqual([
    clusterIp,
    ...['10.0.0.11', '10.0.0.12', '10.0.0.13'].map((host) => ({ host, port: 6443 })),
  ]);
  writeFileSync(configFile, 'endpoints: 7\n');
  expect(await servers(nodeRoot, configFile)).toEqual([clusterIp, { host: '10.0.0.11', port: 6443 }]);
  rmSync(bootstrap);
});

test('without a node, or without its kubelet.conf, the ClusterIP is all', async () => {
  kubelet(naming('https://10.0.0.11:6443'));
  expect(await servers()).toEqual([clusterIp]);
  expect(await servers(join(directory, 'none'))).toEqual([clusterIp]);
});

test('outside of a pod, and without a kubeconfig, there is no API', async () => {
  const connection = await connectApi({}, { env, version: '0' }, { serviceAccountDir: directory, nodeRoot });
  expect(connection).toBeUndefined();
});

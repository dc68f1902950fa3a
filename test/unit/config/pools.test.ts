import { type LoadInput, loadConfig } from '../../../src/config/load.ts';
import { printYaml } from '../../../src/config/print.ts';
import { allPools } from '../../../src/config/config.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const file = join(directory, 'f.yaml');

async function load(yaml: string, more: Partial<LoadInput> = {}) {
  writeFileSync(file, yaml);
  return loadConfig({ file, env: {}, hostname: 'node-1', ...more });
}

async function problems(yaml: string): Promise<string[]> {
  const result = await load(yaml);
  return result.ok ? [] : result.problems.map((p) => formatProblem(p).replace(`${directory}/`, ''));
}

async function config(yaml: string) {
  const result = await load(yaml);
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join('\n'));
  return result.config;
}

const etcd = `
listeners: [{ address: 127.0.0.1:2379, pool: etcd }]
health: { interval: 4s }
credentials: { kubeconfig: /k, tokenFile: /t }
pools:
  etcd:
    type: etcd
    endpoints: [10.0.0.1, 'etcd.example:2390']
    credentials: { caFile: /ca, clientCertFile: /c, clientKeyFile: /key }
`;

test('a pool of type etcd asks /health and reads the answer; the credentials of the cluster are not for it', async () => {
  const [pool] = (await config(etcd)).pools;
  expect(pool).toMatchObject({
    name: 'etcd',
    type: 'etcd',
    endpoints: [
      { host: '10.0.0.1', port: 2379 },
      { host: 'etcd.example', port: 2390 },
    ],
    credentials: { caFile: '/ca', clientCertFile: '/c', clientKeyFile: '/key', inCluster: false },
    health: {
      check: 'https',
      expectBody: 'etcd',
      path: '/health',
      expectStatus: [{ from: 200, to: 200 }],
      intervalMs: 4_000,
    },
    discovery: { watch: false },
  });
  expect(pool?.credentials).not.toHaveProperty('kubeconfig');
  expect(pool?.credentials).not.toHaveProperty('tokenFile');
});

test('what a pool says of its own holds for it alone', async () => {
  const { health, pools } = await config(`${etcd}    health: { check: http, port: 2381, interval: 1s }\n`);
  expect(pools[0]?.health).toMatchObject({ check: 'http', port: 2381, intervalMs: 1_000 });
  expect(health).toMatchObject({ check: 'https', intervalMs: 4_000 });
  expect(health).not.toHaveProperty('port');
});

test('a pool that follows has the port of its own, and a connect for a check', async () => {
  const next = await config(
    'endpoints: [10.0.0.1]\nlisteners: [{ address: 127.0.0.1:8132, pool: k }]\npools: { k: { follow: apiservers, port: 8132 } }\n',
  );
  expect(next.pools[0]).toMatchObject({
    type: 'tcp',
    follow: { pool: 'apiservers', port: 8132 },
    health: { check: 'tcp' },
  });
  expect(allPools(next).map(({ name }) => name)).toEqual(['apiservers', 'k']);
});

test('without a listener for the API servers none has to be known; one that is followed has to be', async () => {
  expect(await problems(etcd.replace(/credentials: { kube.*\n/, ''))).toEqual([]);
  const follower =
    'listeners: [{ address: 127.0.0.1:8132, pool: k }]\npools: { k: { follow: apiservers, port: 8132 } }\n';
  expect(await problems(follower)).toEqual([
    expect.stringContaining('endpoints: must name at least one API server'),
  ]);
});

test.each([
  ['type: etc', 'type: must be one of etcd, tcp; found "etc"'],
  ['port: 3', 'port: must not be set without follow'],
  ['follow: apiservers', 'port: must be the port to dial'],
  ['follow: other', 'follow: must be apiservers'],
  ['nodeName: x', 'nodeName: must be removed: it is not a setting of a pool'],
  [
    'health: { intervall: 2s }',
    'health.intervall: must be removed: it is not a setting of a pool; did you mean interval?',
  ],
  ['health: { interval: 2 }', 'health.interval: must be a duration'],
  ['health: 5', 'health: must be a map; found 5'],
  ['credentials: { clientCertFile: /c }', 'credentials.clientCertFile: needs credentials.clientKeyFile'],
  ['health: { timeout: 5s }', 'health.timeout: health.timeout (5s) must be at most health.interval (2s)'],
  ['endpoints: [127.0.0.1:2379]', 'endpoints[0]: must be an API server, not Fairlead itself (listeners)'],
  ['endpoints: [10.0.0.1:1, 10.0.0.1:1]', 'endpoints[1]: must be listed once'],
  ['endpoints: [10.0.0.1]', 'endpoints[0]: must be HOST:PORT'],
])('%s in a pool is told with its place', async (line, wanted) => {
  const isEndpoints = line.startsWith('endpoints') || line.startsWith('follow');
  const yaml = `listeners: [{ address: 127.0.0.1:2379, pool: a }]
pools:
  a:
    ${isEndpoints ? '' : 'endpoints: [10.0.0.9:1]'}
    ${line}
`;
  const found = await problems(yaml);
  expect(found).toContainEqual(expect.stringContaining(`pools.a.${wanted}`));
  expect(found[0]).toMatch(/^f\.yaml:[3-5]:/);
});

test('listeners and pools must meet, and have names that can be told apart', async () => {
  expect(
    await problems(
      'endpoints: [10.0.0.1]\nlisteners: [{ address: 127.0.0.1:1, pool: etdc }]\npools: { etcd: { endpoints: [10.0.0.1:1] } }',
    ),
  ).toEqual([
    'f.yaml:2:43: listeners[0].pool: must be one of apiservers, etcd; did you mean etcd?; found "etdc"',
    expect.stringContaining('pools.etcd: must be used by a listener (pool), or be removed'),
  ]);
  expect(await problems('endpoints: [10.0.0.1]\npools: { apiservers: { endpoints: [10.0.0.1:1] } }')).toEqual(
    [expect.stringContaining('pools.apiservers: must have another name')],
  );
  expect(await problems('endpoints: [10.0.0.1]\npools: { Etcd: { endpoints: [10.0.0.1:1] } }')).toEqual([
    expect.stringContaining('pools.Etcd: must be named with lower-case letters'),
  ]);
});

test('endpoints get a PROXY header from every listener of their pool or from none', async () => {
  const yaml =
    'endpoints: [10.0.0.1]\nlisteners: [{ address: 127.0.0.1:1, sendProxy: true }, { address: 127.0.0.1:2 }]\n';
  expect(await problems(yaml)).toEqual([
    expect.stringContaining('listeners[1].sendProxy: must be the same as in listeners[0]'),
  ]);
});

test.each(['10.0.0.0/33', '10.0.0/8', 'example.org', '::/129', '10.0.0.0/8/8', ''])(
  'the network %s is refused',
  async (network) => {
    const yaml = `endpoints: [10.0.0.1]\nlisteners: [{ address: 127.0.0.1:1, allowFrom: ['${network}'] }]\n`;
    expect(await problems(yaml)).toEqual([
      expect.stringContaining('listeners[0].allowFrom[0]: must be a network such as 10.0.0.0/8'),
    ]);
  },
);

test('what config print shows of pools can be read again as the same', async () => {
  const first = await load(`${etcd}    health: { interval: 1s }\n    balance: { policy: round-robin }\n`);
  if (!first.ok) throw new Error('bad');
  expect(await config(printYaml(first))).toEqual(first.config);
});

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { defaultConfig } from '../../support/agent/default-config.ts';
import { type LoadInput, loadConfig } from '../../../src/config/load.ts';
import { printJson, printYaml } from '../../../src/config/print.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import { maxFileBytes } from '../../../src/lib/read-file.ts';
import { settingKeys } from '../../../src/config/settings.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const file = join(directory, 'f.yaml');

interface Input extends Partial<LoadInput> {
  readonly yaml?: string | Uint8Array;
}

function load({ yaml, ...input }: Input = {}) {
  if (yaml !== undefined) writeFileSync(file, yaml);
  return loadConfig({
    env: {},
    hostname: 'Host-1',
    mustFindEndpoints: false,
    ...(yaml !== undefined && { file }),
    ...input,
  });
}

async function good(input: Input = {}) {
  const result = await load(input);
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join('\n'));
  return result;
}

async function problems(input: Input): Promise<string[]> {
  const result = await load(input);
  if (result.ok) throw new Error('no problem was found');
  return result.problems.map((problem) => formatProblem(problem).replace(`${directory}/`, ''));
}

test('nothing given: the documented defaults', async () => {
  const { config, sources } = await good();
  expect(config).toEqual({ ...defaultConfig('host-1') });
  expect(sources['health.interval']).toBe('default');
  expect(config).toMatchObject({
    listeners: [
      { host: '127.0.0.1', port: 6443, type: 'passthrough', replayNonTls: false, optional: false },
      { host: '::1', port: 6443, type: 'passthrough', replayNonTls: false, optional: true },
    ],
    health: {
      path: '/readyz',
      expectStatus: [{ from: 200, to: 200 }],
      intervalMs: 2000,
      standbyIntervalMs: 60000,
      timeoutMs: 1000,
    },
    tunnels: { idleTimeoutMs: 0 },
    admin: { host: '127.0.0.1', port: 6442 },
    shutdown: { graceMs: 30000 },
  });
});

describe('precedence', () => {
  const yaml = 'log: {level: error}\nnodeName: of-file\n';
  const env = { FAIRLEAD_LOG_LEVEL: 'warn' };
  const flags = { 'log.level': ['debug'] };

  test.each([
    ['a flag', { yaml, env, flags }, 'debug', '--log-level'],
    ['a variable', { yaml, env }, 'warn', 'FAIRLEAD_LOG_LEVEL'],
    ['the file', { yaml }, 'error', `${file}:1:14`],
    ['the default', {}, 'info', 'default'],
  ])('%s wins over what is below it', async (_name, input, level, source) => {
    const { config, sources } = await good(input);
    expect(config.log.level).toBe(level);
    expect(sources['log.level']).toBe(source);
  });

  test('the file named by the environment, unless --config names another', async () => {
    await load({ yaml });
    expect((await good({ env: { FAIRLEAD_CONFIG: file } })).config.nodeName).toBe('of-file');
    expect(await problems({ file: join(directory, 'none'), env: { FAIRLEAD_CONFIG: file } })).toHaveLength(1);
  });

  test('the name of the node: flag, variable, file, NODE_NAME, host name', async () => {
    const all = { NODE_NAME: 'of-pod', FAIRLEAD_NODE_NAME: 'of-env' };
    const names = [
      await good({ yaml, env: all, flags: { nodeName: ['of-flag'] } }),
      await good({ yaml, env: all }),
      await good({ yaml, env: { NODE_NAME: 'of-pod' } }),
      await good({ env: { NODE_NAME: 'of-pod' } }),
      await good(),
    ];
    expect(names.map(({ config }) => config.nodeName)).toEqual([
      'of-flag',
      'of-env',
      'of-file',
      'of-pod',
      'host-1',
    ]);
    expect(names.at(-2)?.sources.nodeName).toBe('NODE_NAME');
  });

  test('a list replaces the list below it; a repeated flag adds to itself', async () => {
    const { config } = await good({
      yaml: 'endpoints: [10.0.0.1:1, 10.0.0.2:1]\n',
      flags: { endpoints: ['cp1,cp2:7', '[fd00::0:5]:6443'], listeners: ['127.0.0.1:1', '127.0.0.1:2'] },
    });
    expect(config.endpoints).toEqual([
      { host: 'cp1', port: 6443 },
      { host: 'cp2', port: 7 },
      { host: 'fd00::5', port: 6443 },
    ]);
    expect(config.listeners.map(({ port }) => port)).toEqual([1, 2]);
  });
});

test('every kind of value can come from the environment', async () => {
  const { config } = await good({
    env: {
      FAIRLEAD_ADMIN: 'false',
      FAIRLEAD_ALLOW_NON_LOOPBACK: 'true',
      FAIRLEAD_CREDENTIALS_IN_CLUSTER: 'true',
      FAIRLEAD_HEALTH_RISE: '7',
      FAIRLEAD_HEALTH_EXPECT_STATUS: '200-299,401',
      FAIRLEAD_TUNNELS_IDLE_TIMEOUT: '1h30m',
      FAIRLEAD_LISTENERS: '0.0.0.0:8383',
      FAIRLEAD_CREDENTIALS_CA_FILE: '/etc/ca.crt',
    },
  });
  expect(config).toMatchObject({
    admin: false,
    allowNonLoopback: true,
    credentials: { inCluster: true, caFile: '/etc/ca.crt' },
    health: {
      rise: 7,
      path: '/readyz',
      expectStatus: [
        { from: 200, to: 299 },
        { from: 401, to: 401 },
      ],
    },
    tunnels: { idleTimeoutMs: 5_400_000 },
    listeners: [{ host: '0.0.0.0', port: 8383 }],
  });
});

test('variables that kubelet makes for a Service called fairlead, and those of tests, are left alone', async () => {
  await good({
    env: {
      FAIRLEAD_SERVICE_HOST: '10.96.0.7',
      FAIRLEAD_SERVICE_PORT: '6442',
      FAIRLEAD_SERVICE_PORT_METRICS: '6442',
      FAIRLEAD_PORT: 'tcp://10.96.0.7:6442',
      FAIRLEAD_PORT_6442_TCP: 'tcp://10.96.0.7:6442',
      FAIRLEAD_PORT_6442_TCP_ADDR: '10.96.0.7',
      FAIRLEAD_METRICS_SERVICE_HOST: '10.96.0.8',
      FAIRLEAD_TEST_KUBECONFIG: '/tmp/x',
    },
  });
});

test('all problems of all sources come at once, those of the file by line', async () => {
  const yaml = [
    'helth: {}',
    'health: {interval: 2, check: tpc, rise: "2"}',
    'endpoints: [10.0.0.1, "a b"]',
    'credentials: {tokenFile: eyJhbGciOiJSUzI1NiJ9.x.y}',
  ].join('\n');
  const env = {
    FAIRLEAD_LOG_LEVL: 'info',
    FAIRLEAD_HEALTH_FALL: 'x',
    FAIRLEAD_HEALTH_STEPS: '/a',
    FAIRLEAD_ADMIN: '',
  };
  expect(await problems({ yaml, env, flags: { admin: ['localhost:6442'] } })).toEqual([
    'f.yaml:1:1: helth: is not a setting; did you mean health?',
    'f.yaml:2:20: health.interval: must be a duration with its unit, such as 250ms, 2s or 10m, from 100ms to 1d; found 2',
    'f.yaml:2:30: health.check: must be one of https, http, tcp; found "tpc"; did you mean tcp?',
    'f.yaml:2:41: health.rise: must be a whole number from 1 to 100; found "2"',
    expect.stringMatching(
      /^f\.yaml:3:23: endpoints\[1\]: must be HOST:PORT.*neither an IP address nor a DNS name\); found "a b"$/,
    ),
    'f.yaml:4:26: credentials.tokenFile: must be the name of a file, not its content; found what looks like a key or a token (not shown)',
    'FAIRLEAD_ADMIN: admin: must have a value, or be unset; found ""',
    'FAIRLEAD_HEALTH_FALL: health.fall: must be a whole number from 1 to 100; found "x"',
    'FAIRLEAD_HEALTH_STEPS: health.steps: can only be set in the configuration file',
    'FAIRLEAD_LOG_LEVL: is not a Fairlead variable; did you mean FAIRLEAD_LOG_LEVEL?',
    expect.stringMatching(
      /^--admin: admin: must be false or an IP address and a port.*localhost can resolve to several/,
    ),
  ]);
});

test('a bad value is a problem even where a higher source overrides it', async () => {
  expect(await problems({ yaml: 'log: {level: loud}\n', flags: { 'log.level': ['info'] } })).toHaveLength(1);
});

describe('settings that contradict one another', () => {
  test.each([
    [
      'a timeout longer than the interval',
      'health: {timeout: 3s}',
      'f.yaml:1:19: health.timeout: health.timeout (3s) must be at most health.interval (2s)',
    ],
    [
      'an interval shorter than the default timeout blames the interval',
      'health: {interval: 500ms}',
      'f.yaml:1:20: health.interval: health.timeout (1s) must be at most health.interval (500ms)',
    ],
    [
      'standby more often than in use',
      'health: {standbyInterval: 1s}',
      'must be at most health.standbyInterval (1s)',
    ],
    [
      'a race that begins after the deadline',
      'dial: {raceDelay: 20s}',
      'dial.raceDelay (20s) must be at most dial.allDownDeadline (2s)',
    ],
    [
      'a listener that others can reach',
      'listeners: [127.0.0.1:1, 0.0.0.0:2]',
      'f.yaml:1:26: listeners[1].address: must be a loopback address (127.0.0.0/8 or ::1) unless allowNonLoopback is true; found 0.0.0.0:2',
    ],
    [
      'an admin server that others can reach',
      'admin: 10.0.0.1:6442',
      'f.yaml:1:8: admin: must be a loopback address',
    ],
    [
      'the same listener twice',
      'listeners: [127.0.0.1:1, 127.0.0.1:1]',
      'listeners[1].address: must differ from listeners[0]; found 127.0.0.1:1',
    ],
    [
      'a listener within another',
      'allowNonLoopback: true\nlisteners: [0.0.0.0:1, 127.0.0.1:1]',
      'listeners[1].address: must differ from listeners[0]',
    ],
    [
      'the admin server on a listener',
      'admin: 127.0.0.1:6443',
      'f.yaml:1:8: admin: admin must differ from listeners[0]; found 127.0.0.1:6443',
    ],
    [
      'metrics on a listener',
      'metrics: 127.0.0.1:6443',
      'f.yaml:1:10: metrics: metrics must differ from listeners[0]; found 127.0.0.1:6443',
    ],
    [
      'metrics on the admin address, seen from everywhere',
      'metrics: 0.0.0.0:6442',
      'f.yaml:1:10: metrics: metrics must differ from admin, which has /metrics as well; found 0.0.0.0:6442',
    ],
    [
      'an endpoint that is a listener',
      'endpoints: [10.0.0.1, 127.0.0.1]',
      'f.yaml:1:23: endpoints[1]: must be an API server, not Fairlead itself (listeners); found 127.0.0.1:6443',
    ],
    ['an endpoint that is a listener by name', 'endpoints: [localhost]', 'not Fairlead itself (listeners)'],
    ['an endpoint that is the admin server', 'endpoints: ["127.0.0.1:6442"]', 'not Fairlead itself (admin)'],
    [
      'an endpoint twice',
      'endpoints: [10.0.0.1, "10.0.0.1:6443"]',
      'endpoints[1]: must be listed once; found 10.0.0.1:6443',
    ],
    [
      'a certificate without its key',
      'credentials: {clientCertFile: c}',
      'f.yaml:1:31: credentials.clientCertFile: needs credentials.clientKeyFile as well',
    ],
    [
      'a key without its certificate',
      'credentials: {clientKeyFile: k}',
      'needs credentials.clientCertFile as well',
    ],
    [
      'a kubeconfig beside the service account',
      'credentials: {inCluster: true, kubeconfig: k}',
      'exclude each other',
    ],
    [
      'a path beside steps',
      'health: {path: /a, steps: [{path: /b}]}',
      'f.yaml:1:16: health.path: has no effect, because health.steps replaces it; remove one of them',
    ],
    ['a path of a TCP check', 'health: {path: /a, check: tcp}', 'has no effect, because health.check is tcp'],
  ])('%s', async (_name, yaml, expected) => {
    expect(await problems({ yaml })).toEqual([expect.stringContaining(expected)]);
  });

  test.each([
    ['another loopback address with the same port', 'endpoints: ["127.0.0.2:6443"]'],
    ['metrics for other hosts', 'metrics: 10.0.0.1:6441'],
    ['metrics on an address in brackets, whatever its family', 'metrics: "[10.0.0.1]:6441"'],
    ['any free port, twice', 'listeners: ["127.0.0.1:0", "127.0.0.1:0"]\nadmin: "127.0.0.1:0"'],
    [
      'outside loopback when it is said',
      'allowNonLoopback: true\nlisteners: ["[::]:6443", "0.0.0.0:6443"]\nadmin: 0.0.0.0:1',
    ],
  ])('%s is no contradiction', async (_name, yaml) => {
    await good({ yaml });
  });
});

describe('no way to an API server', () => {
  const message = 'default: endpoints: must name at least one API server';

  test('is a problem', async () => {
    expect(await problems({ mustFindEndpoints: true })).toEqual([expect.stringContaining(message)]);
    expect(
      await problems({
        mustFindEndpoints: true,
        env: { KUBERNETES_SERVICE_HOST: '10.96.0.1' },
        yaml: 'credentials: {inCluster: false}',
      }),
    ).toHaveLength(1);
  });

  test.each([
    ['endpoints', { flags: { endpoints: ['cp1'] } }],
    ['a kubeconfig', { flags: { 'credentials.kubeconfig': ['/etc/kubelet.conf'] } }],
    ['a cache', { flags: { 'discovery.cacheFile': ['/var/cache'] } }],
    ['a pod', { env: { KUBERNETES_SERVICE_HOST: '10.96.0.1' } }],
    ['inCluster', { env: { FAIRLEAD_CREDENTIALS_IN_CLUSTER: 'true' } }],
  ])('%s is a way', async (_name, input) => {
    await good({ mustFindEndpoints: true, ...input });
  });

  test('is not reported beside a misspelt name that may have meant it', async () => {
    expect(await problems({ mustFindEndpoints: true, yaml: 'endpoint: [cp1]' })).toEqual([
      'f.yaml:1:1: endpoint: is not a setting; did you mean endpoints?',
    ]);
  });
});

describe('a file that cannot be read', () => {
  test.each([
    ['it does not exist', join(directory, 'none.yaml'), 'none.yaml: cannot be read: it does not exist'],
    ['it is a directory', directory, 'cannot be read: it is a directory, not a file'],
    ['it never ends', '/dev/zero', `/dev/zero: cannot be read: it is larger than ${maxFileBytes} bytes`],
    ['it has no name', '', '--config or FAIRLEAD_CONFIG: must name the configuration file, or be unset'],
  ])('%s', async (_name, path, expected) => {
    expect(await problems({ file: path })).toEqual([expect.stringContaining(expected)]);
  });

  test('it is not UTF-8', async () => {
    expect(await problems({ yaml: Uint8Array.of(0x61, 0xff, 0xfe) })).toEqual(['f.yaml: must be UTF-8 text']);
  });

  test('what the environment says is checked all the same, but no contradiction is claimed', async () => {
    const env = { FAIRLEAD_ADMIN: '0.0.0.0:1', FAIRLEAD_HEALTH_RISE: '0' };
    expect(await problems({ file: '/none', env })).toEqual([
      '/none: cannot be read: it does not exist',
      'FAIRLEAD_HEALTH_RISE: health.rise: must be a whole number from 1 to 100; found 0',
    ]);
  });
});

test('a bad setting leaves the good ones to look at', async () => {
  const result = await load({ yaml: 'admin: 127.0.0.1:7\nlog: {level: loud}\n' });
  expect(result).toMatchObject({ ok: false, values: { admin: { host: '127.0.0.1', port: 7 } } });
});

describe('config print', () => {
  test('names the source of each value and what is not used', async () => {
    const text = printYaml(
      await good({
        yaml: 'health: {steps: [{path: /livez}, {path: /readyz, expectStatus: 200-299}]}\n',
        env: { FAIRLEAD_LOG_LEVEL: 'warn' },
        flags: { endpoints: ['cp1'] },
      }),
    );
    expect(text).toContain('\n  level: warn # FAIRLEAD_LOG_LEVEL\n');
    expect(text).toContain('\nendpoints: # --endpoints\n  - "cp1:6443"\n');
    expect(text).toContain('\n  # path: health.steps replaces it\n');
    expect(text).toContain('\n  # kubeconfig: not set\n');
    expect(text).toContain(
      '\nbalance:\n  policy: rendezvous # default\n  prefer: none # default\n  returnAfter: 15s # default\n  rebalance:\n    enabled: true # default\n',
    );
  });

  const anyYaml = fc.record(
    {
      nodeName: fc.stringMatching(/^[!-~]{1,20}$/),
      endpoints: fc.uniqueArray(
        fc.ipV4().map((host) => `${host}:1234`),
        { maxLength: 4 },
      ),
      admin: fc.constantFrom('127.0.0.1:9', false, '[::1]:0'),
      credentials: fc.record({ caFile: fc.stringMatching(/^[ -~]{1,20}$/) }),
      health: fc.oneof(
        fc.record({ check: fc.constant('tcp'), rise: fc.integer({ min: 1, max: 100 }) }),
        fc.record({ expectStatus: fc.constantFrom(200, '200-299', [200, 401]) }),
        fc.record({ steps: fc.constant([{ path: '/a' }, { path: '/b?c', expectStatus: 404 }]) }),
      ),
      tunnels: fc.record({
        idleTimeout: fc.constantFrom('off', '90s', '1h1m'),
        max: fc.constantFrom(1, 1000),
      }),
      listeners: fc.constantFrom(
        ['127.0.0.1:1'],
        [{ address: '[::1]:2', replayNonTls: true, optional: true }],
      ),
    },
    { requiredKeys: [] },
  );

  test('can be used as a file again, as YAML and as JSON, with the same effect', async () => {
    await fc.assert(
      fc.asyncProperty(anyYaml, async (tree) => {
        // A name that looks like a token is refused; that is another test.
        const first = await good({ yaml: stringify({ log: { level: 'info' }, ...tree }) });
        expect((await good({ yaml: printYaml(first) })).config).toEqual(first.config);
        const { config } = JSON.parse(printJson(first)) as { config: unknown };
        expect((await good({ yaml: JSON.stringify(config) })).config).toEqual(first.config);
      }),
      { numRuns: 25 },
    );
  });
});

describe('whatever the file holds', () => {
  const isPlace = /^(f\.yaml(:\d+:\d+)?|default)$/;

  const check = async (yaml: string) => {
    const result = await load({ yaml });
    if (result.ok) return;
    for (const { source, path, right } of result.problems) {
      expect(source.replace(`${directory}/`, '')).toMatch(isPlace);
      expect(right).not.toBe('');
      // Every path is one of a setting, or of a name that was found in the file, as it is or escaped.
      const root = path.split(/[.[]/)[0] ?? '';
      expect(
        path === '' ||
          path === '""' ||
          settingKeys.some((key) => key.startsWith(root)) ||
          yaml.includes(root.slice(0, 3)) ||
          yaml.includes(JSON.stringify(root.slice(0, 3)).slice(1, -1)),
      ).toBe(true);
    }
  };

  test('any text is a configuration or a list of problems, never a crash', async () => {
    await fc.assert(fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 60 }), check), { numRuns: 50 });
  });

  test('any tree with known names is a configuration or a list of problems, never a crash', async () => {
    const name = fc.oneof(fc.constantFrom(...settingKeys.flatMap((key) => key.split('.'))), fc.string());
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 3 },
        fc.jsonValue(),
        fc.array(tie('tree')),
        fc.dictionary(name, tie('tree')),
      ),
    }));
    const root = fc.dictionary(name, tree, { minKeys: 1, maxKeys: 6 });
    await fc.assert(
      fc.asyncProperty(root, (value) => check(stringify(value))),
      { numRuns: 40 },
    );
  });
});

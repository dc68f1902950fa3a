import { settingKeys } from '../../../src/config/settings.ts';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { loadConfig } from '../../../src/config/load.ts';
import { type Config, healthStepsOf } from '../../../src/config/config.ts';
import { detectProxy } from '../../../src/cli/import-config.ts';
import type { Imported, ImportOptions } from '../../../src/import/draft.ts';
import type { Note } from '../../../src/import/draft-notes.ts';
import { importHaproxy } from '../../../src/import/haproxy.ts';
import { importNginx } from '../../../src/import/nginx.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const importers = { nginx: importNginx, haproxy: importHaproxy } as const;

function imported(text: string, options: Partial<ImportOptions> = {}): Imported {
  const result = importers[detectProxy(text)](text, { name: 'proxy', ...options });
  if (!result.ok) throw new Error(result.problem);
  return result.value;
}

/** What `fairlead config check` makes of it; throws when it is not good. */
async function configOf(yaml: string): Promise<Config> {
  const file = join(directory, 'fairlead.yaml');
  writeFileSync(file, yaml);
  const loaded = await loadConfig({ file, env: {}, hostname: 'node-1' });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

const fixture = (name: string) => readFileSync(`test/fixtures/${name}`, 'utf8');
const noteOn = (notes: readonly Note[], text: string) =>
  notes.find(({ directive }) => directive.includes(text));

const threeServers = ['10.0.0.1', '10.0.0.2', 'fd00::3'].map((host) => ({ host, port: 6443 }));

test("an nginx shaped as Kubespray's becomes an equivalent configuration", async () => {
  const { yaml, notes } = imported(fixture('nginx-proxy.conf'));
  expect(await configOf(yaml)).toMatchObject({
    listeners: [
      { host: '127.0.0.1', port: 6443 },
      { host: '::1', port: 6443 },
    ],
    endpoints: threeServers,
    balance: { policy: 'least-connections' },
    tunnels: { idleTimeoutMs: 600_000 },
    admin: { host: '127.0.0.1', port: 8081 },
    shutdown: { graceMs: 10_000 },
    log: { level: 'info' },
    allowNonLoopback: false,
  });
  expect(noteOn(notes, 'server_tokens off')).toMatchObject({ kind: 'dropped', lines: [34] });
  expect(noteOn(notes, 'proxy_connect_timeout')).toMatchObject({ kind: 'covered', lines: [26] });
  expect(notes[0]).toMatchObject({ kind: 'todo', text: expect.stringContaining('configure the CA') });
});

test("an HAProxy shaped as Kubespray's keeps Fairlead's own checks, and says so", async () => {
  const { yaml, notes } = imported(fixture('haproxy-proxy.cfg'));
  const { health } = await configOf(yaml);
  expect(health).toMatchObject({ path: '/readyz', intervalMs: 2_000, fall: 3 });
  expect(yaml).not.toContain('health');
  expect(noteOn(notes, 'health checks')).toMatchObject({
    kind: 'changed',
    text: expect.stringContaining('--keep-checks'),
  });
  expect(noteOn(notes, 'inter 15s')).toMatchObject({
    kind: 'covered',
    text: expect.stringContaining('(health.interval)'),
  });
});

test("an HAProxy shaped as Kubespray's becomes an equivalent configuration, checks kept", async () => {
  const { yaml, notes } = imported(fixture('haproxy-proxy.cfg'), { keepChecks: true });
  expect(await configOf(yaml)).toMatchObject({
    listeners: [
      { host: '127.0.0.1', port: 6443 },
      { host: '::1', port: 6443 },
    ],
    endpoints: threeServers,
    balance: { policy: 'least-connections' },
    health: {
      check: 'https',
      path: '/healthz',
      expectStatus: [{ from: 200, to: 200 }],
      intervalMs: 15_000,
      timeoutMs: 15_000,
      rise: 2,
      fall: 2,
    },
    tunnels: { max: 4000, idleTimeoutMs: 300_000 },
    admin: { host: '127.0.0.1', port: 8081 },
  });
  expect(noteOn(notes, 'verify none')).toMatchObject({ kind: 'todo', lines: [42, 43, 44] });
  expect(noteOn(notes, 'maxqueue 256')).toMatchObject({ kind: 'dropped', lines: [39] });
});

test("the HA document's external HAProxy becomes a listener that other hosts can reach", async () => {
  const { yaml } = imported(fixture('haproxy-external.cfg'), { keepChecks: true });
  expect(await configOf(yaml)).toMatchObject({
    listeners: [{ host: '192.0.2.10', port: 8383 }],
    allowNonLoopback: true,
    endpoints: threeServers.slice(0, 2),
    balance: { policy: 'round-robin' },
    health: { check: 'https', intervalMs: 10_000 },
    tunnels: { idleTimeoutMs: 3 * 3_600_000 },
  });
});

test('PROXY headers, from clients and to servers, are applied', async () => {
  const { yaml } = imported(
    'listen api\n bind 127.0.0.1:6443 accept-proxy\n mode tcp\n server a 10.0.0.1:6443 send-proxy-v2 check check-ssl verify none\n',
  );
  const { listeners } = await configOf(yaml);
  expect(listeners).toEqual([
    expect.objectContaining({ sendProxy: true, acceptProxyFrom: ['0.0.0.0/0', '::/0'] }),
  ]);
});

test('a listener on one address of many waits for it: it may be a VIP', async () => {
  const { yaml, notes } = imported(fixture('haproxy-external.cfg'));
  const { listeners } = await configOf(yaml);
  expect(listeners).toEqual([expect.objectContaining({ waitForAddress: true })]);
  expect(notes.map(({ text }) => text)).toContainEqual(expect.stringContaining('waitForAddress'));
  const everywhere = imported(fixture('haproxy-external.cfg').replace('192.0.2.10:8383', '*:8383'));
  expect((await configOf(everywhere.yaml)).listeners).toEqual([
    expect.objectContaining({ host: '0.0.0.0', waitForAddress: false }),
  ]);
});

/** Lines that only hold other lines together. */
const structure =
  /^\s*(#.*|\}|)$|\{\s*$|^(global|defaults|frontend|backend|listen)\b|^\s*(default_backend|proxy_pass)\b/;

test.each(['nginx-proxy.conf', 'haproxy-proxy.cfg', 'haproxy-external.cfg'])(
  '%s: every directive is applied or named with its line',
  (name) => {
    const text = fixture(name);
    const { yaml, notes } = imported(text);
    const named = new Set([
      ...notes.flatMap(({ lines }) => lines),
      ...[...yaml.matchAll(/# line ([\d, ]+)$/gm)].flatMap(([, lines = '']) => lines.split(',').map(Number)),
    ]);
    const missing = text
      .split('\n')
      .flatMap((line, index) =>
        structure.test(line) || named.has(index + 1) ? [] : [`${index + 1}: ${line}`],
      );
    expect(missing).toEqual([]);
  },
);

test('with a kubeconfig nothing about the CA is left to do', async () => {
  const kubeconfig = '/etc/kubernetes/kubelet.conf';
  for (const name of ['nginx-proxy.conf', 'haproxy-proxy.cfg']) {
    const { yaml, notes } = imported(fixture(name), { kubeconfig });
    expect(await configOf(yaml)).toMatchObject({ credentials: { kubeconfig } });
    expect(notes.filter(({ kind }) => kind === 'todo')).toEqual([]);
  }
});

const stream = (server: string, upstream = 'server 10.0.0.1:6443;') =>
  `stream { upstream u { ${upstream} } server { ${server} proxy_pass u; } }`;

describe('nginx', () => {
  test.each<[string, string, object]>([
    [
      'a port alone listens everywhere',
      stream('listen 6443;'),
      { listeners: [{ host: '0.0.0.0', port: 6443 }], allowNonLoopback: true },
    ],
    ['nothing said takes turns', stream('listen 127.0.0.1:1;'), { balance: { policy: 'round-robin' } }],
    [
      'a hash keeps to one',
      stream('listen 127.0.0.1:1;', 'hash $remote_addr; server 10.0.0.1:6443;'),
      { balance: { policy: 'rendezvous' } },
    ],
    [
      'a server that is down is left out',
      stream('listen 127.0.0.1:1;', 'server 10.0.0.1:6443; server 10.0.0.2:6443 down;'),
      { endpoints: [{ host: '10.0.0.1', port: 6443 }] },
    ],
    [
      'quotes and comments',
      stream('listen "127.0.0.1:7443"; # {\n'),
      { listeners: [{ host: '127.0.0.1', port: 7443 }] },
    ],
    [
      'no upstream',
      'stream { server { listen 127.0.0.1:1; proxy_pass cp.example:6443; } }',
      { endpoints: [{ host: 'cp.example', port: 6443 }] },
    ],
    [
      'a time of several units',
      stream('listen 127.0.0.1:1; proxy_timeout 1h30m;'),
      { tunnels: { idleTimeoutMs: 5_400_000 } },
    ],
    [
      'a time without unit is seconds',
      `${stream('listen 127.0.0.1:1;')} worker_shutdown_timeout 20;`,
      { shutdown: { graceMs: 20_000 } },
    ],
  ])('%s', async (_, text, expected) => {
    expect(await configOf(imported(text).yaml)).toMatchObject(expected);
  });

  test('a second server that goes elsewhere is a pool', async () => {
    const text = stream('listen 127.0.0.1:1;').replace(
      /\}$/,
      '\nserver { listen 127.0.0.1:2379;\nproxy_pass etcd; } upstream etcd { server 10.0.0.9:2379; } }',
    );
    const { listeners, pools } = await configOf(imported(text).yaml);
    expect(listeners[1]).toMatchObject({ port: 2379, pool: 'etcd' });
    expect(pools).toMatchObject([{ name: 'etcd', endpoints: [{ host: '10.0.0.9', port: 2379 }] }]);
  });

  test('terminated TLS has to be dealt with by hand', () => {
    expect(noteOn(imported(stream('listen 127.0.0.1:1 ssl;')).notes, 'ssl')?.kind).toBe('todo');
  });

  test.each([
    ['http { server { listen 80; } }', 'no stream server with a proxy_pass'],
    ['stream { server { listen 1; proxy_pass $upstream; } }', 'has no usable API server'],
    [stream('listen unix:/run/api.sock;'), 'has no usable listen address'],
    ['stream {\n server {', 'a "{" is not closed'],
    ['stream {\n listen 1 }', 'line 2: "listen" does not end with ";"'],
    ['}', 'line 1: "}" without "{"'],
    ['a "b', 'line 1: a quote is not closed'],
  ])('%j is refused: %s', (text, problem) => {
    expect(importNginx(text, { name: 'x' })).toMatchObject({
      ok: false,
      problem: expect.stringContaining(problem),
    });
  });
});

function listen(
  lines: readonly string[],
  server = 'server a 10.0.0.1:6443 check check-ssl verify none',
): string {
  return ['listen api', 'bind 127.0.0.1:6443', 'mode tcp', ...lines, server, ''].join('\n');
}

describe('HAProxy', () => {
  test.each<[string, string, object]>([
    ['all addresses', listen(['bind :8383']), { listeners: [{}, { host: '0.0.0.0', port: 8383 }] }],
    [
      'all IPv6 addresses',
      listen(['bind :::8383']),
      { listeners: [{}, { host: '::', port: 8383 }, { host: '0.0.0.0', port: 8383 }] },
    ],
    [
      'several addresses on one line',
      listen(['bind 127.0.0.2:1,127.0.0.3:2']),
      { listeners: [{}, { port: 1 }, { port: 2 }] },
    ],
    [
      'IPv6 without brackets',
      listen([], 'server a ipv6@fd00::1:6443'),
      { endpoints: [{ host: 'fd00::1', port: 6443 }] },
    ],
    [
      'timeout tunnel counts alone',
      listen(['timeout client 1m', 'timeout server 2m', 'timeout tunnel 1h']),
      { tunnels: { idleTimeoutMs: 3_600_000 } },
    ],
    [
      'the shorter of client and server',
      listen(['timeout client 15m', 'timeout server 5m']),
      { tunnels: { idleTimeoutMs: 300_000 } },
    ],
    ['half-closed', listen(['timeout client-fin 30s']), { tunnels: { halfCloseTimeoutMs: 30_000 } }],
    [
      'milliseconds without unit',
      listen([], 'server a 10.0.0.1:6443 check inter 4000'),
      { health: { intervalMs: 4_000 } },
    ],
    [
      'a fast interval',
      listen([], 'server a 10.0.0.1:6443 check inter 400'),
      { health: { intervalMs: 400, timeoutMs: 400, fastIntervalMs: 400 } },
    ],
    [
      'a slow interval',
      listen([], 'server a 10.0.0.1:6443 check inter 2m'),
      { health: { intervalMs: 120_000, standbyIntervalMs: 120_000 } },
    ],
    [
      'fastinter',
      listen([], 'server a 10.0.0.1:6443 check inter 5s fastinter 700'),
      { health: { fastIntervalMs: 700 } },
    ],
    ['a connection only', listen([], 'server a 10.0.0.1:6443 check'), { health: { check: 'tcp' } }],
    ['no checks at all', listen([], 'server a 10.0.0.1:6443'), { health: { check: 'https' } }],
    ['static turns', listen(['balance static-rr']), { balance: { policy: 'round-robin' } }],
    ['by source', listen(['balance source']), { balance: { policy: 'rendezvous' } }],
    [
      'a CA and a client certificate for the check',
      listen(
        [],
        'server a 10.0.0.1:6443 check check-ssl verify required ca-file /ca.crt crt /client.pem check-sni kubernetes',
      ),
      {
        credentials: {
          caFile: '/ca.crt',
          clientCertFile: '/client.pem',
          clientKeyFile: '/client.pem',
          serverName: 'kubernetes',
        },
      },
    ],
    [
      'a disabled server is left out',
      listen(['server b 10.0.0.2:6443 disabled']),
      { endpoints: [{ host: '10.0.0.1', port: 6443 }] },
    ],
    [
      'the last defaults before it',
      `defaults\n timeout client 1h\ndefaults\n timeout client 2h\n${listen([])}`,
      { tunnels: { idleTimeoutMs: 7_200_000 } },
    ],
    [
      'the defaults that it names',
      `defaults a\n timeout client 1h\ndefaults b\n timeout client 2h\n${listen([]).replace('listen api', 'listen api from a')}`,
      { tunnels: { idleTimeoutMs: 3_600_000 } },
    ],
    [
      'quoted and escaped words',
      listen(['balance "leastconn" # comment']),
      { balance: { policy: 'least-connections' } },
    ],
  ])('%s', async (_, text, expected) => {
    expect(await configOf(imported(text, { keepChecks: true }).yaml)).toMatchObject(expected);
  });

  test.each<[string, readonly string[], readonly [path: string, statuses: string][]]>([
    ['a path alone', ['option httpchk /livez'], [['/livez', '200-399']]],
    ['nothing', ['option httpchk'], [['/', '200-399']]],
    [
      'a first send takes the place of the option',
      ['option httpchk GET /a', 'http-check send uri /b'],
      [['/b', '200-399']],
    ],
    [
      'a list of statuses',
      ['option httpchk GET /a', 'http-check expect status 200-299,401'],
      [['/a', '200-299,401']],
    ],
    ['not', ['option httpchk GET /a', 'http-check expect ! status 500-599'], [['/a', '100-499']]],
    [
      'an expression',
      ['option httpchk GET /a', 'http-check expect rstatus ^(2|40[13])'],
      [['/a', '200-299,401,403']],
    ],
    [
      'several expectations',
      ['option httpchk GET /a', 'http-check expect ! rstatus ^5', 'http-check expect rstatus ^[25]'],
      [['/a', '200-299']],
    ],
    [
      'a sequence',
      [
        'option httpchk',
        'http-check connect ssl',
        'http-check send meth GET uri /livez ver HTTP/1.1 hdr Host api',
        'http-check expect status 200',
        'http-check connect ssl',
        'http-check send meth GET uri /readyz',
        'http-check expect status 200-204',
      ],
      [
        ['/livez', '200'],
        ['/readyz', '200-204'],
      ],
    ],
  ])('the check %s', async (_, lines, expected) => {
    const { health } = await configOf(imported(listen(lines), { keepChecks: true }).yaml);
    const shown = healthStepsOf(health).map(({ path, expectStatus }) => [
      path,
      expectStatus.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(','),
    ]);
    expect(shown).toEqual(expected);
  });

  test.each([
    [listen(['option httpchk HEAD /healthz']), 'httpchk HEAD', 'changed', 'not HEAD'],
    [listen(['acl local src 10.0.0.0/8']), 'acl', 'dropped', 'no counterpart'],
    [
      listen(['option httpchk', 'http-check expect string ok']),
      'expect string',
      'dropped',
      'only the status',
    ],
    [listen(['http-check expect status 200']), 'expect status', 'dropped', 'without option httpchk'],
    [listen(['bind 127.0.0.1:7443 ssl crt /x.pem']), 'ssl crt', 'todo', 'terminates TLS'],
    [listen(['bind 127.0.0.1:7443 accept-proxy']), 'accept-proxy', 'changed', 'to the networks'],
    [listen([], 'server a 10.0.0.1:6443 send-proxy'), 'send-proxy', 'changed', 'version 2'],
    [listen(['timeout client "$IDLE"']), 'timeout client', 'todo', 'environment variables'],
    [listen([], 'server a 10.0.0.1:6443 backup'), 'backup', 'dropped', 'no counterpart'],
    [listen([], 'server a 10.0.0.1:6443 check slowstart 60s'), 'slowstart', 'covered', 'balance.rebalance'],
    [`${listen([])}peers p\n peer a 10.0.0.1:1\n`, 'peers p', 'dropped', 'no counterpart'],
    [listen(['timeout client 5s']), 'timeout client 5s', 'dropped', 'tunnels.idleTimeout must be'],
  ])('%j: "%s" is %s: %s', async (text, directive, kind, words) => {
    const { yaml, notes } = imported(text, { keepChecks: true });
    await configOf(yaml);
    expect(notes.filter((note) => note.directive.includes(directive))).toContainEqual(
      expect.objectContaining({ kind, text: expect.stringContaining(words) }),
    );
  });

  test.each([
    ['global\n', 'no frontend or listen section with servers'],
    ['listen a\n bind :1\n', 'no frontend or listen section with servers'],
    ['frontend a\n bind :1\n default_backend b\n', 'section with servers'],
    [listen([], 'server a /run/api.sock'), 'no usable server'],
    ['listen a\n bind /run/x.sock\n server a 10.0.0.1:6443\n', 'binds no usable address'],
    ['listen a\n bind "1\n', 'line 2: a quote is not closed'],
  ])('%j is refused: %s', (text, problem) => {
    expect(importHaproxy(text, { name: 'x' })).toMatchObject({
      ok: false,
      problem: expect.stringContaining(problem),
    });
  });
});

const time = fc
  .tuple(fc.nat(100_000), fc.constantFrom('', 'us', 'ms', 's', 'm', 'h', 'd'))
  .map(([n, unit]) => `${n}${unit}`);
const haproxyLine = fc.oneof(
  fc
    .tuple(fc.constantFrom('client', 'server', 'tunnel', 'check', 'connect', 'client-fin', 'queue'), time)
    .map(([name, value]) => `timeout ${name} ${value}`),
  fc.constantFrom(
    'balance leastconn',
    'balance uri',
    'option httpchk',
    'option httpchk GET /readyz',
    'no option redispatch',
    'maxconn 7',
    'maxconn 99999999',
    'http-check expect ! status 100-599',
    'bind [::1]:1',
    'bind 127.0.0.1:6443',
    'default-server inter 3s fall 0',
    'monitor-uri /x',
  ),
  fc
    .record({ inter: time, fast: time, rise: fc.nat(200) })
    .map(
      ({ inter, fast, rise }) =>
        `server s${rise} 10.0.0.1:${rise + 1} check inter ${inter} fastinter ${fast} rise ${rise}`,
    ),
  fc.string({ unit: 'grapheme-ascii', maxLength: 30 }).filter((text) => !/['"\\\n]/.test(text)),
);

test('whatever HAProxy says, what comes out is a good configuration or a refusal', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(haproxyLine, { maxLength: 12 }), async (lines) => {
      const result = importHaproxy(listen(lines), { name: 'x' });
      if (result.ok) await configOf(result.value.yaml);
    }),
    { numRuns: 150 },
  );
});

const nginxDirective = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('proxy_timeout', 'proxy_connect_timeout', 'listen', 'proxy_pass', 'error_log'),
      fc.string({ unit: 'grapheme-ascii', maxLength: 12 }),
    )
    .map(([name, value]) => `${name} ${value.replace(/[;{}"'\\#]/g, '')};`),
  fc.constantFrom(
    'listen 127.0.0.1:99999;',
    'listen [::1]:6443;',
    'listen 6443 reuseport;',
    'proxy_timeout 400d;',
    'error_log x.log crit;',
  ),
);

test('whatever nginx says, what comes out is a good configuration or a refusal', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(nginxDirective, { maxLength: 8 }), async (lines) => {
      const result = importNginx(stream(`listen 127.0.0.1:1; ${lines.join(' ')}`), { name: 'x' });
      if (result.ok) await configOf(result.value.yaml);
    }),
    { numRuns: 150 },
  );
});

test.each([
  ['# a comment\n\nglobal\n', 'haproxy'],
  ['listen a\n', 'haproxy'],
  ['worker_processes 1;\nstream {}', 'nginx'],
  ['stream {\n', 'nginx'],
  ['', 'nginx'],
] as const)('%j looks like %s', (text, kind) => {
  expect(detectProxy(text)).toBe(kind);
});

test('a setting that a note of an import names exists', () => {
  const groups = new Set(settingKeys.map((key) => key.split('.')[0]).filter((group) => group !== undefined));
  const files = readdirSync('src/import').filter((file) => file.endsWith('.ts'));
  const texts = files.flatMap((file) => readFileSync(`src/import/${file}`, 'utf8').match(/'[^'\n]*'/g) ?? []);
  const named = texts.flatMap((text) => text.match(/\b[a-z][A-Za-z]*\.[a-z][A-Za-z]*\b/g) ?? []);
  const settings = named.filter((name) => groups.has(name.split('.')[0] ?? ''));
  expect(settings.length).toBeGreaterThan(10);
  const isKnown = (name: string) => settingKeys.some((key) => key === name || key.startsWith(`${name}.`));
  expect(settings.filter((name) => !isKnown(name))).toEqual([]);
});

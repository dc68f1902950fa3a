// Nothing that another proxy kept closed becomes open in what an import prints.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Config } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { detectProxy } from '../../../src/cli/import-config.ts';
import { allowedBy, networkSet, networkTexts } from '../../../src/import/address-set.ts';
import type { Imported, ImportOptions } from '../../../src/import/draft.ts';
import { importHaproxy } from '../../../src/import/haproxy.ts';
import { importNginx } from '../../../src/import/nginx.ts';
import { networkCheck } from '../../../src/model/network.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();

function imported(text: string, options: Partial<ImportOptions> = {}): Imported {
  const importer = detectProxy(text) === 'nginx' ? importNginx : importHaproxy;
  const result = importer(text, { name: 'proxy', ...options });
  if (!result.ok) throw new Error(result.problem);
  return result.value;
}

async function configOf({ yaml }: Imported): Promise<Config> {
  const file = join(directory, 'fairlead.yaml');
  writeFileSync(file, yaml);
  const loaded = await loadConfig({ file, env: {}, hostname: 'node-1' });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

const closed = ['0.0.0.0'];

/** A frontend on every address with these lines, and a backend of two API servers. */
const front = (lines: readonly string[], backend: readonly string[] = []) =>
  [
    'frontend api',
    'bind :6443',
    ...lines,
    'default_backend cp',
    'backend cp',
    ...backend,
    'server a 10.0.0.11:6443',
    'server b 10.0.0.12:6443',
    '',
  ].join('\n');

const stream = (server: string, shared = '') =>
  `stream { upstream cp { server 10.0.0.11:6443; } ${shared} server { listen 6443; ${server} proxy_pass cp; } }`;

const internal = 'acl internal src 10.0.0.0/8 fd00::/8';

test.each<[string, string, readonly string[] | undefined]>([
  ['no rules', front([]), undefined],
  [
    'reject if not internal',
    front([internal, 'tcp-request connection reject if !internal']),
    ['10.0.0.0/8', 'fd00::/8'],
  ],
  [
    'reject unless internal',
    front([internal, 'tcp-request connection reject unless internal']),
    ['10.0.0.0/8', 'fd00::/8'],
  ],
  [
    'an accept, then a reject',
    front(['tcp-request connection accept if { src 10.1.0.0/16 }', 'tcp-request connection reject']),
    ['10.1.0.0/16'],
  ],
  [
    'two conditions joined by or',
    front(['tcp-request content reject if !{ src 10.1.0.0/16 } !{ src 10.2.0.0/16 }']),
    ['10.1.0.0/16', '10.2.0.0/16'],
  ],
  [
    'rules of the backend as well',
    front(
      ['tcp-request connection reject if !{ src 10.0.0.0/8 }'],
      ['tcp-request content reject if !{ src 10.1.0.0/16 }'],
    ),
    ['10.1.0.0/16'],
  ],
  ['only accepts', front(['tcp-request content accept if { req_ssl_hello_type 1 }']), undefined],
  ['a file of addresses', front(['acl ok src -f /etc/ok', 'tcp-request connection reject if !ok']), closed],
  ['SNI', front(['tcp-request content reject if !{ req_ssl_sni api.example }']), closed],
  ['an ACL that is not defined', front(['tcp-request connection reject if !ok']), closed],
  ['everything is rejected', front(['tcp-request connection reject']), closed],
  ['a silent drop', front(['tcp-request connection silent-drop if { src 0.0.0.0/0 }']), ['::/0']],
  ['clients that went elsewhere', front(['use_backend other if { src 192.0.2.0/24 }']), closed],
  ['the same backend by a condition', front(['use_backend cp if { src 192.0.2.0/24 }']), undefined],
  ['a request denied', front(['mode http', 'http-request deny if { path /logs }']), closed],
  ['one interface', front([]).replace(':6443', ':6443 interface eth0'), closed],
  ['nginx: allow, then deny all', stream('allow 10.0.0.0/8; deny all;'), ['10.0.0.0/8']],
  ['nginx: a hole', stream('deny 10.0.0.0/9; allow 10.0.0.0/8; deny all;'), ['10.128.0.0/9']],
  ['nginx: inherited', stream('', 'allow 10.0.0.0/8; deny all;'), ['10.0.0.0/8']],
  ['nginx: own rules in place of inherited ones', stream('allow all;', 'deny all;'), undefined],
  ['nginx: deny all', stream('deny all;'), closed],
  ['nginx: an include that may deny', stream('include /etc/nginx/allow.conf;'), closed],
  ['nginx: a name in place of an address', stream('allow office.example; deny all;'), closed],
])('%s', async (_, text, allowFrom) => {
  const result = imported(text);
  const { listeners } = await configOf(result);
  expect(listeners).toMatchObject([{ host: '0.0.0.0', port: 6443 }]);
  expect(listeners[0]?.allowFrom).toEqual(allowFrom);
});

test('a listener that is closed because of a rule says so', () => {
  const { notes } = imported(front(['tcp-request content reject if !{ req_ssl_sni api.example }']));
  expect(notes).toContainEqual({
    kind: 'todo',
    lines: [3],
    directive: 'tcp-request content reject if !{ req_ssl_sni api.example }',
    text: expect.stringContaining('the listener is closed'),
  });
});

const address = fc.tuple(fc.nat(255), fc.nat(255)).map(([a, b]) => `10.0.${a}.${b}`);
const rules = fc.array(
  fc.record({
    allows: fc.boolean(),
    network: fc.tuple(address, fc.integer({ min: 14, max: 32 })).map(([host, bits]) => `${host}/${bits}`),
  }),
  { maxLength: 6 },
);

test('the networks of ordered rules hold exactly what the first matching rule allows', () => {
  fc.assert(
    fc.property(rules, fc.array(address, { minLength: 1, maxLength: 20 }), (list, clients) => {
      const sets = list.flatMap(({ allows, network }) => {
        const set = networkSet(network);
        return set ? [{ allows, set }] : [];
      });
      const isAllowed = networkCheck(networkTexts(allowedBy(sets)));
      for (const client of clients) {
        const first = list.find(({ network }) => networkCheck([network])(client));
        expect(isAllowed(client)).toBe(first?.allows ?? true);
      }
    }),
  );
});

test.each(['fd00::/8', '::1', '2001:db8::5/128', '::/0', '192.0.2.7', '0.0.0.0/0'])(
  '%s comes back',
  (text) => {
    const set = networkSet(text);
    expect(set && networkTexts(set)).toEqual([text.replace('/128', '')]);
  },
);

test('a wildcard covers the other addresses of its port', async () => {
  const result = imported(front(['bind 127.0.0.1:6443', 'bind :::6443']));
  expect((await configOf(result)).listeners.map(({ host }) => host)).toEqual(['0.0.0.0', '::']);
  expect(result.notes).toContainEqual(
    expect.objectContaining({ kind: 'covered', lines: [3], directive: 'bind 127.0.0.1:6443' }),
  );
  const later = imported(
    front(['bind 127.0.0.1:6443']).replace('bind :6443', 'bind 10.0.0.5:6443\nbind *:6443'),
  );
  expect((await configOf(later)).listeners.map(({ host }) => host)).toEqual(['0.0.0.0']);
});

test('addresses of one port with other rules become one closed listener', async () => {
  const text = `${front([])}frontend inside\nbind 10.0.0.5:6443\ntcp-request connection reject if !{ src 10.0.0.0/8 }\ndefault_backend cp\n`;
  const result = imported(text);
  expect((await configOf(result)).listeners).toMatchObject([{ host: '0.0.0.0', allowFrom: closed }]);
  expect(result.notes.filter(({ kind }) => kind === 'todo').map(({ lines }) => lines)).toContainEqual([8]);
});

test('send-proxy on one of two servers is not applied to both', async () => {
  const text = front([]).replace('10.0.0.12:6443', '10.0.0.12:6443 send-proxy');
  const result = imported(text);
  expect((await configOf(result)).listeners[0]?.sendProxy).toBe(false);
  expect(result.notes).toContainEqual(
    expect.objectContaining({ kind: 'todo', lines: [6], directive: 'send-proxy' }),
  );
});

test('proxy_protocol of nginx is sendProxy, for the servers that say so', async () => {
  const two = stream('proxy_protocol on;').replace(
    /\}$/,
    'server { listen 127.0.0.1:7443; proxy_pass cp; } }',
  );
  const { listeners, pools } = await configOf(imported(two));
  expect(listeners.map(({ port, sendProxy }) => [port, sendProxy])).toEqual([
    [6443, true],
    [7443, false],
  ]);
  expect(pools).toHaveLength(1);
});

test('a check port of all servers is health.port with --keep-checks, and named without', async () => {
  const text = front([], ['option httpchk GET /healthz', 'default-server check port 8080']);
  const { health } = await configOf(imported(text, { keepChecks: true }));
  expect(health).toMatchObject({ check: 'http', port: 8080, path: '/healthz' });
  expect(imported(text).notes).toContainEqual(
    expect.objectContaining({ directive: 'port 8080', text: expect.stringContaining('(health.port)') }),
  );
  const one = front([], ['option httpchk']).replace('10.0.0.11:6443', '10.0.0.11:6443 check port 8080');
  expect((await configOf(imported(one, { keepChecks: true }))).health.port).toBeUndefined();
});

test('further sections are pools, and the API servers are the ones on their port', async () => {
  const text = [
    'listen ingress-router-443',
    'bind *:443',
    'balance source',
    'server w0 10.0.0.21:443 check inter 1s',
    'listen api-server-6443',
    'bind *:6443',
    'server m0 10.0.0.11:6443 check inter 1s',
    'listen machine-config-server-22623',
    'bind *:22623',
    'server m0 10.0.0.11:22623 check inter 1s',
    '',
  ].join('\n');
  const { endpoints, listeners, pools } = await configOf(imported(text));
  expect(endpoints).toMatchObject([{ host: '10.0.0.11', port: 6443 }]);
  expect(listeners.map(({ port, pool }) => [port, pool])).toEqual([
    [6443, 'apiservers'],
    [443, 'ingress-router-443'],
    [22623, 'machine-config-server-22623'],
  ]);
  expect(pools).toMatchObject([{ endpoints: [{ port: 443 }] }, { endpoints: [{ port: 22623 }] }]);
});

test.each([
  [front(['timeout client 50000']), 3],
  [stream('\nproxy_timeout 3s;\n'), 2],
])('a time that is too short is dropped, and only that', (text, line) => {
  const { yaml, notes } = imported(text);
  expect(yaml).not.toContain('idleTimeout');
  expect(notes.filter(({ lines }) => lines.includes(line)).map(({ kind }) => kind)).toEqual(['dropped']);
});

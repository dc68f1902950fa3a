// Every directive of an imported file is accounted for once: applied, or named in one message.
import fc from 'fast-check';
import type { Imported } from '../../../src/import/draft.ts';
import { importHaproxy } from '../../../src/import/haproxy.ts';
import { importNginx } from '../../../src/import/nginx.ts';

const linesIn = (text: string) =>
  [...text.matchAll(/# line ([\d, ]+)$/gm)].flatMap(([, lines = '']) => lines.split(',').map(Number));

/** What is wrong with the account of the lines between `first` and the end. */
function faultsOf(text: string, { yaml, notes }: Imported, isDirective: (line: string) => boolean): string[] {
  const applied = new Set(linesIn(yaml));
  return text.split('\n').flatMap((content, index) => {
    const line = index + 1;
    if (!isDirective(content.trim())) return [];
    const own = notes.filter(({ lines }) => lines.includes(line));
    const faults: string[] = [];
    if (!applied.has(line) && own.length === 0) faults.push('is not accounted for');
    const names = own.map(({ directive }) => directive);
    if (new Set(names).size < names.length) faults.push('has two messages for one directive');
    // Servers and checks say several things in a line, each of which has a message of its own.
    const isSingle = !/^(server|default-server|bind|listen|option httpchk|http-check)\b/.test(content.trim());
    if (isSingle && own.length > 1) faults.push('has several messages');
    if (isSingle && applied.has(line) && own.some(({ kind }) => kind === 'dropped'))
      faults.push('is applied and dropped');
    return faults.map((fault) => `${line} "${content.trim()}" ${fault}: ${JSON.stringify(own)}`);
  });
}

const time = fc
  .tuple(fc.nat(9_000), fc.constantFrom('', 'ms', 's', 'm', 'h'))
  .map(([count, unit]) => `${count}${unit}`);

const shared = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('client', 'server', 'tunnel', 'check', 'connect', 'client-fin', 'server-fin', 'queue'),
      time,
    )
    .map(([name, value]) => `timeout ${name} ${value}`),
  fc.constantFrom(
    'mode tcp',
    'mode http',
    'balance leastconn',
    'balance source',
    'maxconn 7',
    'maxconn 99999999',
    'option httpchk GET /readyz',
    'http-check expect status 200',
    'option tcp-check',
    'no option redispatch',
    'option redispatch',
    'retries 3',
    'bogus word',
  ),
);
const frontLine = fc.oneof(
  shared,
  fc.constantFrom(
    'bind 127.0.0.1:6443',
    'bind 10.0.0.5:6443',
    'bind :7443',
    'bind :::7443 v4v6',
    'bind 127.0.0.1:7443 accept-proxy',
    'acl internal src 10.0.0.0/8',
    'acl api req_ssl_sni api.example',
    'tcp-request connection reject if !internal',
    'tcp-request content reject if !api',
    'tcp-request content accept if internal',
    'use_backend two if internal',
    'use_backend one if internal',
  ),
);
const backLine = fc.oneof(
  shared,
  fc.constantFrom(
    'default-server inter 3s fall 2',
    'server a 10.0.0.1:6443 check check-ssl verify none',
    'server b 10.0.0.2:6443 check port 8080 inter 5s send-proxy',
    'server c 10.0.0.3:6443 backup weight 5',
    'server d 10.0.0.4:6443 disabled',
    'server e /run/api.sock',
  ),
);
const some = (line: fc.Arbitrary<string>) => fc.array(line, { maxLength: 5 });
const haproxyFile = fc
  .record({
    defaults: some(shared),
    front: some(frontLine),
    other: some(frontLine),
    one: some(backLine),
    two: some(backLine),
  })
  .map(({ defaults, front, other, one, two }) =>
    [
      'defaults',
      ...defaults,
      'frontend one-front',
      'bind 127.0.0.1:8443',
      ...front,
      'default_backend one',
      'frontend two-front',
      'bind 127.0.0.2:9443',
      ...other,
      'default_backend two',
      'backend one',
      ...one,
      'server z 10.0.0.9:6443',
      'backend two',
      ...two,
      'server y 10.0.0.9:22623',
    ].join('\n'),
  );

const isHaproxyDirective = (line: string) => !/^(defaults|frontend|backend|default_backend)\b/.test(line);

test.each([false, true])(
  'every HAProxy directive is accounted for once (--keep-checks: %s)',
  (keepChecks) => {
    fc.assert(
      fc.property(haproxyFile, (text) => {
        const result = importHaproxy(text, { name: 'x', keepChecks });
        if (result.ok) expect(faultsOf(text, result.value, isHaproxyDirective)).toEqual([]);
        else expect(result.problem).toBe('');
      }),
      { numRuns: 300 },
    );
  },
);

const nginxLine = fc.constantFrom(
  'allow 10.0.0.0/8;',
  'deny all;',
  'allow office.example;',
  'proxy_timeout 10m;',
  'proxy_timeout 3s;',
  'proxy_timeout soon;',
  'proxy_connect_timeout 1s;',
  'proxy_protocol on;',
  'proxy_ssl on;',
  'include /etc/nginx/more.conf;',
  'error_log /var/log/x.log warn;',
  'access_log off;',
  'ssl_preread on;',
  'bogus word;',
);
const nginxServer = fc.oneof(
  nginxLine,
  fc.constantFrom('listen 127.0.0.2:7443;', 'listen 7443 proxy_protocol;'),
);
const nginxFile = fc
  .record({ stream: some(nginxLine), one: some(nginxServer), two: some(nginxServer) })
  .map(({ stream, one, two }) =>
    [
      'stream {',
      ...stream,
      'upstream one {',
      'least_conn;',
      'server 10.0.0.1:6443 max_fails=3 weight=5;',
      '}',
      'upstream two {',
      'server 10.0.0.1:9345 down;',
      'server 10.0.0.2:9345;',
      '}',
      'server {',
      'listen 127.0.0.1:8443;',
      ...one,
      'proxy_pass one;',
      '}',
      'server {',
      'listen 127.0.0.1:9345;',
      ...two,
      'proxy_pass two;',
      '}',
      '}',
    ].join('\n'),
  );

test('every nginx directive is accounted for once', () => {
  fc.assert(
    fc.property(nginxFile, (text) => {
      const result = importNginx(text, { name: 'x' });
      if (!result.ok) throw new Error(result.problem);
      const isDirective = (line: string) => !/[{}]$/.test(line) && !line.startsWith('proxy_pass');
      expect(faultsOf(text, result.value, isDirective)).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

// What public configurations have that the first imports of them left out or misread, in small.
test.each<[string, string, readonly number[]]>([
  [
    'a bare http-check connect',
    'listen a\nbind 127.0.0.1:1\noption httpchk\nhttp-check connect\nhttp-check send meth GET uri /readyz\nserver a 10.0.0.1:6443 check\n',
    [4],
  ],
  [
    'a backend of node ports, without ports of servers',
    'listen a\nbind 127.0.0.1:1\nserver a 10.0.0.1:6443\nfrontend n\nbind :30000-32767\ndefault_backend n\nbackend n\nbalance leastconn\nserver a 10.0.0.1\n',
    [4, 5, 7, 8, 9],
  ],
  [
    'a backend that only a condition leads to',
    'frontend f\nbind :443\nuse_backend k if { req_ssl_sni -i api.example }\ndefault_backend w\nbackend w\nserver w 10.0.0.9:443\nbackend k\nserver k 10.0.0.1:6443\n',
    [3, 7, 8],
  ],
])('%s is named', (_, text, lines) => {
  for (const keepChecks of [false, true]) {
    const result = importHaproxy(text, { name: 'x', keepChecks });
    if (!result.ok) throw new Error(result.problem);
    const named = new Set(result.value.notes.flatMap((note) => note.lines));
    expect(lines.filter((line) => !named.has(line))).toEqual([]);
  }
});

const yamlOf = (result: ReturnType<typeof importHaproxy>) => {
  if (!result.ok) throw new Error(result.problem);
  return result.value.yaml;
};

test('an IPv6 wildcard of HAProxy takes IPv4 clients as well, unless it is v6only; a semicolon is no part of it', () => {
  const file = (bind: string) => `listen a\nbind ${bind}\nserver a 10.0.0.1:6443\n`;
  expect(yamlOf(importHaproxy(file(':::6443;'), { name: 'x' }))).toMatch(
    /"\[::\]:6443"[\s\S]*"0\.0\.0\.0:6443"/,
  );
  expect(yamlOf(importHaproxy(file(':::6443 v6only'), { name: 'x' }))).not.toContain('0.0.0.0');
});

test('a file that a stream block of nginx includes is read as such', () => {
  const text = 'upstream k { server a.example:6443; }\nserver { listen 127.0.0.1:6443; proxy_pass k; }\n';
  expect(yamlOf(importNginx(text, { name: 'x' }))).toContain('a.example:6443');
});

test('a pool that is not verified asks for no CA', () => {
  const text =
    'listen a\nbind 127.0.0.1:1\nserver a 10.0.0.1:6443 check check-ssl verify none\nlisten k\nbind 127.0.0.1:2\nserver a 10.0.0.1:8132 check check-ssl verify none\n';
  const result = importHaproxy(text, { name: 'x' });
  const todos = result.ok ? result.value.notes.filter(({ kind }) => kind === 'todo') : [];
  expect(todos.map(({ lines }) => lines)).toEqual([[3]]);
});

test('an endpoint that is the listener itself is refused, with the reason', () => {
  const result = importHaproxy('listen a\nbind :6443\nserver a 127.0.0.1:6443\n', { name: 'x' });
  expect(result).toMatchObject({ ok: false, problem: expect.stringContaining('not Fairlead itself') });
});

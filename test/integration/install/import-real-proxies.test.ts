// What the import makes of a configuration, beside what the real proxy makes of it.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { healthStepsOf } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { importHaproxy } from '../../../src/import/haproxy.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const has = (program: string) => spawnSync(program, ['-v']).error === undefined;
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const hasHaproxy = has('haproxy') || existsSync('/usr/sbin/haproxy');
const whenHaproxy = hasHaproxy ? test : test.skip;
if (!hasHaproxy) skipLoudly('imports beside HAProxy', 'haproxy is not installed');
const streamModule = '/usr/lib/nginx/modules/ngx_stream_module.so';
const whenNginx = existsSync(streamModule) ? test : test.skip;
if (!existsSync(streamModule))
  skipLoudly('imports beside nginx', 'nginx with its stream module is not installed');

whenHaproxy.each(['haproxy-proxy.cfg', 'haproxy-external.cfg'])('%s is what HAProxy accepts', (name) => {
  const { status, stdout, stderr } = spawnSync('haproxy', ['-c', '-f', `test/fixtures/${name}`], {
    encoding: 'utf8',
    env,
  });
  expect({ status, text: `${stdout}${stderr}` }).toMatchObject({ status: 0 });
});

whenNginx('nginx-proxy.conf is what nginx accepts', () => {
  const file = join(directory, 'nginx.conf');
  writeFileSync(
    file,
    `load_module ${streamModule};\n${readFileSync('test/fixtures/nginx-proxy.conf', 'utf8')}`,
  );
  const paths = `pid ${directory}/pid;`;
  const { stderr } = spawnSync('nginx', ['-t', '-p', directory, '-c', file, '-g', paths], {
    encoding: 'utf8',
    env,
  });
  expect(stderr).toContain('syntax is ok');
});

const checks: readonly (readonly string[])[] = [
  ['option httpchk GET /a'],
  ['option httpchk GET /a', 'http-check send uri /b'],
  ['option httpchk', 'http-check send meth GET uri /b', 'http-check expect status 200'],
  [
    'option httpchk GET /a',
    'http-check connect',
    'http-check send meth GET uri /b',
    'http-check expect status 200-299,401',
  ],
  [
    'option httpchk',
    'http-check connect',
    'http-check send meth GET uri /livez',
    'http-check expect rstatus ^2',
    'http-check connect',
    'http-check send meth GET uri /readyz',
    'http-check expect ! status 500-599',
  ],
];

whenHaproxy.each(checks.map((lines) => [lines.join('; '), lines] as const))(
  'HAProxy asks what the imported steps ask: %s',
  async (_, lines) => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      response.end('ok');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const text = [
      'defaults',
      ' timeout connect 1s',
      ' timeout client 1s',
      ' timeout server 1s',
      'listen api',
      ` bind ${directory}/api.sock`,
      ' bind 127.0.0.1:6443',
      ' mode tcp',
      ...lines.map((line) => ` ${line}`),
      ` server a 127.0.0.1:${port} check inter 100`,
      '',
    ].join('\n');
    const imported = importHaproxy(text, { name: 'haproxy.cfg', keepChecks: true });
    if (!imported.ok) throw new Error(imported.problem);
    const yaml = join(directory, 'fairlead.yaml');
    writeFileSync(yaml, imported.value.yaml);
    const loaded = await loadConfig({ file: yaml, env: {}, hostname: 'node-1' });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    const wanted = healthStepsOf(loaded.config.health).map(({ path }) => `GET ${path}`);

    const config = join(directory, 'haproxy.cfg');
    // Only the socket is bound: no port has to be free.
    writeFileSync(config, text.replace(' bind 127.0.0.1:6443\n', ''));
    const haproxy = spawn('haproxy', ['-db', '-f', config], { env, stdio: 'ignore' });
    const ended = new Promise((resolve) => haproxy.once('exit', resolve));
    try {
      await eventually('HAProxy checks', () => asked.length > wanted.length);
      expect(asked.slice(0, wanted.length)).toEqual(wanted);
    } finally {
      haproxy.kill('SIGKILL');
      await ended;
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  },
);

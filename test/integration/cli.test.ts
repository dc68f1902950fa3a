// The program as a user meets it: exit codes and messages, `fairlead status` about a running agent, signals, and reloads.
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { type AgentProcess, builtProgram, freePort, runFairlead } from '../support/agent/agent-process.ts';
import { type AgentOptions, agentSuite } from '../support/agent/agent-suite.ts';
import { eventually } from '../support/jest/eventually.ts';
import { tempDir } from '../support/jest/temp-dir.ts';

const suite = agentSuite();
const directory = tempDir();

async function run(...args: Parameters<typeof runFairlead>) {
  const { code, stdout, stderr } = await runFairlead(...args);
  return { exitCode: code, out: stdout, err: stderr };
}

/** An endpoint that refuses. */
const refusing = '127.0.0.2:1';

/** An agent on free ports with one endpoint that refuses, unless `options` say otherwise. */
const startAgent = (options: AgentOptions = {}): Promise<AgentProcess> =>
  suite.startAgent({ listen: '127.0.0.1:0', admin: '127.0.0.1:0', endpoints: [refusing], ...options });

/** Waits for a log line with this message; the `nth` one, from 0. */
function logged({ log }: AgentProcess, message: string, nth = 0) {
  return eventually(`log line "${message}"`, () => log.filter(({ msg }) => msg === message)[nth]);
}

function configFile(text: string): string {
  const file = join(directory, 'fairlead.yaml');
  writeFileSync(file, text);
  return file;
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return (server.address() as AddressInfo).port;
}

test("the bundle imports nothing of Node's own at its top: that would load all of it at every start", () => {
  const imports = readFileSync(builtProgram, 'utf8').match(/^import .*/gm);
  expect(imports).toEqual(["import { createRequire as __createRequire } from 'node:module';"]);
});

describe('exit codes and messages', () => {
  test('1: output that cannot be written is said in one line', () => {
    const full = openSync('/dev/full', 'w');
    const { status, stderr } = spawnSync(process.execPath, [builtProgram, 'config', 'print'], {
      stdio: ['ignore', full, 'pipe'],
      encoding: 'utf8',
    });
    closeSync(full);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringMatching(/^fairlead: standard output cannot be written: ENOSPC[^\n]*\n$/),
    });
  });

  test('0: version, help, a good configuration', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(await run(['--version'])).toEqual({ exitCode: 0, out: `${version}\n`, err: '' });
    expect(await run(['--help'])).toMatchObject({ exitCode: 0, err: '' });
    const file = configFile('endpoints: [10.0.0.1]\n');
    expect(await run(['config', 'check', '--config', file])).toEqual({
      exitCode: 0,
      out: `${file} is valid.\n`,
      err: '',
    });
  });

  test('2: bad usage', async () => {
    const { exitCode, out, err } = await run(['run', '--lisen', 'x']);
    expect([exitCode, out]).toEqual([2, '']);
    expect(err).toContain("unknown option '--lisen'\n(Did you mean --listen?)");
  });

  test('2: a bad configuration stops run and check alike, with every problem', async () => {
    const file = configFile('endpoints: [10.0.0.1]\nhelth: 1\nlog:\n  level: loud\n');
    for (const args of [['run'], ['config', 'check'], ['config', 'print']]) {
      const { exitCode, out, err } = await run([...args, '--config', file], { env: { FAIRLEAD_ADMIN: 'x' } });
      expect([exitCode, out]).toEqual([2, '']);
      expect(err.split('\n')).toEqual([
        'fairlead: CONFIG_INVALID: the configuration has 3 problems:',
        `  ${file}:2:1: helth: is not a setting; did you mean health?`,
        expect.stringContaining(`  ${file}:4:10: log.level: must be one of trace`),
        expect.stringContaining('  FAIRLEAD_ADMIN: admin: must be false or'),
        expect.stringContaining('Fix every problem listed'),
        '',
      ]);
    }
  });

  test('2: a file that is not there', async () => {
    const { exitCode, err } = await run(['run', '--config', 'none.yaml'], { cwd: directory });
    expect(exitCode).toBe(2);
    expect(err).toMatch(
      /^fairlead: CONFIG_UNREADABLE: .*\n {2}none\.yaml: cannot be read: it does not exist\n/,
    );
    expect(err).not.toContain(' at ');
  });

  test('3: the address is taken', async () => {
    const other = createTcpServer();
    const port = await listening(other);
    const { exitCode, err } = await run([
      'run',
      '--listen',
      `127.0.0.1:${port}`,
      '--endpoints',
      '127.0.0.2:1',
    ]);
    expect(err).toMatch(/^fairlead: LISTEN_IN_USE: /);
    expect(err).not.toContain(' at ');
    expect(exitCode).toBe(3);
    other.close();
  });

  test('3: the address is not of this host', async () => {
    const env = { FAIRLEAD_ALLOW_NON_LOOPBACK: 'true' };
    const args = ['run', '--listen', '192.0.2.1:6443', '--admin', 'false', '--endpoints', '127.0.0.2:1'];
    const { exitCode, err } = await run(args, { env });
    expect(err).toMatch(/^fairlead: LISTEN_FAILED: /);
    expect(exitCode).toBe(3);
  });
});

describe('fairlead status', () => {
  test('4: nobody answers, or somebody else does', async () => {
    const other = createServer((_request, response) => response.end('{"status":"ok"}'));
    const port = await listening(other);
    const somebodyElse = await run(['status', '--admin', `127.0.0.1:${port}`]);
    expect(somebodyElse).toMatchObject({
      exitCode: 4,
      out: '',
      err: expect.stringContaining('is not a Fairlead agent'),
    });
    other.close();
    other.closeAllConnections();
    await once(other, 'close');
    const nobody = await run(['status', '--admin', `127.0.0.1:${port}`]);
    expect(nobody).toMatchObject({
      exitCode: 4,
      out: '',
      err: expect.stringMatching(
        /^fairlead: STATUS_UNREACHABLE: no agent answers on 127\.0\.0\.1:\d+: .*ECONNREFUSED/,
      ),
    });
  });

  test('5: the agent answers, and no endpoint is usable; the same as a table and as JSON', async () => {
    const admin = `127.0.0.1:${await freePort()}`;
    const agent = await startAgent({ admin });
    await logged(agent, 'endpoint is unready');
    // The address is found as `run` finds it: flag, environment, or a file, even one with a problem.
    const file = configFile(`admin: "${admin}"\nhelth: 1\n`);
    const asked = [
      await run(['status', '--admin', admin]),
      await run(['status'], { env: { FAIRLEAD_ADMIN: admin } }),
      await run(['status', '--config', file]),
    ];
    for (const { exitCode, out, err } of asked) {
      expect(err).toBe('');
      expect(out).toMatch(/NOT READY/);
      expect(out).toMatch(
        /^127\.0\.0\.2:1 +unready \(used: nothing better\) +L4CON refused +\S+ +0 +discovered +static$/m,
      );
      expect(exitCode).toBe(5);
    }
    const { exitCode, out } = await run(['status', '--json', '--admin', admin]);
    expect(exitCode).toBe(5);
    expect(JSON.parse(out)).toMatchObject({
      isReady: false,
      pid: agent.pid,
      endpoints: [{ id: '127.0.0.2:1', reason: 'L4CON refused', sources: ['static'], rank: 1 }],
    });
  });
});

describe('signals', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('%s ends an idle agent with exit code 0', async (signal) => {
    const agent = await startAgent();
    expect(agent.addresses).toHaveLength(1);
    expect(agent.log.find(({ msg }) => msg === 'fairlead is running')).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      pid: agent.pid,
    });
    agent.signal(signal);
    expect(await agent.exited).toEqual({ code: 0, signal: null });
    expect(agent.log.at(-1)).toMatchObject({ level: 'info', msg: 'stopped' });
    expect(agent.errors).toBe('');
  });

  test('the second signal ends the grace time of a tunnel', async () => {
    // An endpoint that accepts everything and says nothing.
    const sockets: Socket[] = [];
    const endpoint = createTcpServer((socket) => sockets.push(socket.on('error', () => {})));
    const port = await listening(endpoint);
    const agent = await startAgent({ endpoints: [`127.0.0.1:${port}`] });
    const listener = Number(agent.address.split(':').at(-1));
    const client = connect(listener, '127.0.0.1').on('error', () => {});
    const clientClosed = new Promise((resolve) => client.once('close', resolve));
    await once(client, 'connect');
    agent.signal('SIGTERM');
    await logged(agent, 'stopping');
    agent.signal('SIGTERM');
    await clientClosed;
    expect(await agent.exited).toEqual({ code: 0, signal: null });
    await logged(agent, 'second signal: stopping immediately');
    for (const socket of sockets) socket.destroy();
    endpoint.close();
  });
});

describe('reload', () => {
  test('SIGHUP takes a good file, refuses a bad one with every problem, and goes on', async () => {
    const file = configFile('health: {rise: 2}\n');
    const agent = await startAgent({ config: file });

    writeFileSync(file, 'health: {rise: 3}\nnodeName: other\n');
    agent.signal('SIGHUP');
    expect(await logged(agent, 'configuration reloaded')).toMatchObject({ applied: ['health.rise'] });
    expect(await logged(agent, 'some changed settings take effect only after a restart')).toMatchObject({
      needsRestart: ['nodeName'],
    });

    writeFileSync(file, 'health: {rise: 0}\nlog: {level: loud}\n');
    agent.signal('SIGHUP');
    expect(
      await logged(agent, 'the new configuration is invalid; the previous one stays in use'),
    ).toMatchObject({
      level: 'error',
      code: 'CONFIG_INVALID',
      problems: [
        'the configuration has 2 problems:',
        expect.stringContaining(`${file}:1:16: health.rise:`),
        expect.stringContaining(`${file}:2:14: log.level:`),
      ],
    });
    agent.signal('SIGTERM');
    expect(await agent.exited).toEqual({ code: 0, signal: null });
  });

  test('a Kubernetes ConfigMap changes by a symlink in another directory, and is noticed', async () => {
    const mount = join(directory, 'mount');
    const publish = (version: string, text: string) => {
      mkdirSync(join(mount, version), { recursive: true });
      writeFileSync(join(mount, version, 'fairlead.yaml'), text);
      symlinkSync(version, join(mount, '..data_tmp'));
      renameSync(join(mount, '..data_tmp'), join(mount, '..data'));
    };
    publish('..v1', 'log: {level: info}\n');
    symlinkSync('..data/fairlead.yaml', join(mount, 'fairlead.yaml'));
    const agent = await startAgent({ config: join(mount, 'fairlead.yaml') });

    publish('..v2', 'log: {level: info}\nhealth: {fall: 5}\n');
    rmSync(join(mount, '..v1'), { recursive: true });
    expect(await logged(agent, 'configuration reloaded')).toMatchObject({
      trigger: 'file changed',
      applied: ['health.fall'],
    });

    // The file goes away for a moment: an error, and nothing changes; it comes back: all is well.
    rmSync(join(mount, '..data'));
    expect(
      await logged(agent, 'the new configuration is invalid; the previous one stays in use'),
    ).toMatchObject({
      code: 'CONFIG_UNREADABLE',
    });
    publish('..v3', 'log: {level: info}\nhealth: {fall: 6}\n');
    expect(await logged(agent, 'configuration reloaded', 1)).toMatchObject({ applied: ['health.fall'] });
  });
});

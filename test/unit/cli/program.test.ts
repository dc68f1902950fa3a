import { exitCodeOf, exitCodes } from '../../../src/cli/exit-codes.ts';
import { settingKeys, settingOf } from '../../../src/config/settings.ts';
import { errorKinds } from '../../../src/model/errors.ts';
import { runCommand } from '../../support/agent/command-context.ts';

async function cli(args: string, env?: Record<string, string>) {
  const { code, ...output } = await runCommand(args.split(' ').filter(Boolean), env);
  return { exitCode: code, ...output };
}

test.each([
  ['', 'Usage: fairlead'],
  ['config', 'Usage: fairlead config'],
  ['rum', "fairlead: unknown command 'rum'\n(Did you mean run?)"],
  ['config chekc', "fairlead: unknown command 'chekc'"],
  ['run --liste 127.0.0.1:1', "fairlead: unknown option '--liste'\n(Did you mean --listen?)"],
  ['run --listen', "fairlead: option '--listen <HOST:PORT>' argument missing"],
  ['run extra', 'fairlead: too many arguments'],
  [
    'run --admin 127.0.0.1:1 --admin 127.0.0.1:2',
    "fairlead: option '--admin <HOST:PORT>' argument '127.0.0.1:2' is invalid. It is given twice.",
  ],
  ['config check --config a --config b', 'It is given twice.'],
])('bad usage: fairlead %s', async (args, message) => {
  const { exitCode, out, err } = await cli(args);
  expect(err).toContain(message);
  expect(out).toBe('');
  expect(exitCode).toBe(2);
});

test.each(['--help', 'run --help', 'config --help', 'config check --help', 'status --help'])(
  'fairlead %s succeeds and shows an example',
  async (args) => {
    const { exitCode, out, err } = await cli(args);
    expect(out).toMatch(/^Usage: fairlead/);
    if (args !== 'config --help') expect(out).toMatch(/Examples?:\n {2}fairlead/);
    expect([exitCode, err]).toEqual([0, '']);
  },
);

test('--version', async () => {
  expect(await cli('--version')).toEqual({ exitCode: 0, out: '0.0.0-test\n', err: '' });
});

test('every problem is printed, with the code, what can be done, and no stack', async () => {
  const { exitCode, out, err } = await cli('config check --log-level loud --admin 1', { FAIRLEAD_X: '1' });
  expect(err.split('\n')).toEqual([
    'fairlead: CONFIG_INVALID: the configuration has 3 problems:',
    '  FAIRLEAD_X: is not a Fairlead variable',
    expect.stringMatching(/^ {2}--admin: admin: must be false or an IP address and a port/),
    '  --log-level: log.level: must be one of trace, debug, info, warn, error, fatal, silent; found "loud"',
    errorKinds.CONFIG_INVALID.fix,
    '',
  ]);
  expect([exitCode, out]).toEqual([2, '']);
});

test('a good configuration', async () => {
  expect(await cli('config check --endpoints cp1')).toEqual({
    exitCode: 0,
    out: 'The configuration is valid.\n',
    err: '',
  });
});

test('config print shows flags with their source, also without any endpoint', async () => {
  const { exitCode, out } = await cli('config print --log-level debug --listen 127.0.0.1:1 --listen [::1]:1');
  expect(exitCode).toBe(0);
  expect(out).toContain('  level: debug # --log-level\n');
  expect(out).toContain('listeners: # --listen\n  - "127.0.0.1:1"\n  - "[::1]:1"\n');
});

test('config print --json can be read by a program', async () => {
  const { out } = await cli('config print --json', { FAIRLEAD_HEALTH_RISE: '5' });
  expect(JSON.parse(out)).toMatchObject({
    config: { nodeName: 'node-1', health: { rise: 5, interval: '2s' } },
    sources: { 'health.rise': 'FAIRLEAD_HEALTH_RISE', nodeName: 'host name' },
  });
});

test('every coded error has a documented exit code', () => {
  const documented = Object.values(exitCodes).map(({ code }): number => code);
  expect(Object.keys(exitCodeOf).toSorted()).toEqual(Object.keys(errorKinds).toSorted());
  for (const code of Object.values(exitCodeOf)) expect(documented).toContain(code);
});

test('--help says FILE for the flags that take a file, and for no other', async () => {
  const { out } = await cli('run --help');
  const flags = settingKeys.flatMap((key) => {
    const { flag, type } = settingOf(key);
    return flag === undefined ? [] : [{ flag, isFile: type === 'file' }];
  });
  expect(flags.filter(({ isFile }) => isFile).length).toBeGreaterThan(5);
  for (const { flag, isFile } of flags) {
    const shown = new RegExp(`${flag} [<[]([^>\\]]+)`).exec(out)?.[1];
    expect({ flag, shown: shown === 'FILE' }).toEqual({ flag, shown: isFile });
    expect({ flag, shown }).not.toEqual({ flag, shown: 'VALUE' });
  }
});

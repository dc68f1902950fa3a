import { createReload } from '../../../src/cli/reload.ts';
import type { Config } from '../../../src/config/config.ts';
import { defaultConfig } from '../../support/agent/default-config.ts';
import { FairleadError } from '../../../src/model/errors.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';

const config = defaultConfig('node');

function setUp(load: () => Promise<Config>, reloaded: (next: Config) => Promise<void> = async () => {}) {
  const log = { ...recordingLog(), level: 'info' };
  const given: Config[] = [];
  const agent = {
    reload: async (next: Config) => {
      given.push(next);
      await reloaded(next);
      return { applied: ['health.rise'], needsRestart: given.length === 2 ? ['listeners'] : [] };
    },
  };
  return { log, given, reload: createReload({ agent, logger: log, load }) };
}

test('a good configuration reaches the agent; the log level changes with it', async () => {
  const next = { ...config, log: { level: 'debug', format: 'json' } as const };
  const { log, given, reload } = setUp(async () => next);
  await reload('SIGHUP');
  expect(given).toEqual([next]);
  expect(log.level).toBe('debug');
  expect(log.lines).toEqual([
    {
      level: 'info',
      message: 'configuration reloaded',
      fields: { trigger: 'SIGHUP', applied: ['health.rise'] },
    },
  ]);
});

test('what needs a restart is said', async () => {
  const { log, reload } = setUp(async () => config);
  await reload('SIGHUP');
  await reload('file changed');
  expect(log.lines.at(-1)).toMatchObject({ level: 'warn', fields: { needsRestart: ['listeners'] } });
});

test('a bad configuration changes nothing, and each of its problems is logged', async () => {
  const { log, given, reload } = setUp(() =>
    Promise.reject(new FairleadError('CONFIG_INVALID', 'the configuration has 2 problems:\n  one\n  two')),
  );
  await reload('file changed');
  expect(given).toEqual([]);
  expect(log.lines).toMatchObject([
    {
      level: 'error',
      fields: { code: 'CONFIG_INVALID', problems: ['the configuration has 2 problems:', 'one', 'two'] },
    },
  ]);
});

test('a reload that fails in the agent is logged and does not reject; the next one runs', async () => {
  let isBroken = true;
  const { log, given, reload } = setUp(
    async () => config,
    () => (isBroken ? Promise.reject(new Error('no')) : Promise.resolve()),
  );
  await reload('SIGHUP');
  expect(log.lines).toMatchObject([
    { level: 'error', message: 'reload failed; the previous configuration stays in use' },
  ]);
  isBroken = false;
  await reload('SIGHUP');
  expect(given).toHaveLength(2);
});

test('reloads never overlap, and of those that wait only one runs', async () => {
  const gates: (() => void)[] = [];
  let running = 0;
  let most = 0;
  const { given, reload } = setUp(
    async () => config,
    async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise<void>((open) => gates.push(open));
      running -= 1;
    },
  );
  const asked = [reload('SIGHUP'), reload('SIGHUP'), reload('file changed'), reload('SIGHUP')];
  const openOne = async () => {
    while (gates.length === 0) await Promise.resolve();
    gates.shift()?.();
  };
  await openOne();
  await openOne();
  await Promise.all(asked);
  expect(given).toHaveLength(2);
  expect(most).toBe(1);
});

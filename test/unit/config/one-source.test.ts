// A setting is one row of a table: whatever shows, reads or keeps settings has each of them, and names none.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { defaultConfig } from '../../support/agent/default-config.ts';
import { runCommand } from '../../support/agent/command-context.ts';
import { defaultHttpOptions, defaultPassthroughOptions } from '../../support/agent/default-options.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';
import { type Config, poolMembers } from '../../../src/config/config.ts';
import { listenerSettings } from '../../../src/config/listener-setting.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { setValueAt, valueAt } from '../../../src/config/paths.ts';
import { poolSettings } from '../../../src/config/pool-setting.ts';
import { printJson, printYaml } from '../../../src/config/print.ts';
import { configPath, envName, settingKeys, settingOf } from '../../../src/config/settings.ts';

const directory = tempDir();
const page = readFileSync('docs/config.md', 'utf8');
const rowOf = (name: string) => page.split('\n').filter((line) => line.startsWith(`| \`${name}\` `));
const flags = settingKeys.filter((key) => settingOf(key).flag !== undefined);

async function loaded(yaml: string) {
  const file = join(directory, 'fairlead.yaml');
  writeFileSync(file, yaml);
  const result = await loadConfig({ file, env: {}, hostname: 'node', mustFindEndpoints: false });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result;
}

test.each(settingKeys)('%s is in docs/config.md with all that its row says', (key) => {
  const { type, flag, fromText, scope, applies, description } = settingOf(key);
  const row = rowOf(key).find((line) => line.includes(` ${applies} `));
  for (const said of [type, scope, applies, description, flag, fromText ? envName(key) : 'file only']) {
    expect(row).toContain((said ?? '').replaceAll('|', '\\|'));
  }
});

test.each([...Object.keys(listenerSettings), ...Object.keys(poolSettings)])(
  '%s, of a listener or a pool, is in docs/config.md',
  (name) => {
    expect(rowOf(name).length).toBeGreaterThan(0);
  },
);

test('--help has each flag, with a word for its value', async () => {
  const { out } = await runCommand(['run', '--help']);
  expect(flags.length).toBeGreaterThan(15);
  for (const key of flags) {
    const { flag, flagAlone, placeholder } = settingOf(key);
    const [open, close] = flagAlone === undefined ? ['<', '>'] : ['[', ']'];
    expect(out).toContain(`${flag} ${open}${placeholder}${close} `);
  }
});

test('config print shows each setting, and its output can be read again as the same', async () => {
  const first = await loaded('{ zone: a, tunnels: { max: 7 }, health: { logChecks: true } }');
  const yaml = printYaml(first);
  for (const key of settingKeys) expect(yaml).toMatch(new RegExp(`^ *(# )?${key.split('.').at(-1)}:`, 'm'));
  expect((await loaded(yaml)).config).toEqual(first.config);
  const { config, sources } = JSON.parse(printJson(first));
  for (const key of settingKeys) {
    expect([key, Object.hasOwn(sources, key)]).toEqual([key, valueAt(config, key) !== undefined]);
    const hasValue = valueAt(first.config, configPath(key)) !== undefined;
    expect([key, valueAt(config, key) !== undefined]).toEqual([key, hasValue]);
  }
});

test('each setting with a default can be written in the file and in a variable', async () => {
  const root = {};
  const env: Record<string, string> = {};
  for (const key of settingKeys) {
    const { fallback, fromText, isList, schema, write } = settingOf(key);
    if (fallback === undefined || v.safeParse(schema, fallback).output === undefined) continue;
    setValueAt(root, key, write(v.parse(schema, fallback)));
    if (fromText && !isList) env[envName(key)] = String(fallback);
  }
  const { config } = await loaded(JSON.stringify(root));
  expect(config).toEqual(defaultConfig('node'));
  const result = await loadConfig({ env, hostname: 'node', mustFindEndpoints: false });
  expect(result).toMatchObject({ ok: true, config });
  expect(Object.keys(env).length).toBeGreaterThan(40);
});

test('what a pool may have of its own is what its Config has', () => {
  const members = Object.keys(poolMembers(defaultConfig('node')));
  const own = settingKeys.filter((key) => settingOf(key).scope === 'pool');
  expect(own.length).toBeGreaterThan(30);
  for (const key of own) expect(members).toContain(key.split('.')[0]);
});

test('the data paths start with the defaults of the table', () => {
  const { dial, tunnels } = defaultConfig('node');
  const { max: _, ...sections } = { ...dial, ...tunnels };
  expect(defaultPassthroughOptions()).toMatchObject(sections);
  expect(defaultHttpOptions()).toMatchObject(sections);
  expect(defaultPassthroughOptions()).toMatchObject({
    keepAliveDelayMs: 15_000,
    keepAliveIntervalMs: 5_000,
    halfCloseTimeoutMs: 300_000,
  });
});

const derived = ['config', 'resolve', 'print', 'load', 'environment', 'flags', 'paths', 'yaml-source']
  .map((name) => `src/config/${name}.ts`)
  .concat('src/cli/config-options.ts', 'scripts/docs.ts', 'src/cli/reload.ts');

test.each(derived)('%s names no setting in a section, so a new one does not touch it', (file) => {
  const source = readFileSync(file, 'utf8').replace(/\/\/.*|\/\*[\s\S]*?\*\//g, '');
  for (const key of settingKeys.filter((name) => name.includes('.')))
    expect(source).not.toContain(`'${key}'`);
  // Members of the type Config come from the table.
  for (const key of settingKeys.filter((name) => settingOf(name).unit))
    expect(source).not.toMatch(new RegExp(`\\b${configPath(key).split('.').at(-1)}\\b`));
});

test('the type of the configuration has the members of the table, durations with their unit', () => {
  const read = (config: Config) => {
    const overMs: number = config.balance.rebalance.overMs;
    const policy: 'rendezvous' | 'least-connections' | 'round-robin' = config.balance.policy;
    // @ts-expect-error: a duration is never read without its unit.
    const over: unknown = config.balance.rebalance.over;
    return { overMs, policy, over };
  };
  const expected = { overMs: 600_000, policy: 'rendezvous', over: undefined };
  expect(read(defaultConfig('node'))).toEqual(expected);
});

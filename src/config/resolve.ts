// From checked values to the Config that the program is given, and from one Config to the next at a reload.
import { isDeepStrictEqual } from 'node:util';
import * as v from 'valibot';
import { type AllSettings, type Config, type PoolConfig, poolMembers } from './config.ts';
import { setValueAt, valueAt } from './paths.ts';
import type { PoolValue } from './pool-setting.ts';
import { configPath, type SettingKey, settingKeys, settingOf, type Values } from './settings.ts';

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const member of Object.values(value)) deepFreeze(member);
  return value;
}

/** Each value at its place in `Config`; what is undefined is left out. */
function nested(values: Values): AllSettings {
  const root = {};
  for (const key of settingKeys) {
    if (values[key] !== undefined) setValueAt(root, configPath(key), values[key]);
  }
  return root as AllSettings;
}

/** What holds for a pool: its own values, else the default for its type, else the top level's values. */
export function poolValues(values: Values, { type, own }: PoolValue): Values {
  const valueIn = (key: SettingKey): unknown => {
    if (Object.hasOwn(own, key)) return own[key];
    const { poolDefault = {}, schema } = settingOf(key);
    return Object.hasOwn(poolDefault, type) ? v.parse(schema, poolDefault[type]) : values[key];
  };
  return Object.fromEntries(settingKeys.map((key) => [key, valueIn(key)])) as unknown as Values;
}

function poolConfig(values: Values, name: string, pool: PoolValue): PoolConfig {
  const { type, follow, port } = pool;
  return {
    name,
    type,
    ...(follow !== undefined && port !== undefined && { follow: { pool: follow, port } }),
    ...poolMembers(nested(poolValues(values, pool))),
  };
}

export function toConfig(values: Values): Config {
  const pools = Object.entries(values.pools).map(([name, pool]) => poolConfig(values, name, pool));
  return deepFreeze<Config>({ ...nested(values), pools });
}

export interface Reloaded {
  /** The next configuration, with the previous values where a change takes a restart, so that the next reload sees it still. */
  readonly config: Config;
  readonly applied: SettingKey[];
  readonly needsRestart: SettingKey[];
}

/** What a reload from `previous` to `next` changes. */
export function reloadConfig(previous: Config, next: Config): Reloaded {
  const root = {};
  const applied: SettingKey[] = [];
  const needsRestart: SettingKey[] = [];
  for (const key of settingKeys) {
    const path = configPath(key);
    const [before, after] = [valueAt(previous, path), valueAt(next, path)];
    const mustWait = settingOf(key).applies === 'restart';
    if (!isDeepStrictEqual(before, after)) (mustWait ? needsRestart : applied).push(key);
    const value = mustWait ? before : after;
    if (value !== undefined) setValueAt(root, path, value);
  }
  return { config: deepFreeze(root as Config), applied, needsRestart };
}

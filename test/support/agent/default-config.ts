// The configuration of a node on which nothing is configured.
import * as v from 'valibot';
import { allPools, type Config, type PoolConfig } from '../../../src/config/config.ts';
import { toConfig } from '../../../src/config/resolve.ts';
import { settingKeys, settingOf, type Values } from '../../../src/config/settings.ts';

export function defaultConfig(nodeName: string): Config {
  const values = settingKeys.map((key) => {
    const { fallback, schema } = settingOf(key);
    return [key, fallback === undefined ? undefined : v.parse(schema, fallback)];
  });
  return toConfig({ ...Object.fromEntries(values), nodeName } as Values);
}

/** The pool of the API servers. */
export function defaultPool(): PoolConfig {
  const [pool] = allPools(defaultConfig('node')) as [PoolConfig];
  return pool;
}

// The configuration of a node on which nothing is configured: for tests and the bench.
import * as v from 'valibot';
import type { Config } from './config.ts';
import { toConfig } from './resolve.ts';
import { settingKeys, settingOf, type Values } from './settings.ts';

export function defaultConfig(nodeName: string): Config {
  const values = settingKeys.map((key) => {
    const { fallback, schema } = settingOf(key);
    return [key, fallback === undefined ? undefined : v.parse(schema, fallback)];
  });
  return toConfig({ ...Object.fromEntries(values), nodeName } as Values);
}
